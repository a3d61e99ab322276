"""H2O trains in its container what the gateway then serves."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from examples.flights import data
from tests.stack.conftest import Stack, docker, eventually
from tidegate import mojo

TARGET = "late"
ROWS = 20_000
#: XGBoost's threads wait by spinning, so where others compute as well it takes many times as long.
TRAIN_SECONDS = 600.0
#: Of a node beside the stack's; 30 % of it is what XGBoost, threads and the JVM itself have.
NODE_MEMORY = "1500m"

#: Run in the container that serves: reads a table as CSV from stdin, has H2O train XGBoost on it, writes its MOJO.
TRAIN = """
import json, sys, time, urllib.parse, urllib.request, uuid
OUT, H2O = sys.argv[1], f"http://{sys.argv[2]}:54321"
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
    train(stack, flights, "h2o")
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
    assert stack.cloud()["cloud_healthy"] is True


def train(stack: Stack, flights: Any, host: str) -> None:
    """Have a node of H2O train XGBoost on flights; the MOJO lies in the container that serves."""
    words = ("python", "-c", TRAIN, "/tmp/trained.zip", host)  # noqa: S108 (of the container)
    stack.run("tidegate", *words, given=flights.to_csv(index=False), seconds=TRAIN_SECONDS)


@contextmanager
def node(stack: Stack, *words: str, options: Sequence[str] = ()) -> Iterator[str]:
    """Run H2O's image on the backend network with a memory limit; give the container, which is called `lone`."""
    image = stack.inspect("h2o")["Image"]
    limits = ("--memory", NODE_MEMORY, "--memory-swap", NODE_MEMORY)
    network = ("--network", f"{stack.project}_backend", "--network-alias", "lone")
    container = docker("run", "--detach", *limits, *network, *options, image, *words).strip()
    try:
        yield container
    finally:
        docker("rm", "--force", "--volumes", container)


def state(container: str) -> dict[str, Any]:
    (found,) = json.loads(docker("inspect", container))
    return dict(found["State"])


def test_xgboost_has_room_beside_a_heap_of_70_percent_that_is_full(stack: Stack, flights: Any) -> None:
    # As when the heap is full: each page of it is written to.
    with node(stack, options=("--env", "JAVA_TOOL_OPTIONS=-XX:+AlwaysPreTouch")) as container:
        eventually("H2O answers", lambda: is_healthy(stack))
        train(stack, flights, "lone")
        assert (state(container)["Running"], state(container)["OOMKilled"]) == (True, False)


def test_h2o_with_a_heap_of_all_its_memory_is_killed(stack: Stack) -> None:
    heap = (f"-Xms{NODE_MEMORY}", f"-Xmx{NODE_MEMORY}", "-XX:+AlwaysPreTouch")
    with node(stack, *heap, "-jar", "/opt/h2o/h2o.jar", options=("--entrypoint", "java")) as container:
        eventually("its end", lambda: not state(container)["Running"])
        assert (state(container)["OOMKilled"], state(container)["ExitCode"]) == (True, 137)


def is_healthy(stack: Stack) -> bool:
    try:
        return bool(stack.cloud("lone")["cloud_healthy"])
    except AssertionError:
        return False


def test_the_versions_of_the_running_cluster_are_read_and_held_against_requirements(stack: Stack) -> None:
    words = ("tidegate", "doctor", "versions", "--cluster", "http://h2o:54321", "--output", "json")
    told = json.loads(stack.run("tidegate", *words))
    found = {check["component"]: check["found"] for check in told["checks"] if "http://h2o:54321" in check["place"]}
    assert (told["healthy"], found["h2o server"]) == (True, "3.46.0.11")
    assert found["java"].startswith("17."), found
    file = "/tmp/requirements.txt"  # noqa: S108 (of the container)
    stack.run("tidegate", "sh", "-c", f"cat > {file}", given="h2o==3.44.0.1\n")
    done = stack.try_compose("exec", "-T", "tidegate", *words, file)
    assert done.returncode == 1, done.stdout + done.stderr
    (wrong,) = (check for check in json.loads(done.stdout)["checks"] if check["level"] == "fail")
    assert "3.44.0.1" in wrong["found"], wrong
