"""A process is killed in the middle of a swap: what served serves on, nothing is left behind, the next swap works.

What cannot be avoided: a request that a killed worker was at, and one that its client sends over a connection of it
before the client has seen its end. That is at most one request per connection.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.server.processes import DEADLINE_SECONDS, wait_until
from tests.server.supervisors import PATIENT, Supervised, Traffic, supervised
from tidegate.artifact.bundle import Bundle

CONNECTIONS = 6

#: Makes temporary folders as it is loaded, as fast as it can, while there is a file `hold`.
HELD = """
import tempfile
from contextlib import suppress
from pathlib import Path
class Held:
    inputs = [{'name': 'x', 'datatype': 'FP64'}]
    def load(self, folder):
        while Path(%r).exists():
            with suppress(OSError):
                tempfile.mkdtemp()
    def predict(self, inputs): return {'y': inputs['x']}
"""


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files of all that is started from here on; it also tells these processes apart."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def repository(tmp_path: Path, quick_bundle: Bundle) -> Path:
    root = tmp_path / "models"
    for version in ("1", "2"):
        shutil.copytree(quick_bundle.folder, root / "flights" / version)
    return root


def started_with(scratch: Path) -> list[psutil.Process]:
    """Return every process that lives and was started, by whomever, with this folder for its temporary files."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR", "").startswith(str(scratch)) and process.status() != "zombie":
                found.append(process)
        except psutil.Error:
            continue
    return found


@contextmanager
def swapping(running: Supervised, version: str = "2") -> Iterator[list[httpx.Response]]:
    """Ask for a version without waiting for the answer, which is in the list when the block is over."""
    answers: list[httpx.Response] = []
    url = running.client.base_url.join("/v2/repository/models/flights/load")

    def load() -> None:
        # A connection of a worker that is killed is none on which an answer comes.
        try:
            answers.append(httpx.post(url, json={"parameters": {"version": version}}, timeout=DEADLINE_SECONDS))
        except httpx.TransportError:
            return

    asking = threading.Thread(target=load)
    asking.start()
    yield answers
    asking.join(DEADLINE_SECONDS)


def stopped_while_it_loads(running: Supervised, known: set[int]) -> psutil.Process:
    """Wait for a worker that is not known yet and stop it in the middle of its start."""

    def found() -> psutil.Process | None:
        return next((worker for worker in running.workers() if worker.pid not in known), None)

    worker: psutil.Process = wait_until(found, "another worker is started")
    worker.suspend()
    return worker


def only_broken_connections(traffic: Traffic, workers_killed: int) -> None:
    assert traffic.errors == set()
    assert sum(traffic.failures.values()) <= CONNECTIONS * workers_killed, traffic.failures


def swaps_once_more(running: Supervised, version: str, workers: int) -> None:
    assert running.load(version=version).status_code == 200
    assert running.version() == version
    wait_until(lambda: len(running.workers()) == workers, "the old workers are gone")
    wait_until(running.is_ready, "the replica is ready")


def leaves_nothing(running: Supervised, scratch: Path) -> None:
    assert running.stop() == 0
    wait_until(lambda: not started_with(scratch), "no process is left")
    # ONNX Runtime keeps one file of its own there, the same for all processes.
    assert [path for path in scratch.rglob("*") if path.name != ".ses"] == []
    bundles = running.run_dir / "bundles"
    assert [entry.name for entry in bundles.iterdir() if entry.name.startswith(".")] == []


def test_the_process_that_loads(scratch: Path, repository: Path, tmp_path: Path, quick_bundle: Bundle) -> None:
    options = ("--repository", str(repository), "--model-version", "1")
    with supervised(tmp_path / "run", *options, *PATIENT) as running:
        with Traffic(running.client.base_url, list(quick_bundle.sample), CONNECTIONS) as traffic:
            with swapping(running) as answers:
                stopped_while_it_loads(running, {worker.pid for worker in running.workers()}).kill()
            assert (answers[0].status_code, "killed by signal 9" in answers[0].json()["error"]) == (400, True)
            assert running.version() == "1"
            swaps_once_more(running, "2", workers=1)
        assert traffic.failures == {}
        leaves_nothing(running, scratch)


def test_the_process_that_builds_the_bundle(
    scratch: Path, repository: Path, tmp_path: Path, quick_bundle: Bundle
) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    (repository / "flights" / "3.py").write_text(HELD % str(hold))
    options = ("--repository", str(repository), "--model-version", "1", "--trust")
    with supervised(tmp_path / "run", *options, *PATIENT) as running:
        own = psutil.Process(running.process.pid)

        def checking() -> psutil.Process | None:
            found = own.children(recursive=True)
            return next((child for child in found if "tidegate.artifact" in child.cmdline()), None)

        with Traffic(running.client.base_url, list(quick_bundle.sample), CONNECTIONS) as traffic:
            with swapping(running, "3") as answers:
                checker: psutil.Process = wait_until(checking, "the model is checked")
                builder = checker.parent()
                assert builder is not None
                builder.kill()
                assert psutil.wait_procs([checker], timeout=DEADLINE_SECONDS)[1] == []
            assert (answers[0].status_code, "code -9" in answers[0].json()["error"]) == (503, True)
            assert running.version() == "1"
            hold.unlink()
            swaps_once_more(running, "2", workers=1)
        assert traffic.failures == {}
        leaves_nothing(running, scratch)


def test_an_old_worker(scratch: Path, repository: Path, tmp_path: Path, quick_bundle: Bundle) -> None:
    options = ("--repository", str(repository), "--model-version", "1", "--workers", "2")
    with supervised(tmp_path / "run", *options, *PATIENT) as running:
        old = running.workers()
        with Traffic(running.client.base_url, list(quick_bundle.sample), CONNECTIONS) as traffic:
            with swapping(running):
                new = stopped_while_it_loads(running, {worker.pid for worker in old})
                old[0].kill()
                running.event("worker-died")
                new.resume()
                running.event("serving", number=2)
            wait_until(lambda: len(running.workers()) == 2, "the old workers are gone")
            assert running.version() == "2"
            swaps_once_more(running, "1", workers=2)
        only_broken_connections(traffic, 1)
        leaves_nothing(running, scratch)


def test_a_new_worker_right_after_it_took_over(
    scratch: Path, repository: Path, tmp_path: Path, quick_bundle: Bundle
) -> None:
    options = ("--repository", str(repository), "--model-version", "1", "--workers", "2")
    with supervised(tmp_path / "run", *options, *PATIENT) as running:
        old = {worker.pid for worker in running.workers()}
        with Traffic(running.client.base_url, list(quick_bundle.sample), CONNECTIONS) as traffic:
            with swapping(running):
                running.event("serving", number=2)
                next(worker for worker in running.workers() if worker.pid not in old).kill()
            running.event("worker-died")
            wait_until(lambda: len(running.workers()) == 2 and running.is_ready(), "another one serves")
            assert running.version() == "2"
            swaps_once_more(running, "1", workers=2)
        only_broken_connections(traffic, 1)
        leaves_nothing(running, scratch)


def test_the_supervisor(scratch: Path, repository: Path, tmp_path: Path, quick_bundle: Bundle) -> None:
    options = ("--repository", str(repository), "--model-version", "1", "--workers", "2")
    with supervised(tmp_path / "run", *options, *PATIENT) as running:
        url = running.client.base_url
        with swapping(running) as answers:
            new = stopped_while_it_loads(running, {worker.pid for worker in running.workers()})
            running.process.kill()
            running.process.wait(DEADLINE_SECONDS)
            new.resume()
            wait_until(lambda: not started_with(scratch), "all workers end, those that load as well")
        assert [answer.status_code for answer in answers] in ([], [503])  # a worker may be left to say so, or none
        # A process that ends has no environment any more a moment before its sockets are closed.
        with pytest.raises(httpx.TransportError):
            httpx.get(url)
    with supervised(tmp_path / "run", *options, *PATIENT) as running:
        swaps_once_more(running, "2", workers=2)
        leaves_nothing(running, scratch)
