"""What is recorded of a rollout is enough to judge it again, whatever becomes of the controller and the disk."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.controller.test_reconciling import NAME, Place
from tests.support.readings import of_one_process
from tidegate.contract.errors import NotFound
from tidegate.controller import recorder
from tidegate.controller.reconcile import Reconciler
from tidegate.gateway.base import Counts, DurationBucket
from tidegate.target.base import Reading
from tidegate.trial import recording
from tidegate.trial.replay import replay

ANALYSIS = {"baseline": "0s", "interval": "100ms", "stepDuration": "1h"}


class Counting:
    """Counters that grow with every reading: ten of a hundred requests are the candidate's, of which a share fails."""

    def __init__(self, failing: float) -> None:
        self.failing = failing
        self.readings = 0

    async def read(self, deployment: str) -> Reading:
        self.readings += 1
        tried, kept = 10 * self.readings, 90 * self.readings
        counts = {1: counted(kept, 0), 2: counted(tried, int(self.failing * tried))}
        return of_one_process(counts)


def counted(requests: int, errors: int) -> Counts:
    return Counts(requests, errors, 0, (DurationBucket(60.0, 61.0, requests),))


async def rolled_out(place: Place, failing: float) -> int:
    """Drive a second revision until its rollout has ended; every tick takes a look."""
    await place.serve_first()
    place.target.read = Counting(failing).read  # type: ignore[method-assign]
    row = place.begin("b" * 64, steps=[10, 100], analysis=ANALYSIS)
    for _ in range(200):
        place.reconciler.seen.looked_at = min(place.reconciler.seen.looked_at, 1e-9)
        await place.reconciler.tick()
        if place.store.rollout(row.id).ended_at is not None:
            break
    return row.id


def read(place: Place, rollout: int) -> recording.Recording:
    return recording.read(place.service.recording(place.store.rollout(rollout)).splitlines(), "the recording")


@pytest.mark.parametrize(("failing", "end"), [(0.0, None), (0.2, "rolling_back")])
def test_a_rollout_is_judged_again_as_it_was_judged(tmp_path: Path, failing: float, end: str | None) -> None:
    async def story() -> None:
        place = Place(tmp_path / "home")
        rollout = await rolled_out(place, failing)
        told = replay(read(place, rollout))
        assert told["looks"] >= 2
        assert told["unlike_the_record"] == 0
        assert told["from_revision"] == 1
        assert told["steps"][0]["weight"] == 10
        if end is not None:
            assert end in [phase["phase"] for phase in told["happened"]]
            assert told["steps"][0]["recorded_fail_at"] == told["steps"][0]["replayed_fail_at"] is not None
        await place.supervisor.stop()

    asyncio.run(story())


def test_a_look_that_brought_nothing_takes_no_line(tmp_path: Path) -> None:
    async def story() -> None:
        place = Place(tmp_path / "home")
        await place.serve_first()
        row = place.begin("b" * 64, steps=[10, 100], analysis=ANALYSIS)
        for _ in range(20):
            place.reconciler.seen.looked_at = min(place.reconciler.seen.looked_at, 1e-9)
            await place.reconciler.tick()
        kinds = [entry["kind"] for entry in read(place, row.id).entries]
        assert kinds.count("step") == 1
        assert kinds.count("look") <= 2
        await place.supervisor.stop()

    asyncio.run(story())


def test_a_controller_that_was_killed_in_the_middle_of_a_line_spoils_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        place = Place(tmp_path / "home")
        await place.serve_first()
        place.target.read = Counting(0.5).read  # type: ignore[method-assign]
        row = place.begin("b" * 64, steps=[10, 100], analysis=ANALYSIS)
        for _ in range(4):
            place.reconciler.seen.looked_at = min(place.reconciler.seen.looked_at, 1e-9)
            await place.reconciler.tick()
        with place.home.recording(NAME, row.id).open("a") as stream:
            stream.write('{"kind":"lo')
        place.reconciler = Reconciler(NAME, place.home, place.store, place.target)
        for _ in range(100):
            place.reconciler.seen.looked_at = min(place.reconciler.seen.looked_at, 1e-9)
            await place.reconciler.tick()
        known = read(place, row.id)
        told = replay(known)
        assert told["unlike_the_record"] == 0
        for entry in known.entries:
            for side in ("candidate", "stable"):
                if side in entry:
                    slower = dict(zip(known.bounds, entry[side].slower, strict=True))
                    assert (slower[60], slower[70]) == (entry[side].requests, 0)
        assert "rolled_back" in [phase["phase"] for phase in told["happened"]]
        await place.supervisor.stop()

    asyncio.run(story())


def test_a_recording_is_bounded_and_says_where_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MOST_BYTES", 2_600)

    async def story() -> None:
        place = Place(tmp_path / "home")
        rollout = await rolled_out(place, 0.0)
        lines = place.home.recording(NAME, rollout).read_text().splitlines()
        assert json.loads(lines[-1])["kind"] == "full"
        assert sum(map(len, lines)) < 2_800
        assert not read(place, rollout).is_complete
        await place.supervisor.stop()

    asyncio.run(story())


def test_a_disk_that_is_full_stops_the_recording_and_not_the_rollout(tmp_path: Path) -> None:
    async def story() -> None:
        place = Place(tmp_path / "home")
        await place.serve_first()
        # A file stands where the folder of the recordings should be.
        folder = place.home.recording(NAME, 2).parent
        for path in folder.glob("*"):
            path.unlink()
        folder.rmdir()
        folder.write_text("in the way")
        place.target.read = Counting(0.5).read  # type: ignore[method-assign]
        row = place.begin("b" * 64, steps=[10, 100], analysis=ANALYSIS)
        for _ in range(60):
            place.reconciler.seen.looked_at = min(place.reconciler.seen.looked_at, 1e-9)
            await place.reconciler.tick()
        assert place.store.rollout(row.id).phase == "rolled_back"
        await place.supervisor.stop()

    asyncio.run(story())


def test_a_rollout_without_a_trial_has_no_recording(tmp_path: Path) -> None:
    async def story() -> None:
        place = Place(tmp_path / "home")
        await place.serve_first()
        with pytest.raises(NotFound, match="has no recording"):
            place.service.recording(place.store.rollouts(1)[0])

    asyncio.run(story())
