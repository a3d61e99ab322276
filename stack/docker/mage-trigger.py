#!/opt/mage/bin/python
"""Start a pipeline through its API trigger: `mage-trigger PIPELINE NAME=VALUE...`; prints the number of the run.

Run it in the container of the web server. Without variables those of the pipeline's metadata.yaml hold.
"""

import http.client
import json
import os
import sys
from pathlib import Path

import psycopg2

SECRETS = Path("/run/secrets")
QUERY = "SELECT id FROM pipeline_schedule WHERE pipeline_uuid = %s AND schedule_type = 'API' ORDER BY id"


def trigger_of(pipeline: str) -> int:
    """Return the number of the pipeline's API trigger, which Mage gave it."""
    password = (SECRETS / "mage_password").read_text().strip()
    host, _, port = os.environ.get("POSTGRES_ADDRESS", "postgres:5432").partition(":")
    with psycopg2.connect(host=host, port=port, user="mage", dbname="mage", password=password) as connection:
        cursor = connection.cursor()
        cursor.execute(QUERY, (pipeline,))
        found = cursor.fetchone()
    if found is None:
        sys.exit(f"Mage knows no API trigger of a pipeline {pipeline!r}; a worker reads them seconds after its start")
    return int(found[0])


def main(words: list[str]) -> None:
    if not words or not all("=" in word for word in words[1:]):
        sys.exit("usage: mage-trigger PIPELINE NAME=VALUE...")
    variables = dict(word.split("=", 1) for word in words[1:])
    # In a header and not in the path, which logs keep.
    headers = {
        "authorization": f"Bearer {(SECRETS / 'mage_trigger_token').read_text().strip()}",
        "content-type": "application/json",
    }
    body = json.dumps({"pipeline_run": {"variables": variables}})
    connection = http.client.HTTPConnection("127.0.0.1", 6789, timeout=60)
    connection.request("POST", f"/api/pipeline_schedules/{trigger_of(words[0])}/api_trigger", body, headers)
    answer = connection.getresponse()
    text = answer.read().decode(errors="replace")
    try:
        # Mage answers with 200 where it refuses, too.
        print(json.loads(text)["pipeline_run"]["id"])
    except (ValueError, KeyError):
        sys.exit(f"Mage refuses: {answer.status} {text[:500]}")


main(sys.argv[1:])
