"""H2O trains in its container what the gateway then serves."""

from __future__ import annotations

import base64
import json
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from examples.flights import data
from tests.stack.conftest import Stack
from tidegate import mojo

TARGET = "late"
ROWS = 20_000
#: XGBoost's threads wait by spinning, so where others compute as well it takes many times as long.
TRAIN_SECONDS = 600.0

#: Run in the container that serves: reads a table as CSV from stdin, has H2O train XGBoost on it, writes its MOJO.
TRAIN = """
import json, sys, time, urllib.parse, urllib.request, uuid
H2O, OUT = "http://h2o:54321", sys.argv[1]
def ask(path, body=None, kind="application/x-www-form-urlencoded"):
    asked = urllib.request.Request(H2O + path, data=body, headers={"content-type": kind} if body else {})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return answer.read()
def form(path, **fields):
    words = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
    return json.loads(ask(path, urllib.parse.urlencode(words).encode()))
def done(job):
    key = urllib.parse.quote(job["key"]["name"])
    while True:
        (now,) = json.loads(ask(f"/3/Jobs/{key}"))["jobs"]
        if now["status"] == "DONE":
            return
        assert now["status"] in ("CREATED", "RUNNING"), now
        time.sleep(0.2)
boundary = uuid.uuid4().hex
head = f'--{boundary}\\r\\nContent-Disposition: form-data; name="file"; filename="flights.csv"\\r\\n\\r\\n'
body = head.encode() + sys.stdin.buffer.read() + f"\\r\\n--{boundary}--\\r\\n".encode()
ask("/3/PostFile?destination_frame=flights.csv", body, f"multipart/form-data; boundary={boundary}")
setup = form("/3/ParseSetup", source_frames=["flights.csv"], check_header=1)
kept = ("parse_type", "separator", "number_columns", "single_quotes", "column_names", "column_types")
kept += ("check_header", "chunk_size")
parsed = form("/3/Parse", source_frames=["flights.csv"], destination_frame="flights", delete_on_done=True,
              **{name: setup[name] for name in kept})
done(parsed["job"])
begun = time.monotonic()
built = form("/3/ModelBuilders/xgboost", training_frame="flights", response_column="late", ntrees=30, max_depth=6,
             seed=7, model_id="arrivals")
done(built["job"])
with open(OUT, "wb") as stream:
    stream.write(ask("/3/Models/arrivals/mojo"))
print(json.dumps({"seconds": time.monotonic() - begun}))
"""


@pytest.fixture(scope="module")
def flights() -> Any:
    labelled = data.labelled(data.load_flights()).head(ROWS)
    table = labelled[list(data.COLUMNS)].copy()
    table[TARGET] = labelled[data.TARGET].map({1.0: "late", 0.0: "on time"})
    return table


def test_a_mojo_of_xgboost_trained_in_the_container_predicts_over_https(
    stack: Stack, flights: Any, tmp_path: Path
) -> None:
    table = flights.to_csv(index=False)
    stack.run("tidegate", "python", "-c", TRAIN, "/tmp/trained.zip", given=table, seconds=TRAIN_SECONDS)  # noqa: S108
    words = ("tidegate", "deploy", "/tmp/trained.zip", "--name", "trained", "--p99", "500ms", "--replicas", "1")  # noqa: S108
    stack.run("tidegate", *words, "--output", "json")

    own = tmp_path / "trained.zip"
    own.write_bytes(base64.b64decode(stack.run("tidegate", "base64", "/tmp/trained.zip")))  # noqa: S108
    rows = data.as_rows(flights.head(50))
    context = ssl.create_default_context(cafile=str(stack.secrets / "tls" / "tls.crt"))
    url = f"https://localhost:{stack.https_port}/trained/predict"
    answer = httpx.post(url, json={"records": rows}, verify=context, trust_env=False)
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == mojo.load(own).predict(rows)
    assert {row["predict"] for row in answer.json()["predictions"]} == {"late", "on time"}

    state = stack.inspect("h2o")
    assert (state["State"]["OOMKilled"], state["RestartCount"]) == (False, 0)
    assert json.loads(stack.run("h2o", "curl", "-fsS", "http://127.0.0.1:54321/3/Cloud"))["cloud_healthy"] is True
