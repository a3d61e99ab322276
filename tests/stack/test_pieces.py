"""What replicas use of the stack: Redis for answers, and PostgreSQL for the prediction log, by a login of their own."""

from __future__ import annotations

import json
from typing import Any

import httpx

from examples.flights import data
from tests.stack.conftest import Stack, eventually

DOCUMENT = {
    "name": "remembering",
    "modelArtifact": {"path": "/models/arrivals-v2.zip"},
    "servingRequirements": {"latencyP99": "500ms", "availability": "99%"},
    "infrastructure": {"resources": {"replicas": 1}},
    "cache": {"store": "redis"},
    "predictionLog": {"sink": "store:"},
}


def test_answers_are_kept_in_redis_and_predictions_in_postgresql(stack: Stack) -> None:
    stack.run("tidegate", "tidegate", "deploy", "--file", "-", "--output", "json", given=json.dumps(DOCUMENT))
    rows = data.traffic(data.load_flights(), 3, 5)
    url = f"http://127.0.0.1:{stack.environment['EDGE_PORT']}/remembering/predict"
    for row in rows:
        answer = httpx.post(url, json={"records": [row]}, trust_env=False)
        assert answer.status_code == 200, answer.text

    def kept() -> bool:
        size = 'REDISCLI_AUTH="$(cat /run/secrets/redis_password)" redis-cli --user tidegate dbsize'
        return int(stack.run("redis", "sh", "-c", size)) >= len(rows)

    def logged() -> list[Any]:
        query = "SELECT count(*), max(revision) FROM telemetry.predictions WHERE deployment = 'remembering';"
        done = stack.psql("analyst", query)
        assert done.returncode == 0, done.stderr
        return [done.stdout.strip()] if done.stdout.strip() == f"{len(rows)}|1" else []

    eventually("the answers in Redis", kept)
    eventually("the rows in PostgreSQL", logged)
