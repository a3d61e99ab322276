"""One worker of several is dead: the replica says so over every protocol, the others serve on, it is replaced."""

from __future__ import annotations

import signal
from pathlib import Path

import grpc
import httpx
import psutil
import pytest

from tests.server.grpc_service import Client
from tests.server.processes import DEADLINE_SECONDS, wait_until
from tests.server.supervisors import Kept, Supervised, kept_by, supervised
from tests.server.test_grpc import health
from tidegate.artifact.bundle import Bundle

READINESS = ["/v2/health/ready", "/v2/models/flights/ready", "/v2/models/flights/versions/1/ready"]


def suspended_replacement(running: Supervised, known: set[int]) -> psutil.Process:
    """Wait for a worker that is not known yet and stop it in the middle of its start."""

    def found() -> psutil.Process | None:
        return next((worker for worker in running.workers() if worker.pid not in known), None)

    replacement: psutil.Process = wait_until(found, "another worker is started")
    replacement.suspend()
    return replacement


def index(running: Supervised, kept: Kept) -> list[str]:
    return [entry["state"] for entry in kept.ask("/v2/repository/index", {})[1]]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended by somebody"])
def test_while_a_worker_is_dead_the_replica_is_not_ready_and_the_others_serve(
    quick_bundle: Bundle, tmp_path: Path, number: signal.Signals
) -> None:
    options = ("--bundle", str(quick_bundle.folder), "--workers", "2", "--grpc-port", "0", "--model-version", "1")
    with supervised(tmp_path, *options) as running:
        survivor, victim = running.workers()
        url, sample = running.client.base_url, list(quick_bundle.sample)
        grpc_address = f"127.0.0.1:{running.event('listening')['grpc_port']}"
        with kept_by(survivor, url) as kept:
            assert [kept.ask(path)[0] for path in READINESS] == [200] * 3
            assert index(running, kept) == ["READY"]
            victim.send_signal(number)
            replacement = suspended_replacement(running, {survivor.pid, victim.pid})

            # The replacement stands still, so this lasts as long as it takes to look at everything.
            for path in READINESS:
                status, document = kept.ask(path)
                assert (status, document["ready"]) == (503, False)
                assert document["reason"] == "1 of 2 workers serve: another is being started"
            assert index(running, kept) == ["UNAVAILABLE"]
            assert [kept.ask("/predict", sample)[0] for _ in range(20)] == [200] * 20
            assert httpx.post(url.join("/predict"), json=sample).status_code == 200  # a new connection
            assert httpx.get(url.join("/v2/health/ready")).status_code == 503
            with grpc.insecure_channel(grpc_address) as channel:
                grpc.channel_ready_future(channel).result(DEADLINE_SECONDS)
                client = Client(channel)
                assert client.ask("ServerLive").live
                assert not client.ask("ServerReady").ready
                assert not client.ask("ModelReady", name="flights").ready
                assert health(client, "") == 2

                replacement.resume()
                wait_until(lambda: kept.ask(READINESS[0])[0] == 200, "the replacement serves")
                assert [kept.ask(path)[0] for path in READINESS] == [200] * 3
                assert index(running, kept) == ["READY"]
                wait_until(lambda: client.ask("ServerReady").ready, "gRPC says so, too")
                assert client.ask("ModelReady", name="flights").ready
        assert {worker.pid for worker in running.workers()} == {survivor.pid, replacement.pid}


def test_readiness_turns_with_the_death_under_load_and_no_request_of_the_survivor_fails(
    quick_bundle: Bundle, tmp_path: Path
) -> None:
    with supervised(tmp_path, "--bundle", str(quick_bundle.folder), "--workers", "2") as running:
        survivor, victim = running.workers()
        sample = list(quick_bundle.sample)
        with kept_by(survivor, running.client.base_url) as kept:
            told: list[int] = []

            def turned() -> bool:
                assert kept.ask("/predict", sample)[0] == 200
                told.append(kept.ask("/v2/health/ready")[0])
                return told[-1] == 200 and 503 in told

            assert kept.ask("/v2/health/ready")[0] == 200
            victim.kill()
            wait_until(turned, "not ready, then ready")
            assert running.event("worker-died")["code"] == -signal.SIGKILL
        assert told.index(503) < len(told) - 1
        assert 200 not in told[told.index(503) : -1]  # ready once, and not in between
        assert {worker.pid for worker in running.workers()} > {survivor.pid}
        assert victim.pid not in {worker.pid for worker in running.workers()}
