"""Whether replicas bear the throughput: from what is kept with a bundle to what a plan and its warnings say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.controller.test_reconciling import NAME, Place
from tests.support.models import onnx_model
from tidegate.artifact.bundle import Bundle, BundleContent, Environment, write_bundle
from tidegate.contract.findings import Level
from tidegate.contract.request import DeploymentRequest, parse_request
from tidegate.controller import sizing
from tidegate.controller.planning import plan_trial
from tidegate.controller.report import build
from tidegate.rollout import Rollout
from tidegate.store import RevisionRow

NOW = datetime(2026, 3, 1, tzinfo=UTC)
#: With what the server takes beside it, one replica answers 70 requests/s.
TEN_MS = 0.0099


def request(replicas: int = 4, unavailable: int = 64, throughput: str = "140rps", **fields: Any) -> DeploymentRequest:
    return parse_request(
        {
            "modelArtifact": {"path": "/m.onnx"},
            "servingRequirements": {"throughput": throughput},
            "deploymentStrategy": "rolling",
            "rolling": {"maxUnavailable": unavailable},
            "infrastructure": {"resources": {"replicas": replicas}},
            **fields,
        }
    )


def bundle(folder: Path, cpu_seconds: float | None) -> Bundle:
    artifact = folder / "model.onnx"
    artifact.write_bytes(f"{cpu_seconds}".encode())
    content = BundleContent(
        artifact=artifact,
        runtime="onnx",
        format="onnx",
        framework_version=None,
        trusted=False,
        signature={"kind": "opaque", "inputs": [], "outputs": []},
        environment=Environment(python="3.11", packages={}),
        memory_bytes=0,
        settings={},
        sample=[],
        cpu_seconds=cpu_seconds,
    )
    return write_bundle(content, folder / "bundles")


def stable(digest: str = "a" * 64, **fields: Any) -> RevisionRow:
    return RevisionRow(1, 3, digest, request(**fields).as_document(), NOW)


def kept(asked: DeploymentRequest, serving: RevisionRow, needed: float | None) -> list[int | None]:
    return [step.stable_replicas for step in plan_trial(asked, serving, 4, needed).steps]


def test_a_throughput_that_needs_three_of_stables_four_replicas_lets_one_be_missing(tmp_path: Path) -> None:
    made = bundle(tmp_path, TEN_MS)
    serving, asked = stable(made.manifest.digest), request(throughput="210rps")
    needed = sizing.stable_needs(asked, serving, tmp_path / "bundles")
    assert needed == pytest.approx(3)
    assert kept(asked, serving, needed) == [3, 2, 1, 0]
    (told,) = sizing.warnings(asked, serving, needed, [made.manifest])
    assert told == (
        "210rps need 3 replicas of revision 3, which has 4: each answers about 70 requests/s at 70 % use; fewer may be "
        "missing during the exchange than rolling.maxUnavailable says (64)"
    )


def test_a_throughput_that_needs_no_more_than_the_pair_that_stays_changes_nothing(tmp_path: Path) -> None:
    made = bundle(tmp_path, TEN_MS)
    serving = stable(made.manifest.digest)
    needed = sizing.stable_needs(request(), serving, tmp_path / "bundles")
    assert needed == pytest.approx(2)
    assert kept(request(), serving, needed) == kept(request(), serving, 0.0) == [2, 1, 0]
    assert sizing.warnings(request(), serving, needed, [made.manifest]) == ()


def test_what_was_not_measured_or_is_gone_counts_as_needed_and_the_exchange_goes_on(tmp_path: Path) -> None:
    made = bundle(tmp_path, None)
    for digest in (made.manifest.digest, "b" * 64):
        serving = stable(digest)
        needed = sizing.stable_needs(request(), serving, tmp_path / "bundles")
        assert needed is None
        assert kept(request(), serving, needed) == [3, 2, 1, 0]
        (told,) = sizing.warnings(request(), serving, needed, [made.manifest])
        assert "was not measured, so all 4 count as needed; fewer may be missing" in told


def test_nothing_is_said_of_an_exchange_that_goes_as_it_was_asked_for(tmp_path: Path) -> None:
    made = bundle(tmp_path, TEN_MS)
    serving = stable(made.manifest.digest)
    for asked in (request(unavailable=0), request(throughput="1rps"), request(deploymentStrategy="blue-green")):
        needed = sizing.stable_needs(asked, serving, tmp_path / "bundles")
        assert sizing.warnings(asked, serving, needed, [made.manifest]) == ()
    assert sizing.stable_needs(request(), None, tmp_path) is None
    assert sizing.warnings(request(), None, None, [made.manifest]) == ()


def test_workers_of_stable_count_and_those_of_the_candidate_do_not(tmp_path: Path) -> None:
    serving = stable(
        bundle(tmp_path, TEN_MS).manifest.digest, infrastructure={"resources": {"replicas": 4, "workers": 2}}
    )
    assert sizing.stable_needs(request(), serving, tmp_path / "bundles") == pytest.approx(1)


def test_a_step_whose_replicas_answer_less_than_its_share_is_warned_of(tmp_path: Path) -> None:
    steps = [{"weight": 25, "replicas": 1}, {"weight": 75, "replicas": 1}, 100]
    asked = request(deploymentStrategy="canary", steps=steps)
    measured, unknown = (bundle(tmp_path, seconds).manifest for seconds in (TEN_MS, None))
    (told,) = sizing.warnings(asked, stable(), None, [measured])
    assert "a step with 75 % gets 105 requests/s, and its replicas (1) answer about 70 requests/s" in told
    assert told.endswith("give it 2")
    assert sizing.warnings(asked, stable(), None, [measured, unknown]) == ()


def test_the_gate_warns_of_a_throughput_that_is_too_much_and_never_refuses_it(tmp_path: Path) -> None:
    measured, unknown = (bundle(tmp_path, seconds).manifest for seconds in (TEN_MS, None))
    enough = sizing.throughput(request(), [measured], cores=8)
    assert (enough.level, enough.check) == (Level.PASS, "throughput")
    assert "4 replicas answer about 280 requests/s at 70 % use" in enough.reason
    for little in (
        sizing.throughput(request(throughput="281rps"), [measured], cores=8),
        sizing.throughput(request(), [measured], cores=1),
    ):
        assert little.level is Level.WARN
    assert sizing.throughput(request(throughput="9000rps"), [measured, unknown], cores=1).level is Level.PASS


async def eventually(what: str, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.01)


def test_a_rolling_exchange_of_real_models_keeps_what_was_measured_and_says_so_everywhere(tmp_path: Path) -> None:
    models = [onnx_model(tmp_path / f"{seed}.onnx", seed=seed).path for seed in (1, 2)]

    def document(path: Path) -> dict[str, Any]:
        # More than any replica answers in 10 µs of processor time for a request.
        asked = request(throughput="1000000rps", name=NAME, modelArtifact={"path": str(path)})
        return asked.as_document()

    async def story(place: Place) -> None:
        first = await place.service.deploy(document(models[0]))
        await eventually("the first is promoted", lambda: place.store.rollout(first.rollout or 0).ended_at is not None)
        previewed = await place.service.preview(document(models[1]))
        accepted = await place.service.deploy(document(models[1]))
        row = place.store.rollout(accepted.rollout or 0)
        plan = Rollout.from_storage(row.state).plan
        assert [step.stable_replicas for step in plan.steps] == [3, 2, 1, 0]
        assert [step["stable_replicas"] for step in previewed["plan"]["steps"]] == [3, 2, 1, 0]
        (told,) = [warning for warning in accepted.warnings if "rolling.maxUnavailable" in warning]
        assert told.startswith("1000000rps need ")
        assert "replicas of revision 1, which has 4" in told
        assert told in previewed["warnings"]
        assert any(warning.startswith("throughput: 4 replicas answer about ") for warning in accepted.warnings)
        candidate = place.store.revision(row.deployment_id, row.to_revision)
        events = place.store.events(row.deployment_id, rollout_id=row.id)
        assert told in build(row, candidate, events)["warnings"]

    async def told_to_its_end() -> None:
        place = Place(tmp_path / "home")
        try:
            await story(place)
        finally:
            await place.supervisor.stop()

    asyncio.run(told_to_its_end())
