"""Replicas of several workers, with Tidegate's own server: gRPC beside HTTP, deaths, and nobody left behind."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import tritonclient.grpc

from tests.server.bundles import write_bundle_of
from tests.support.quick_models import flights_model
from tests.support.traffic import until
from tests.target.conftest import Run
from tidegate.gateway.base import RevisionRef
from tidegate.gateway.envoy import EnvoyGateway
from tidegate.gateway.os_process import OsProcess, find_by_argument
from tidegate.target.base import RevisionHealth, RevisionSpec
from tidegate.target.local import LocalTarget

#: One worker runs them all: they share one Envoy and one replica.
REF = RevisionRef("late", 1)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> RevisionSpec:
    folder = tmp_path_factory.mktemp("models")
    bundle = write_bundle_of(flights_model(folder / "model.onnx"), folder / "bundles")
    return RevisionSpec(REF, bundle.folder, "late", "1", latency_objective_ms=50.0, threads=1, workers=2, grpc=True)


@pytest.fixture(scope="module")
def target(run: Run[Any], tmp_path_factory: pytest.TempPathFactory, spec: RevisionSpec) -> Iterator[LocalTarget]:
    home = tmp_path_factory.mktemp("workers")
    opened = LocalTarget(home, EnvoyGateway(home / "gateway", port=0))
    run(opened.start())
    run(ready(opened, spec))
    run(opened.set_split("late", {1: 100}, 5.0))
    yield opened
    run(opened.stop())
    assert find_by_argument(str(folder_of(opened))) == []


async def ready(target: LocalTarget, spec: RevisionSpec, restarts: int = 0) -> RevisionHealth:
    """Return the health once the replica is ready after so many deaths, and all its workers serve."""

    async def whole() -> RevisionHealth | None:
        health = await target.ensure_replicas(spec, 1)
        if health.ready != 1 or health.restarts != restarts or len(workers(target)) != 2:
            return None
        async with httpx.AsyncClient(trust_env=False) as client:
            try:
                told = (await client.get(f"http://{health.replicas[0].address}/metrics")).text
            except httpx.HTTPError:
                return None
        return health if serving(told) == 2 else None

    found = await until(whole, lambda health: health is not None, seconds=60)
    assert found is not None
    return found


def serving(told: str) -> float:
    """Return how many workers serve, of the metrics of a replica."""
    values = [line.rpartition(" ")[2] for line in told.splitlines() if line.startswith("tidegate_server_workers{")]
    return float(values[0]) if values else 0.0


def folder_of(target: LocalTarget) -> Path:
    return target._home / "replicas" / "late" / "1" / "0"


def workers(target: LocalTarget) -> list[OsProcess]:
    return find_by_argument(str(folder_of(target)), "--worker")


def inferred(target: LocalTarget) -> list[Any]:
    """Return what the model answers through the gateway over REST and over gRPC, each with a row of its own sample."""
    answer = httpx.get(f"{target.url('late')}/v2/models/late", trust_env=False).json()
    with tritonclient.grpc.InferenceServerClient(target.grpc_address()) as client:
        metadata = client.get_model_metadata("late", as_json=True)
        assert client.is_server_ready()
        assert client.is_model_ready("late")
    return [[tensor["name"] for tensor in found["inputs"]] for found in (answer, metadata)]


def test_workers_answer_over_both_protocols_through_the_gateway(
    run: Run[Any], target: LocalTarget, spec: RevisionSpec
) -> None:
    health = run(ready(target, spec))
    assert health.replicas[0].grpc_address is not None
    over_rest, over_grpc = inferred(target)
    assert over_rest == over_grpc
    assert len(over_rest) > 1


def test_the_next_controller_adopts_a_replica_with_its_workers(
    run: Run[Any], target: LocalTarget, spec: RevisionSpec
) -> None:
    before = run(ready(target, spec)), workers(target)
    # A controller that was killed has closed nothing; the next one has only the files.
    later = LocalTarget(target._home, EnvoyGateway(target._home / "gateway", port=0))
    run(later.start())
    assert (run(ready(later, spec)), workers(later)) == before
    run(later.close())


def test_a_dead_worker_is_replaced_and_counts_as_a_death(
    run: Run[Any], target: LocalTarget, spec: RevisionSpec
) -> None:
    before = run(ready(target, spec))
    victim = workers(target)[0]
    victim.send(signal.SIGKILL)
    after = run(ready(target, spec, restarts=1))
    assert victim not in workers(target)
    assert after.replicas[0].pid == before.replicas[0].pid
    assert after.replicas[0].last_exit == "a worker died"
    inferred(target)


def test_workers_of_a_killed_supervisor_are_ended_even_where_they_hang(
    run: Run[Any], target: LocalTarget, spec: RevisionSpec
) -> None:
    before = run(ready(target, spec, restarts=1))
    orphans = workers(target)
    for orphan in orphans:
        os.kill(orphan.pid, signal.SIGSTOP)  # it cannot notice that it is alone
    pid = before.replicas[0].pid
    assert pid is not None
    psutil.Process(pid).kill()
    after = run(ready(target, spec, restarts=2))
    assert after.replicas[0].pid != pid
    assert after.replicas[0].last_exit == "SIGKILL"
    assert not any(orphan.is_alive() for orphan in orphans)
    inferred(target)


def test_a_revision_that_is_removed_answers_what_it_was_asked_and_leaves_nobody(
    run: Run[Any], target: LocalTarget, spec: RevisionSpec
) -> None:
    run(ready(target, spec, restarts=2))

    async def remove_under_load() -> set[int]:
        statuses: set[int] = set()
        async with httpx.AsyncClient(trust_env=False) as client:

            async def ask() -> None:
                while not removing.done():
                    statuses.add((await client.get(f"{target.url('late')}/v2/models/late")).status_code)

            removing = asyncio.create_task(target.remove_revision(REF))
            await asyncio.gather(removing, *(ask() for _ in range(4)))
        return statuses

    # 503 once the gateway has no replica; a connection that broke would have raised.
    assert run(remove_under_load()) <= {200, 503}
    assert find_by_argument(str(folder_of(target))) == []
