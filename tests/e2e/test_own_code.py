"""Code of the user's own, a Python class and a server, goes into production and comes back as any other model does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.e2e.conftest import Tidegate, eventually
from tidegate.contract.errors import InvalidInput, NotFound, NotReady, NotTrusted
from tidegate.controller import launch

pytestmark = pytest.mark.e2e

NAME = "scores"
APP = Path(__file__).parents[1] / "support" / "http_app.py"
SETTINGS = """
command: ["{python}", http_app.py, "{port}"]
healthPath: /healthz
predictPath: /score
sampleRequest: {values: [1, 2]}
"""
CODE = """
import weights

class Churn:
    inputs = [{"name": "age"}, {"name": "town", "datatype": "BYTES"}]

    def load(self, folder):
        self.names = (folder / "names.txt").read_text().split()

    def predict(self, inputs):
        score = inputs["age"] * weights.AGE
        return {"score": score, "label": [self.names[int(value > 1)] for value in score]}
"""


@pytest.fixture(scope="module")
def server(tidegate: Tidegate) -> Path:
    """A folder as a user has it: a server, and the settings beside it."""
    folder = tidegate.folder / "scores"
    folder.mkdir()
    (folder / "http_app.py").write_text(APP.read_text())
    (folder / "tidegate.yaml").write_text(SETTINGS)
    return folder


@pytest.fixture(scope="module")
def serving(tidegate: Tidegate, server: Path) -> Tidegate:
    report = tidegate.ended(tidegate.deploy(NAME, server, modelArtifact=artifact(server)))
    assert report["outcome"] == "promoted", report["reason"]
    return tidegate


def artifact(path: Path, **settings: Any) -> dict[str, Any]:
    return {"path": str(path), "trust": True, "settings": settings}


def commands(folder: Path) -> list[psutil.Process]:
    """Return the living processes that run in a replica's working folder below this one: commands and their guards."""
    found = []
    for process in psutil.process_iter(["cwd", "status"]):
        place = process.info["cwd"] or ""
        if process.info["status"] != psutil.STATUS_ZOMBIE and place.startswith(str(folder)) and "/work-" in place:
            found.append(process)
    return found


def servers_of(tidegate: Tidegate, revision: int) -> dict[int, psutil.Process]:
    """Return the command of each replica by the replica's pid."""
    found = {}
    for pid in tidegate.pids(NAME, revision):
        for child in psutil.Process(pid).children(recursive=True):
            if any("http_app.py" in word for word in child.cmdline()[1:2]):
                found[pid] = child
    return found


def test_a_python_class_answers_predict_by_the_names_of_its_inputs(tidegate: Tidegate) -> None:
    folder = tidegate.folder / "churn"
    folder.mkdir()
    (folder / "model.py").write_text(CODE)
    (folder / "weights.py").write_text("AGE = 0.02\n")
    (folder / "names.txt").write_text("stays leaves\n")
    with pytest.raises(NotTrusted):
        tidegate.deploy("churn", folder)
    report = tidegate.ended(tidegate.deploy("churn", folder, modelArtifact=artifact(folder)))
    assert report["outcome"] == "promoted", report["reason"]
    url = tidegate.status("churn")["url"]
    answer = httpx.post(f"{url}/predict", json=[{"age": 80, "town": "Ulm"}, {"age": 20, "town": None}])
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == [{"score": 1.6, "label": "leaves"}, {"score": 0.4, "label": "stays"}]
    assert httpx.post(f"{url}/predict", json=[{"age": "old", "town": None}]).status_code == 400


def test_a_server_answers_its_own_routes_through_the_gateway(serving: Tidegate) -> None:
    url = serving.status(NAME)["url"]
    answer = httpx.post(f"{url}/predict", json={"values": [1, 2, 3]})
    assert (answer.status_code, answer.json()["sum"]) == (200, 6)
    assert answer.headers["x-tidegate-revision"] == "1"
    seen = httpx.put(f"{url}/echo?a=%2F", content=b"abc").json()
    assert (seen["method"], seen["path"], bytes.fromhex(seen["body"])) == ("PUT", "/echo?a=%2F", b"abc")
    assert httpx.get(f"{url}/status/418").status_code == 418


def with_port_of_its_own(folder: Path) -> int:
    """Make a server there that listens on one port, and return that."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    (folder / "http_app.py").write_text(APP.read_text())
    (folder / "tidegate.yaml").write_text(f"{SETTINGS}port: {port}\n")
    return port


def test_a_server_with_a_port_of_its_own_is_refused_for_several_replicas(tidegate: Tidegate, tmp_path: Path) -> None:
    with_port_of_its_own(tmp_path)
    with pytest.raises(InvalidInput, match="cannot listen on one port"):
        tidegate.deploy("fixed", tmp_path, modelArtifact=artifact(tmp_path))
    with tidegate.client as client, pytest.raises(NotFound):
        client.status("fixed")


def test_no_second_revision_is_let_in_on_the_port_that_stable_has(tidegate: Tidegate, tmp_path: Path) -> None:
    port = with_port_of_its_own(tmp_path)
    one = {"resources": {"replicas": 1}}
    first = tidegate.ended(tidegate.deploy("fixed", tmp_path, modelArtifact=artifact(tmp_path), infrastructure=one))
    assert first["outcome"] == "promoted", first["reason"]
    changed = artifact(tmp_path, environment={"OTHER": "1"})
    for strategy in ("canary", "rolling"):
        with pytest.raises(NotReady, match=f"port {port} is that of revision 1 of 'fixed'") as refused:
            tidegate.deploy(
                "fixed", tmp_path, modelArtifact=changed, infrastructure=one, deploymentStrategy=strategy, steps=None
            )
        assert "leave port out" in str(refused.value)
    with tidegate.client as client:
        assert client.status("fixed")["rollout"]["to_revision"] == 1
        assert client.delete("fixed")


def test_a_revision_of_a_server_that_answers_500_is_rolled_back(serving: Tidegate, server: Path) -> None:
    traffic = serving.traffic(NAME, documents=[{"values": [1, number]} for number in range(20)])
    bad = {**artifact(server, environment={"FAIL": "1"}, sampleRequest=None)}
    report = serving.ended(serving.deploy(NAME, server, modelArtifact=bad))
    assert report["outcome"] == "rolled_back", report["reason"]
    assert "failed" in report["reason"]
    records = traffic.stop()
    failed = [record for record in records if record.failed]
    assert {record.revision for record in failed} == {2}
    assert len(failed) < 60
    assert serving.status(NAME)["split_asked"] == {"1": 100}
    eventually("only stable's servers", lambda: len(serving_processes(serving)) == 4, 20)


def test_a_shadow_of_a_server_copies_and_compares_what_is_inference_alone(serving: Tidegate, server: Path) -> None:
    url = serving.status(NAME)["url"]
    traffic = serving.traffic(NAME, documents=[{"values": [1, number]} for number in range(20)])
    same = artifact(server, environment={"NOTHING": "1"})
    with calling(f"{url}/status/500", f"{url}/echo"):
        rollout = serving.deploy(
            NAME, server, modelArtifact=same, deploymentStrategy="shadow", steps=[{"shadow": 100}, {"pause": "person"}]
        )
        serving.in_phase(NAME, "paused")
        measured = serving.status(NAME)["rollout"]
        with serving.client as client:
            client.abort(NAME, by="ada", reason="seen enough")
    report = serving.ended(rollout)
    traffic.stop()
    assert "waits for a person" in measured["reason"], measured["reason"]
    step = report["steps"][0]["requests"]
    assert step["1"]["errors"] == 0, "what was answered 500 could not be copied"
    assert abs(step["1"]["requests"] - step[str(report["to_revision"])]["requests"]) <= 10


@contextmanager
def calling(*urls: str) -> Iterator[None]:
    """Send PUT requests to these addresses, one after the other, until the block ends."""
    over = threading.Event()

    def call() -> None:
        with httpx.Client() as client:
            while not over.wait(0.01):
                for url in urls:
                    client.put(url, content=b"{}")

    caller = threading.Thread(target=call)
    caller.start()
    try:
        yield
    finally:
        over.set()
        caller.join()


def serving_processes(tidegate: Tidegate) -> list[psutil.Process]:
    """Return guards and commands of the deployment, whatever its revision."""
    return commands(tidegate.home / "replicas" / NAME)


@pytest.mark.parametrize("victim", ["server", "replica"])
def test_a_server_or_a_replica_that_is_killed_is_replaced(serving: Tidegate, victim: str) -> None:
    before = eventually("both servers", lambda: len(found := servers_of(serving, 1)) == 2 and found)
    pid, command = min(before.items())
    restarts = serving.status(NAME)["replicas"]["1"]["restarts"]
    (command if victim == "server" else psutil.Process(pid)).kill()
    eventually("the replica is gone", lambda: pid not in serving.pids(NAME, 1))
    eventually("the server is gone", lambda: not command.is_running())
    eventually("both ready", lambda: serving.status(NAME)["replicas"]["1"]["ready"] == 2)
    assert serving.status(NAME)["replicas"]["1"]["restarts"] == restarts + 1
    assert len(serving_processes(serving)) == 4


def test_down_leaves_no_server_behind(serving: Tidegate) -> None:
    assert commands(serving.home)
    launch.stop(serving.home)
    eventually("no server left behind", lambda: not commands(serving.home), 15)
