"""The target with Tidegate's own server and a real model."""

from __future__ import annotations

import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server.bundles import write_bundle_of
from tests.support.quick_models import flights_model
from tests.support.traffic import until
from tests.target.conftest import Run
from tidegate.gateway.base import RevisionRef, Trial
from tidegate.gateway.envoy import EnvoyGateway
from tidegate.gateway.os_process import OsProcess
from tidegate.target.base import RevisionSpec
from tidegate.target.local import LocalTarget

#: One worker runs them all: they share one Envoy.


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> RevisionSpec:
    folder = tmp_path_factory.mktemp("models")
    bundle = write_bundle_of(flights_model(folder / "model.onnx"), folder / "bundles")
    return RevisionSpec(RevisionRef("late", 1), bundle.folder, "late", "1", latency_objective_ms=50.0, threads=1)


def test_a_model_is_served_through_the_gateway_and_replaced_when_killed(
    run: Run[Any], tmp_path: Path, spec: RevisionSpec
) -> None:
    target = LocalTarget(tmp_path, EnvoyGateway(tmp_path / "gateway", port=0))

    async def story() -> None:
        await target.start()
        first = await until(lambda: target.ensure_replicas(spec, 1), lambda health: health.ready == 1, seconds=30)
        await target.set_split("late", {1: 100}, 5.0)
        async with httpx.AsyncClient(trust_env=False, base_url=target.url("late")) as client:
            ready = await client.get("/v2/health/ready")
            assert ready.status_code == 200
            metadata = await client.get("/v2/models/late")
            assert metadata.json()["name"] == "late"
        pid = first.replicas[0].pid
        assert pid is not None
        killed = OsProcess.of(pid)
        assert killed is not None
        killed.send(signal.SIGKILL)
        again = await until(
            lambda: target.ensure_replicas(spec, 1),
            lambda health: health.ready == 1 and health.restarts == 1,
            seconds=30,
        )
        assert again.replicas[0].last_exit == "SIGKILL"
        # A replica of the real server ends by itself when it is asked: no grace passes.
        await target.remove_revision(spec.ref)
        assert list(await target.running()) == []

    try:
        run(story())
    finally:
        run(target.stop())


def test_two_revisions_note_the_same_requests_while_they_are_compared(
    run: Run[Any], tmp_path: Path, spec: RevisionSpec
) -> None:
    target = LocalTarget(tmp_path, EnvoyGateway(tmp_path / "gateway", port=0))
    other = replace(spec, ref=RevisionRef("late", 2))
    row = {"distance": 800.0, "hour": 17, "month": 6, "carrier": "UA"}
    found: dict[int, dict[str, Any]] = {1: {}, 2: {}}

    async def story() -> None:
        await target.start()
        for each in (spec, other):
            await until(partial(target.ensure_replicas, each, 1), lambda health: health.ready == 1, seconds=30)
        await target.set_split("late", {1: 100}, 5.0, Trial(2, 100))
        async with httpx.AsyncClient(trust_env=False, base_url=target.url("late")) as client:

            async def both() -> int:
                for ref in (spec.ref, other.ref):
                    await target.note_answers(ref, 1.0)
                answer = await client.post("/predict", json={"records": [row]})
                assert answer.status_code == 200
                for ref in (spec.ref, other.ref):
                    found[ref.revision].update({noted.request_id: noted.outputs for noted in await target.noted(ref)})
                return len(found[1].keys() & found[2].keys())

            await until(both, lambda count: count >= 5, seconds=30)

    try:
        run(story())
    finally:
        run(target.stop())
    for request_id in found[1].keys() & found[2].keys():
        assert found[1][request_id] == found[2][request_id]
