"""Another model without a failed request: load, unload, refuse, and what a repository may lead to."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.server import bundles
from tests.server.processes import DEADLINE_SECONDS, wait_until
from tests.server.supervisors import PATIENT, Supervised, Traffic, supervised
from tests.server.test_replica_process import in_flight
from tests.support import models
from tidegate.artifact.bundle import Bundle
from tidegate.contract.errors import InvalidInput, NotFound
from tidegate.server.supervisor.sources import Repository


@pytest.fixture
def repository(tmp_path: Path, quick_bundle: Bundle) -> Path:
    """A repository with one model, `flights`, and its version 1, a bundle."""
    root = tmp_path / "models"
    shutil.copytree(quick_bundle.folder, root / "flights" / "1")
    return root


@pytest.fixture
def running(repository: Path, tmp_path: Path) -> Iterator[Supervised]:
    with supervised(tmp_path / "run", "--repository", str(repository), *PATIENT) as started:
        yield started


def states(running: Supervised) -> dict[str, str]:
    return {entry["version"]: entry["state"] for entry in running.post("/v2/repository/index").json()}


def test_swaps_under_load_fail_no_request(repository: Path, tmp_path: Path, quick_bundle: Bundle) -> None:
    with supervised(tmp_path / "run", "--repository", str(repository), "--workers", "2", *PATIENT) as running:
        before = {worker.pid for worker in running.workers()}
        with Traffic(running.client.base_url, list(quick_bundle.sample)) as traffic:
            wait_until(lambda: traffic.answered > 50, "requests are answered")
            models.onnx_model(repository / "flights" / "2.onnx", seed=1)
            assert running.load().status_code == 200
            assert running.version() == "2"
            assert running.load(version="1").status_code == 200
            assert running.version() == "1"
            done = traffic.answered
            wait_until(lambda: traffic.answered > done + 50, "requests are answered afterwards")
            wait_until(lambda: len(running.workers()) == 2, "the old workers are gone")
        assert traffic.failures == {}
        assert not before & {worker.pid for worker in running.workers()}
        metrics = running.client.get("/metrics").text
        counted = sum(
            float(line.rpartition(" ")[2])
            for line in metrics.splitlines()
            if line.startswith("tidegate_server_requests_total{")
        )
        assert counted == traffic.answered  # over five generations of workers, none is forgotten


def test_a_broken_version_is_refused_and_fails_no_request(
    running: Supervised, repository: Path, quick_bundle: Bundle
) -> None:
    whole = models.onnx_model(repository / "whole.onnx").path.read_bytes()
    (repository / "flights" / "2.onnx").write_bytes(whole[: len(whole) // 2])
    shutil.copytree(repository / "flights" / "1", repository / "flights" / "3")
    artifact = next((repository / "flights" / "3" / "artifact").iterdir())
    artifact.chmod(0o644)
    artifact.write_bytes(b"changed" + artifact.read_bytes())
    with Traffic(running.client.base_url, list(quick_bundle.sample), connections=3) as traffic:
        answer = running.load(version=2)
        assert answer.status_code == 400
        assert "2.onnx" in answer.json()["error"]
        answer = running.load()
        assert answer.status_code == 400
        assert "was changed after it was written" in answer.json()["error"]
        assert running.version() == "1"
        assert states(running) == {"1": "READY", "2": "UNAVAILABLE", "3": "UNAVAILABLE"}
    assert traffic.answered > 0
    assert traffic.failures == {}
    assert running.is_ready()
    assert len(running.workers()) == 1


def test_a_model_is_unloaded_and_loaded_again_over_one_connection(running: Supervised, quick_bundle: Bundle) -> None:
    assert states(running) == {"1": "READY"}
    assert running.post("/v2/repository/models/flights/unload").status_code == 200
    wait_until(lambda: not running.workers(), "its workers end")
    assert running.client.get("/v2/health/ready").status_code == 503
    answer = running.post("/predict", list(quick_bundle.sample))
    assert answer.status_code == 503
    assert "no version of 'flights' is loaded" in answer.json()["error"]
    assert states(running) == {"1": "UNAVAILABLE"}
    assert running.post("/v2/repository/models/flights/load").status_code == 200
    assert running.is_ready()
    assert running.post("/predict", list(quick_bundle.sample)).status_code == 200


def test_a_request_in_flight_finishes_on_the_model_that_it_started_with(tmp_path: Path) -> None:
    root, release = tmp_path / "models", tmp_path / "release"
    waiting = bundles.waiting_model(tmp_path / "model.py", release)
    bundle = bundles.write_bundle_of(waiting, tmp_path / "bundles")
    shutil.copytree(bundle.folder, root / "flights" / "1")
    shutil.copytree(bundle.folder, root / "flights" / "2")
    with supervised(tmp_path / "run", "--repository", str(root), "--model-version", "1") as running:
        (old,) = running.workers()
        url, answers = running.client.base_url.join("/predict"), list[httpx.Response]()

        def ask() -> None:
            answers.append(httpx.post(url, json=[{"x": -1.0}], timeout=DEADLINE_SECONDS))

        asking = threading.Thread(target=ask)
        asking.start()
        wait_until(lambda: in_flight(running.client.get("/metrics").text) == 1, "the request is in flight")
        assert running.load().status_code == 200
        assert running.version() == "2"
        assert not answers
        release.touch()
        asking.join(DEADLINE_SECONDS)
        assert [answer.status_code for answer in answers] == [200]
        assert answers[0].json()["predictions"] == [{"y": -1.0, "process": old.pid}]
        old.wait(DEADLINE_SECONDS)


def test_sighup_serves_what_is_new_and_leaves_be_what_is_not(tmp_path: Path) -> None:
    file = tmp_path / "flights.onnx"
    models.onnx_model(file)
    with supervised(tmp_path / "run", "--model-file", str(file)) as running:
        os.kill(running.process.pid, signal.SIGHUP)
        running.event("unchanged")
        models.onnx_model(tmp_path / "new.onnx", seed=1).path.replace(file)
        os.kill(running.process.pid, signal.SIGHUP)
        running.event("serving", number=2)
        assert running.version() == "2"


def test_a_watched_file_is_taken_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "flights.onnx"
    models.onnx_model(file)
    with supervised(tmp_path / "run", "--model-file", str(file), "--watch-seconds", "0.05") as running:
        models.onnx_model(tmp_path / "new.onnx", seed=1).path.replace(file)
        assert running.event("serving", number=2)["version"] == "2"


def test_a_version_that_was_named_is_watched_and_not_left_for_a_newer_one(repository: Path, tmp_path: Path) -> None:
    models.onnx_model(repository / "flights" / "2.onnx", seed=1)
    models.onnx_model(repository / "flights" / "3.onnx", seed=2)
    options = ("--repository", str(repository), "--model-version", "2", "--watch-seconds", "0.05")
    with supervised(tmp_path / "run", *options) as running:
        os.kill(running.process.pid, signal.SIGHUP)
        assert running.event("unchanged")["version"] == "2"
        models.onnx_model(tmp_path / "new.onnx", seed=3).path.replace(repository / "flights" / "2.onnx")
        assert running.event("serving", number=2)["version"] == "2"


def test_only_what_the_repository_holds_can_be_asked_for(running: Supervised) -> None:
    for wish, status, word in (
        ({"version": "7"}, 404, "no version 7"),
        ({"version": "../../1"}, 400, "version"),
        ({"config": "{}"}, 400, "config"),
        ({"file:1/model.onnx": "AAAA"}, 400, "file:1/model.onnx"),
    ):
        answer = running.load(**wish)
        assert (answer.status_code, word in answer.json()["error"]) == (status, True), answer.text
    answer = running.post("/v2/repository/models/..%2Fother/load")
    assert answer.status_code == 404
    assert running.post("/v2/repository/models/other/load").status_code == 404
    assert running.post("/v2/repository/models/other/unload").status_code == 404
    assert running.version() == "1"


def test_without_a_repository_nothing_can_be_loaded(quick_bundle: Bundle, tmp_path: Path) -> None:
    with supervised(tmp_path, "--bundle", str(quick_bundle.folder)) as running:
        for action in ("load", "unload"):
            answer = running.post(f"/v2/repository/models/flights/{action}")
            assert answer.status_code == 403
            assert "--repository" in answer.json()["error"]
        assert running.is_ready()


def test_the_newest_version_is_the_highest_number_and_strange_names_are_none(tmp_path: Path) -> None:
    folder = tmp_path / "churn"
    for name in ("2", "10", "01", "draft", ".3", "4.onnx"):
        (folder / name).mkdir(parents=True)
    (folder / "9.onnx").write_bytes(b"")
    assert [offer.version for offer in Repository(tmp_path, None).offers()] == ["10", "9", "2"]


def test_a_link_out_of_the_repository_is_not_followed(tmp_path: Path, quick_bundle: Bundle) -> None:
    root = tmp_path / "models"
    (root / "flights").mkdir(parents=True)
    (root / "flights" / "1").symlink_to(quick_bundle.folder)
    (root / "flights" / "2").mkdir()
    (root / "flights" / "2" / "model.onnx").symlink_to(next(quick_bundle.folder.glob("artifact/*")))
    repository = Repository(root, "flights")
    for offer in repository.offers():
        with pytest.raises(InvalidInput, match="leads out of the repository"):
            repository.artifact_of(offer)


def test_a_repository_with_several_models_wants_to_know_which(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with pytest.raises(InvalidInput, match="say which one"):
        Repository(tmp_path, None)
    with pytest.raises(InvalidInput, match="no model 'c'"):
        Repository(tmp_path, "c")
    with pytest.raises(NotFound, match="no version"):
        Repository(tmp_path, "a").offers()
