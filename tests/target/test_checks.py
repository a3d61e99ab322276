"""Checks of running replicas, with real processes behind a real Envoy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.traffic import Load, send_many, until
from tests.target.conftest import Place, Run, spec_of
from tidegate.boot import seconds_since_boot
from tidegate.health.attempts import RealAttempts
from tidegate.health.base import Affects, Check, CommandProbe, HttpProbe
from tidegate.target.base import RevisionHealth, RevisionSpec
from tidegate.target.local import LocalTarget

#: One worker runs them all: they share one Envoy.


def check(folder: Path, affects: Affects, **settings: Any) -> Check:
    """Return a check that fails for a replica whose index names a file `ill-INDEX` in the folder."""
    probe = CommandProbe(("sh", "-c", "test ! -e ill-$REPLICA_INDEX || { echo a file says so; exit 1; }"), folder)
    timing = {"period_seconds": 0.2, "timeout_seconds": 20.0, "failure_threshold": 1, **settings}
    return Check("smoke", affects, probe, **timing)


def spec_with(name: str, *checks: Check) -> RevisionSpec:
    return replace(spec_of(name), checks=checks)


async def ensure(
    target: LocalTarget, spec: RevisionSpec, count: int, met: Callable[[RevisionHealth], bool]
) -> RevisionHealth:
    return await until(lambda: target.ensure_replicas(spec, count), met, seconds=30)


def test_a_replica_that_is_not_well_gets_no_requests_until_it_is_again(
    place: Place, run: Run[Any], tmp_path: Path
) -> None:
    spec = spec_with("unwell", check(tmp_path, "readiness"))
    target = place.open(attempts=RealAttempts())

    async def story() -> None:
        await ensure(target, spec, 2, lambda health: health.ready == 2)
        await target.set_split("unwell", {1: 100}, 5.0)
        async with Load(f"{target.url('unwell')}/x", clients=2) as load:
            await load.more(20, of="1/0")
            (tmp_path / "ill-0").touch()
            ill = await ensure(target, spec, 2, lambda health: health.ready == 1)
            assert [replica.ready for replica in ill.replicas] == [False, True]
            assert ill.replicas[0].unwell == "the check smoke fails: exit code 1: a file says so"
            assert ill.replicas[0].checks[0].passing is False
            assert ill.replicas[1].unwell is None
            at_rest = load.answers.names["1/0"] + 2  # those that were on their way
            await load.more(100, of="1/1")
            assert load.answers.names["1/0"] <= at_rest
            (tmp_path / "ill-0").unlink()
            well = await ensure(target, spec, 2, lambda health: health.ready == 2)
            assert well.restarts == 0
            await load.more(20, of="1/0")
        assert load.answers.failed == 0
        await target.remove_revision(spec.ref)

    run(story())


def test_a_controller_that_is_started_again_gives_an_unwell_replica_no_requests(
    place: Place, run: Run[Any], tmp_path: Path
) -> None:
    spec = spec_with("kept", check(tmp_path, "readiness"))
    target = place.open(attempts=RealAttempts())

    async def before() -> None:
        await ensure(target, spec, 2, lambda health: health.ready == 2)
        await target.set_split("kept", {1: 100}, 5.0)
        (tmp_path / "ill-1").touch()
        await ensure(target, spec, 2, lambda health: health.ready == 1)

    async def after(again: LocalTarget) -> None:
        answers = await send_many(f"{again.url('kept')}/x", 40)
        assert set(answers.names) == {"1/0"}  # the gateway never needed a controller for it
        first = await again.ensure_replicas(spec, 2)
        assert [replica.checks[0].passing for replica in first.replicas] == [True, False]
        assert (await send_many(f"{again.url('kept')}/x", 40)).names == {"1/0": 40}
        assert [replica.ready for replica in first.replicas] == [True, False]
        await again.remove_revision(spec.ref)

    run(before())
    place.close()
    run(after(place.open(attempts=RealAttempts())))


def test_a_replica_that_is_not_live_is_restarted(place: Place, run: Run[Any], tmp_path: Path) -> None:
    spec = spec_with("stuck", check(tmp_path, "liveness"))
    target = place.open(attempts=RealAttempts())

    async def story() -> None:
        first = await ensure(target, spec, 2, lambda health: health.ready == 2)
        (tmp_path / "ill-1").touch()
        await ensure(target, spec, 2, lambda health: health.restarts == 1)
        (tmp_path / "ill-1").unlink()
        again = await ensure(target, spec, 2, lambda health: health.ready == 2)
        assert again.replicas[0].pid == first.replicas[0].pid
        assert again.replicas[1].last_exit == "killed: the check smoke fails: exit code 1: a file says so"
        await target.remove_revision(spec.ref)

    run(story())


def test_a_cause_that_all_replicas_share_never_restarts_them_all(place: Place, run: Run[Any], tmp_path: Path) -> None:
    spec = spec_with("shared", check(tmp_path, "liveness"))
    skipped = [0.0]
    target = place.open(attempts=RealAttempts(), clock=lambda: seconds_since_boot() + skipped[0])

    async def ticks(done: Callable[[RevisionHealth], bool]) -> RevisionHealth:
        """Ensure again and again, and see that two of three always live."""

        async def look() -> RevisionHealth:
            health = await target.ensure_replicas(spec, 3)
            assert sum(replica.pid is not None for replica in health.replicas) >= 2
            return health

        return await until(look, done, seconds=30)

    async def story() -> None:
        await ensure(target, spec, 3, lambda health: health.ready == 3)
        for index in range(3):
            (tmp_path / f"ill-{index}").touch()
        await ticks(lambda health: health.restarts == 1)
        # The one that was restarted is back, and not well: that mended nothing, so the others are left alone.
        held = await ticks(
            lambda health: health.ready == 3 and all(replica.checks[0].passing is False for replica in health.replicas)
        )
        assert held.restarts == 1
        skipped[0] += 10.0  # the pause after one restart that did not help
        second = await ticks(lambda health: health.restarts == 2)
        assert sorted(replica.restarts for replica in second.replicas) == [0, 1, 1]
        for index in range(3):
            (tmp_path / f"ill-{index}").unlink()
        well = await ticks(
            lambda health: health.ready == 3 and all(replica.checks[0].passing for replica in health.replicas)
        )
        assert well.restarts == 2
        await target.remove_revision(spec.ref)

    run(story())


def test_no_other_check_begins_before_a_replica_has_started(place: Place, run: Run[Any], tmp_path: Path) -> None:
    started = replace(check(tmp_path, "startup", failure_threshold=1000), name="startup")
    live = Check("liveness", "liveness", HttpProbe("/x", (("x-status", "500"),)), 0.0, 0.1, 5.0, 1, 1)
    spec = spec_with("slow", started, live)
    target = place.open(attempts=RealAttempts())
    (tmp_path / "ill-0").touch()

    async def story() -> None:
        tried = await ensure(target, spec, 1, lambda health: health.replicas[0].checks[0].detail != "")
        assert not tried.replicas[0].ready
        assert tried.replicas[0].checks[1].passing is None
        assert tried.restarts == 0
        (tmp_path / "ill-0").unlink()
        await ensure(target, spec, 1, lambda health: health.restarts == 1)  # by liveness, which begins now
        await target.remove_revision(spec.ref)

    run(story())


def test_a_replica_that_does_not_start_in_time_is_started_again(place: Place, run: Run[Any], tmp_path: Path) -> None:
    spec = spec_with("never", replace(check(tmp_path, "startup", failure_threshold=3), name="startup"))
    target = place.open(attempts=RealAttempts())
    (tmp_path / "ill-0").touch()

    async def story() -> None:
        health = await ensure(target, spec, 1, lambda health: health.restarts == 1)
        assert (health.replicas[0].last_exit or "").startswith("killed: startup fails: ")
        (tmp_path / "ill-0").unlink()
        await ensure(target, spec, 1, lambda health: health.ready == 1)
        await target.remove_revision(spec.ref)

    run(story())


def test_a_target_without_a_way_to_make_attempts_refuses_checks(place: Place, run: Run[Any], tmp_path: Path) -> None:
    spec = spec_with("mute", check(tmp_path, "readiness"))
    target = place.open()

    async def story() -> None:
        with pytest.raises(ValueError, match="nothing here makes their attempts"):
            await ensure(target, spec, 1, lambda health: health.ready == 1)
        await target.remove_revision(spec.ref)

    run(story())
