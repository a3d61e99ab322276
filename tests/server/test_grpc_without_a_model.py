"""gRPC is answered while no model is served, and a model is loaded again by it."""

from __future__ import annotations

import contextlib
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from tests.server.grpc_service import MESSAGES, Client
from tests.server.processes import DEADLINE_SECONDS, wait_until
from tests.server.supervisors import Supervised, supervised
from tests.server.test_grpc import health
from tidegate.artifact.bundle import Bundle

Code = grpc.StatusCode


@pytest.fixture
def running(tmp_path: Path, quick_bundle: Bundle) -> Iterator[Supervised]:
    repository = tmp_path / "models"
    shutil.copytree(quick_bundle.folder, repository / "flights" / "1")
    with supervised(tmp_path / "run", "--repository", str(repository), "--grpc-port", "0") as started:
        yield started


@pytest.fixture
def client(running: Supervised) -> Iterator[Client]:
    with grpc.insecure_channel(f"127.0.0.1:{running.event('listening')['grpc_port']}") as channel:
        yield Client(channel)


def standins(running: Supervised) -> list[psutil.Process]:
    return [child for child in psutil.Process(running.process.pid).children() if is_standin(child)]


def is_standin(process: psutil.Process) -> bool:
    try:
        return "tidegate.server.grpc.standin" in process.cmdline()
    except psutil.Error:  # it has just ended
        return False


def refusal(client: Client, method: str, /, **fields: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as failed:
        client.ask(method, **fields)
    return failed.value.code(), failed.value.details()


def test_a_model_that_was_unloaded_is_missed_in_words_and_loaded_again(running: Supervised, client: Client) -> None:
    assert client.ask("ModelReady", name="flights").ready
    assert health(client, "") == 1
    client.ask("RepositoryModelUnload", model_name="flights")
    wait_until(lambda: health(client, "") == 2, "nothing serves")
    assert health(client, "flights") == 2
    assert client.ask("ServerLive").live
    assert not client.ask("ServerReady").ready
    assert not client.ask("ModelReady", name="flights").ready
    for name, fields in (
        ("ModelInfer", {"model_name": "flights"}),
        ("ModelMetadata", {"name": "flights"}),
        ("ServerMetadata", {}),
    ):
        assert refusal(client, name, **fields) == (Code.UNAVAILABLE, "no version of 'flights' is loaded")
    assert [model.state for model in client.ask("RepositoryIndex").models] == ["UNAVAILABLE"]
    assert refusal(client, "RepositoryModelLoad", model_name="planes")[0] is Code.NOT_FOUND
    assert refusal(client, "RepositoryModelUnload", model_name="planes")[0] is Code.NOT_FOUND
    client.ask("RepositoryModelLoad", model_name="flights")
    wait_until(lambda: client.ask("ModelReady", name="flights").ready, "the model is back")
    assert health(client, "") == 1
    wait_until(lambda: not standins(running), "nobody stands in")


def test_who_watches_the_health_is_told_that_nothing_serves(running: Supervised, client: Client) -> None:
    client.ask("RepositoryModelUnload", model_name="flights")
    wait_until(lambda: health(client, "") == 2, "nothing serves")
    watch: Any = client.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=DEADLINE_SECONDS)
    assert next(watch) == b"\x08\x02"
    client.ask("RepositoryModelLoad", model_name="flights")
    assert list(watch) == []  # it ends: a worker tells from now on


def test_what_stands_in_is_started_again_when_it_dies_and_ends_with_the_replica(
    running: Supervised, client: Client
) -> None:
    wait_until(lambda: not standins(running), "the one that stood in during the start is gone")
    client.ask("RepositoryModelUnload", model_name="flights")
    (first,) = wait_until(lambda: standins(running), "one stands in")
    first.send_signal(signal.SIGKILL)
    (second,) = wait_until(lambda: [one for one in standins(running) if one.pid != first.pid], "another does")
    wait_until(lambda: is_live(client), "it answers")
    assert running.stop() == 0
    assert not second.is_running()


def test_while_the_first_model_is_being_loaded_its_clients_are_told_so(tmp_path: Path, quick_bundle: Bundle) -> None:
    options = ("--bundle", str(quick_bundle.folder), "--grpc-port", "0")
    with supervised(tmp_path / "run", *options, serving=False) as running:
        (worker,) = wait_until(running.workers, "a worker loads")
        worker.suspend()
        with grpc.insecure_channel(f"127.0.0.1:{running.event('listening')['grpc_port']}") as channel:
            client = Client(channel)
            assert health(client, "") == 2
            assert refusal(client, "ModelInfer", model_name="flights") == (
                Code.UNAVAILABLE,
                "the model is still being loaded",
            )
            worker.resume()
            wait_until(lambda: health(client, "") == 1, "the model serves")


def test_what_was_to_stand_in_never_begins_when_a_worker_serves_before_it_has_started(
    tmp_path: Path, quick_bundle: Bundle
) -> None:
    options = ("--bundle", str(quick_bundle.folder), "--grpc-port", "0")
    with supervised(tmp_path / "run", *options, serving=False) as running:
        (worker,) = wait_until(running.workers, "a worker loads")
        worker.suspend()
        (standin,) = wait_until(lambda: standins(running), "one starts to stand in")
        standin.suspend()
        worker.resume()
        running.event("serving")
        with contextlib.suppress(psutil.NoSuchProcess):
            standin.resume()
        wait_until(lambda: not standins(running), "it is gone")
        assert "standing in" not in (tmp_path / "run" / "log").read_text()


def test_what_stands_in_ends_when_its_supervisor_is_killed(running: Supervised, client: Client) -> None:
    client.ask("RepositoryModelUnload", model_name="flights")
    wait_until(lambda: is_live(client), "it answers")
    (standin,) = standins(running)
    running.process.kill()
    assert standin.wait(DEADLINE_SECONDS) is None or not standin.is_running()


def is_live(client: Client) -> bool:
    try:
        answer = client.method("ServerLive")(b"", timeout=1)
    except grpc.RpcError:
        return False
    return bool(MESSAGES["ServerLiveResponse"].FromString(answer).live)
