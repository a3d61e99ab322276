"""The loop of the controller over a target that does as it is told, except where a test says otherwise."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.readings import of_one_process
from tidegate.artifact.build import BundleInfo
from tidegate.artifact.bundle import Environment, Manifest, Origin
from tidegate.contract.errors import Conflict, NotReady, Unavailable
from tidegate.contract.request import DeploymentRequest, parse_request
from tidegate.controller import planning, views
from tidegate.controller.clock import Clock
from tidegate.controller.evidence import Measured
from tidegate.controller.home import Home, read_json
from tidegate.controller.reconcile import Reconciler
from tidegate.controller.service import Service
from tidegate.controller.supervisor import Supervisor
from tidegate.gateway.base import Counts, Forced, NotesPositions, RevisionRef, ServedNotes, Sticky, Trial
from tidegate.judge import Verdict
from tidegate.rollout import Command, Phase, Rollout
from tidegate.store import NewEvent, RolloutRow, Store
from tidegate.target.base import Counted, Reading, ReplicaHealth, RevisionHealth, RevisionSpec, SplitChange

NAME = "churn"


class FakeTarget:
    """Replicas are ready at once; one that runs already is taken for the one that is wanted, as by the real target."""

    def __init__(self) -> None:
        self.replicas: dict[RevisionRef, Path] = {}
        self.splits: dict[str, dict[int, int]] = {}
        self.gateway_answers = True
        self.ready = True
        self.started = 0
        self.start_fails: Exception | None = None
        self.removal = asyncio.Event()
        self.removal.set()

    async def start(self) -> None:
        self.started += 1
        if self.start_fails is not None:
            raise self.start_fails

    def watches(self, revisions: int) -> int:
        return 0

    def is_whole(self) -> bool:
        return self.start_fails is None

    async def stop(self) -> None: ...

    async def close(self) -> None: ...

    async def ensure_replicas(self, spec: RevisionSpec, count: int) -> RevisionHealth:
        self.replicas.setdefault(spec.ref, spec.bundle)
        health = [ReplicaHealth(index, "127.0.0.1:1", 1, self.ready, 0, None) for index in range(count)]
        return RevisionHealth(tuple(health))

    async def remove_revision(self, ref: RevisionRef) -> None:
        await self.removal.wait()
        self.replicas.pop(ref, None)

    async def set_split(
        self,
        deployment: str,
        split: Mapping[int, float],
        timeout_seconds: float,
        trial: Trial | None = None,
        sticky: Sticky | None = None,
        *,
        forced: tuple[Forced, ...] = (),
    ) -> SplitChange:
        changed = self.splits.get(deployment, {}) != dict(split)
        self.splits[deployment] = dict(split)
        if not self.gateway_answers:
            raise Unavailable("the gateway does not run")
        return SplitChange(changed, 0.001 if changed else 0.0)

    async def read(self, deployment: str) -> Reading:
        return of_one_process({})

    async def served(self, after: NotesPositions) -> ServedNotes:
        return ServedNotes((), after)

    async def count_columns(self, ref: RevisionRef, share: float) -> None: ...

    async def counted(self, ref: RevisionRef) -> Counted:
        return Counted()

    async def running(self) -> Sequence[RevisionRef]:
        return sorted(self.replicas)

    def url(self, deployment: str) -> str:
        return f"http://127.0.0.1:1/{deployment}"

    def preview_url(self, deployment: str) -> str:
        return f"http://127.0.0.1:1/{deployment}@preview"

    async def logs(self, ref: RevisionRef, index: int, lines: int) -> list[str]:
        return [f"{ref.revision}/{index}"]


class Place:
    """A home with a store and a fake target; `begin` records a rollout as `deploy` does."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.home.create()
        self.store = Store(self.home.database)
        self.target = FakeTarget()
        self.supervisor = Supervisor(self.home, self.store, self.target)
        self.service = Service(self.home, "http://127.0.0.1:2", self.store, self.target, self.supervisor)
        self.reconciler = Reconciler(NAME, self.home, self.store, self.target)

    def begin(self, digest: str = "a" * 64, to: int | None = None, **fields: Any) -> RolloutRow:
        request = request_of(**fields)
        found = [row for row in self.store.deployments() if row.name == NAME and row.stable is not None]
        stable = self.store.revision(found[0].id, found[0].stable or 0) if found else None

        def state(_: int | None, candidate: int) -> Mapping[str, Any]:
            plan = planning.plan_trial if to is None else planning.plan_return
            return Rollout.begin(plan(request, stable, candidate), datetime.now(UTC)).for_storage()  # type: ignore[arg-type]

        return self.store.start_rollout(
            NAME,
            digest=digest,
            request=request.as_document(),
            plan_state=state,
            to_revision=to,
            happened=NewEvent("preparing", "begun"),
            now=datetime.now(UTC),
        )

    async def serve_first(self) -> None:
        row = self.begin()
        await self.until(lambda: self.store.rollout(row.id).ended_at is not None)

    async def until(self, done: Callable[[], bool]) -> None:
        for _ in range(50):
            await self.reconciler.tick()
            if done():
                return
        raise AssertionError("50 ticks were not enough")


def request_of(**fields: Any) -> DeploymentRequest:
    needs = fields.pop("servingRequirements", {})
    return parse_request({"name": NAME, "modelArtifact": {"path": "/m.onnx"}, "servingRequirements": needs, **fields})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "home"


async def soon(done: Callable[[], bool]) -> None:
    for _ in range(500):
        if done():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not within 5 s")


def test_a_deployment_made_while_its_namesake_is_being_deleted_is_driven_and_gets_replicas_of_its_own(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def build(*_: Any) -> BundleInfo:
        return info

    manifest = Manifest(
        digest="b" * 64,
        artifact="artifact/m.onnx",
        runtime="onnx",
        format="onnx",
        framework_version=None,
        trusted=False,
        signature={"kind": "columns", "inputs": [], "outputs": []},
        environment=Environment(python="3", packages={}),
        created_from=Origin(filename="m.onnx", size_bytes=1),
        memory_bytes=0,
        settings={},
    )
    info = BundleInfo(manifest.digest, root / manifest.digest, manifest, [])
    monkeypatch.setattr("tidegate.controller.admission.build_bundle", build)

    async def story() -> None:
        place = Place(root)
        await place.serve_first()
        place.supervisor.adopt(NAME)
        place.target.removal.clear()
        deleting = asyncio.create_task(place.service.delete(NAME, by="ada", reason=""))
        await asyncio.sleep(0.05)
        deploying = asyncio.create_task(place.service.deploy(request_of().as_document()))
        await asyncio.sleep(0.05)
        place.target.removal.set()
        await deleting
        accepted = await deploying
        assert accepted.rollout is not None
        await soon(lambda: place.store.rollout(accepted.rollout or 0).phase == "promoted")
        assert place.target.replicas == {RevisionRef(NAME, 1): place.home.bundles / ("b" * 64)}
        assert place.supervisor.seen(NAME).health[1].ready
        await place.supervisor.stop()

    asyncio.run(story())


def test_what_a_controller_that_was_killed_while_deleting_left_is_ended_by_the_next_one(root: Path) -> None:
    async def story() -> None:
        place = Place(root)
        await place.serve_first()
        place.store.delete_deployment(NAME, NewEvent("deleted", "and killed"), datetime.now(UTC))
        assert place.target.replicas
        assert place.home.rules(NAME).exists()
        await place.supervisor.start()
        await soon(lambda: not place.target.replicas)
        assert place.target.splits[NAME] == {}
        assert not place.home.rules(NAME).exists()
        await place.supervisor.stop()

    asyncio.run(story())


def test_a_deployment_can_be_deleted_while_the_gateway_is_away(root: Path) -> None:
    async def story() -> None:
        place = Place(root)
        await place.serve_first()
        place.target.gateway_answers = False
        await place.service.delete(NAME, by="ada", reason="")
        assert place.target.replicas == {}

    asyncio.run(story())


def test_the_gateway_is_looked_after_again_after_an_error_of_any_kind(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.controller.supervisor.RETRY_SECONDS", 0.01)

    async def story() -> None:
        place = Place(root)
        await place.supervisor.start()
        place.target.start_fails = OSError(28, "No space left on device")
        before = place.target.started
        await soon(lambda: place.target.started > before + 3)
        await place.supervisor.stop()

    asyncio.run(story())


def test_nothing_is_driven_after_the_end(root: Path) -> None:
    async def story() -> None:
        place = Place(root)
        await place.supervisor.start()
        await place.supervisor.stop()
        place.begin()
        place.supervisor.adopt(NAME)
        await asyncio.sleep(0.05)
        assert place.target.replicas == {}

    asyncio.run(story())


def test_a_verdict_on_one_candidate_is_not_held_against_the_next(root: Path) -> None:
    async def story() -> None:
        place = Place(root)
        await place.serve_first()
        second = place.begin("b" * 64)
        await place.reconciler.tick()
        await place.service.command(NAME, Command.ABORT, by="ada", reason="")
        await place.until(lambda: place.store.rollout(second.id).ended_at is not None)
        place.reconciler.seen.verdict = Verdict("fail", "harm by revision 2", ())
        place.reconciler.seen.looked_at = 1e12
        third = place.begin("c" * 64)
        await place.service.command(NAME, Command.PAUSE, by="ada", reason="")
        await place.reconciler.tick()
        assert place.store.rollout(third.id).phase == Phase.PAUSED

    asyncio.run(story())


def test_alert_rules_hold_what_serves_to_its_own_service_level_and_not_to_that_of_a_candidate(root: Path) -> None:
    async def story() -> None:
        place = Place(root)
        await place.serve_first()
        before = place.home.rules(NAME).read_text()
        row = place.begin("b" * 64, servingRequirements={"availability": "90%"})
        await place.reconciler.tick()
        assert place.home.rules(NAME).read_text() == before
        place.reconciler.seen.health.clear()
        await place.until(lambda: place.store.rollout(row.id).phase == Phase.BASELINE)
        place.supervisor._reconcilers[NAME] = place.reconciler
        await place.service.command(NAME, Command.PROMOTE, by="ada", reason="")
        await place.until(lambda: place.store.rollout(row.id).ended_at is not None)
        assert "90%" in place.home.rules(NAME).read_text()

    asyncio.run(story())


def test_files_that_cannot_be_written_stop_nobody_from_being_looked_after(root: Path) -> None:
    async def story() -> None:
        place = Place(root)
        (root / "reports").write_text("not a folder")
        (root / "monitoring").write_text("not a folder")
        await place.serve_first()
        assert place.store.deployment(NAME).stable == 1
        await Reconciler(NAME, place.home, place.store, place.target).tick()

    asyncio.run(story())


def test_a_promote_by_hand_waits_for_replicas_says_so_and_is_on_record_as_theirs_who_asked(root: Path) -> None:
    async def story() -> None:
        place = Place(root)
        await place.serve_first()
        row = place.begin("b" * 64)
        await place.until(lambda: place.store.rollout(row.id).phase == Phase.BASELINE)
        place.supervisor._reconcilers[NAME] = place.reconciler
        place.target.ready = False
        await place.reconciler.tick()
        asked = await place.service.command(NAME, Command.PROMOTE, by="ada", reason="it is fine")
        for _ in range(3):
            await place.reconciler.tick()
            assert place.target.splits[NAME] == {1: 100}
            assert RevisionRef(NAME, 1) in place.target.replicas
        shown = views.rollout_view(asked, place.reconciler.seen)
        assert (shown["phase"], shown["reason"]) == ("scaling", "ada asked to promote: it is fine")
        assert shown["waiting_for"] == "replicas of the candidate (0 of 2 ready)"
        place.target.ready = True
        await place.until(lambda: place.store.rollout(row.id).ended_at is not None)
        assert place.store.deployment(NAME).stable == 2
        told = read_json(place.home.report(NAME, row.id, "json"))
        assert told is not None
        assert (told["outcome"], told["decided_by"]) == ("promoted", "ada")

    asyncio.run(story())


@pytest.mark.parametrize(
    ("is_readable", "phase", "reason"),
    [
        (True, "promoted", "10 s passed; the verdict is inconclusive: errors, latency, rejections: no traffic"),
        (False, "paused", "the step's time is up without a verdict: the signals could not be measured: no gateway"),
    ],
)
def test_a_held_step_ends_with_a_look_at_its_end_however_rare_looks_are(
    root: Path, monkeypatch: pytest.MonkeyPatch, is_readable: bool, phase: str, reason: str
) -> None:
    async def story() -> None:
        place = Place(root)
        await place.serve_first()
        held = {"deploymentStrategy": "blue-green", "blueGreen": {"preview": "0s", "bake": "10s"}}
        row = place.begin("b" * 64, **held, analysis={"interval": "60s", "baseline": "0s"})
        await place.until(lambda: place.store.rollout(row.id).phase == "analyzing")

        async def unreadable(_: str) -> Reading:
            raise Unavailable("no gateway")

        if not is_readable:
            monkeypatch.setattr(place.target, "read", unreadable)
        now = place.store.rollout(row.id)
        begun = Rollout.from_storage(now.state)
        older = begun.evolve(phase_since=begun.phase_since - timedelta(seconds=21))
        place.store.save_look(now, older.for_storage(), now.evidence)
        place.reconciler.seen.looked_at -= 21
        await place.until(lambda: place.store.rollout(row.id).phase == phase)
        assert Rollout.from_storage(place.store.rollout(row.id).state).reason.startswith(reason)

    asyncio.run(story())


def test_a_revision_that_was_taken_back_is_not_returned_to_without_a_trial(root: Path) -> None:
    async def story() -> None:
        place = Place(root)
        await place.serve_first()
        row = place.begin("b" * 64)
        await place.service.command(NAME, Command.ABORT, by="ada", reason="")
        await place.until(lambda: place.store.rollout(row.id).ended_at is not None)
        with pytest.raises(Conflict, match="revision 2 of 'churn' was never stable"):
            await place.service.rollback(NAME, 2, by="ada", reason="")

    asyncio.run(story())


def test_a_return_that_would_end_the_gateway_is_refused_and_changes_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        place = Place(root)
        await place.serve_first()
        row = place.begin("b" * 64)
        ended = {**row.state, "phase": "promoted"}
        place.store.save_transition(row, ended, {}, (), datetime.now(UTC), ended=True, promoted=row.to_revision)
        assert place.store.deployment(NAME).stable == 2
        (place.home.bundles / place.store.revision(row.deployment_id, 1).digest).mkdir(parents=True, exist_ok=True)
        monkeypatch.setattr(place.target, "watches", lambda revisions: 1_000_000)
        with pytest.raises(NotReady, match="inotify"):
            await place.service.rollback(NAME, None, by="ada", reason="")
        assert place.store.active_rollout(row.deployment_id) is None
        monkeypatch.undo()
        assert (await place.service.rollback(NAME, None, by="ada", reason="")).revision == 1

    asyncio.run(story())


def test_the_logs_of_a_first_deployment_that_failed_are_found(root: Path) -> None:
    async def story() -> None:
        place = Place(root)
        row = place.begin()
        await place.service.command(NAME, Command.ABORT, by="ada", reason="")
        await place.until(lambda: place.store.rollout(row.id).ended_at is not None)
        assert place.store.deployment(NAME).stable is None
        assert (await place.service.logs(NAME, None, None, 10))[0] == "1/0"

    asyncio.run(story())


def test_the_token_is_made_whole_for_its_owner_only_and_stays(root: Path) -> None:
    home = Place(root).home
    token = home.token()
    assert len(token) > 40
    assert home.token() == token
    assert home.token_file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in root.glob(".token*")] == []


def test_an_address_file_that_was_cut_short_is_as_good_as_none(root: Path) -> None:
    home = Place(root).home
    home.address_file.write_text('{"pid": 12')
    assert read_json(home.address_file) is None


def test_a_full_disk_is_said_by_status_until_it_is_over(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.controller.supervisor.RETRY_SECONDS", 0.01)

    async def story() -> None:
        place = Place(root)
        await place.serve_first()
        await place.supervisor.start()
        full = OSError(28, "No space left on device")
        told = place.target.ensure_replicas

        async def refuse(*_: Any) -> RevisionHealth:
            raise full

        monkeypatch.setattr(place.target, "ensure_replicas", refuse)
        place.supervisor.wake(NAME)
        await soon(lambda: place.supervisor.seen(NAME).trouble is not None)
        deployment = place.store.deployment(NAME)
        shown = views.status(deployment, None, place.supervisor.seen(NAME), "http://127.0.0.1:1")
        stays = "nothing is decided, and the split stays as it is, until that is over"
        assert shown["trouble"] == f"no room is left on the disk of {root}: {stays}"
        monkeypatch.setattr(place.target, "ensure_replicas", told)
        await soon(lambda: place.supervisor.seen(NAME).trouble is None)
        await place.supervisor.stop()

    asyncio.run(story())


def test_reports_that_could_not_be_written_are_tried_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.controller.papers.RETRY_SECONDS", 0.0)

    async def story() -> None:
        place = Place(root)
        (root / "reports").write_text("no folder can be made here")
        await place.serve_first()
        report = place.home.report(NAME, 1, "json")
        await place.reconciler.tick()
        assert not report.parent.exists()
        (root / "reports").unlink()
        await place.until(report.exists)

    asyncio.run(story())


def test_a_step_goes_on_when_the_clock_is_set_by_a_day(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        place = Place(root)
        await place.serve_first()
        row = place.begin("b" * 64, steps=[50, 100], analysis={"stepDuration": "1h", "baseline": "0s"})
        await place.until(lambda: place.store.rollout(row.id).phase == "analyzing")
        before = Rollout.from_storage(place.store.rollout(row.id).state)
        real = time.time
        for day in (86400.0, -86400.0):
            monkeypatch.setattr("tidegate.boot.time.time", lambda day=day: real() + day)
            for _ in range(3):
                await place.reconciler.tick()
            assert place.store.rollout(row.id).phase == "analyzing"
            moved = before.on_clock(Clock().look())
            assert abs(Clock().now() - moved.phase_since) < timedelta(minutes=5)

    asyncio.run(story())


def test_requests_that_failed_while_stable_had_no_replica_are_not_held_for_its_own(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        place = Place(root)
        await place.serve_first()
        row = place.begin("b" * 64, steps=[50, 100], analysis={"interval": "100ms", "baseline": "0s"})
        counted = {1: Counts(0, 0, 0, ()), 2: Counts(0, 0, 0, ())}

        async def read(_: str) -> Reading:
            return of_one_process(dict(counted))

        async def look() -> Measured:
            place.reconciler.seen.looked_at = float("-inf")
            await place.reconciler.tick()
            return Measured.from_storage(place.store.rollout(row.id).evidence)

        monkeypatch.setattr(place.target, "read", read)
        await place.until(lambda: place.store.rollout(row.id).phase == "analyzing")
        looks = ((10, 0, True, 10), (30, 20, False, 10), (40, 25, True, 10), (50, 25, True, 20))
        for requests, errors, ready, total in looks:
            place.target.ready = ready
            counted[1] = Counts(requests, errors, 0, ())
            measured = await look()
            assert measured.total[1].requests == total
            assert measured.total[1].errors == 0

    asyncio.run(story())
