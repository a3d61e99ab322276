"""What hooks say holds a rollout back or ends it, and never more than that."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.controller.test_reconciling import NAME, Place
from tests.support.receiver import Receiver, receiving
from tidegate.contract.notifications import Hook
from tidegate.controller import hooks
from tidegate.controller.gates import _Talk
from tidegate.controller.hooks import Answers, ruling
from tidegate.controller.reconcile import Reconciler
from tidegate.judge import Verdict as JudgeVerdict
from tidegate.rollout import Observation, Phase, Plan, Rollout, SplitCheck, Step, Verdict, advance
from tidegate.store import RolloutRow, Store
from tidegate.store.hook_answers import Point

START = datetime(2026, 3, 1, tzinfo=UTC)
PLAN = Plan(2, 1, (Step(10, 30.0), Step(100, 30.0)), 1, 1, 0.0, 60.0, 5.0, 3, "pause")


def hook(kind: str, **fields: Any) -> Hook:
    return Hook.model_validate({"name": "gate", "type": kind, "url": "http://a/b", **fields})


def answers(status: int | None, **fields: Any) -> Answers:
    return Answers(status=status, detail=f"answered {status}", calls=1, **fields)


@pytest.mark.parametrize("kind", ["confirm-rollout", "confirm-traffic-increase", "confirm-promotion"])
def test_only_a_200_confirms_and_everything_else_waits(kind: str) -> None:
    assert ruling(hook(kind), answers(200)).outcome == "go"
    for said in (Answers(), answers(204), answers(202), answers(403), answers(500), answers(None)):
        assert ruling(hook(kind), said).outcome == "hold"


@pytest.mark.parametrize(("on_failure", "outcome"), [("rollback", "refuse"), ("continue", "go")])
def test_a_confirmation_is_waited_for_as_long_as_the_request_says(on_failure: str, outcome: str) -> None:
    gate = hook("confirm-promotion", waitAtMost="10s", onFailure=on_failure)
    assert ruling(gate, answers(403, waited_seconds=9.9)).outcome == "hold"
    assert ruling(gate, answers(403, waited_seconds=10.0)).outcome == outcome


@pytest.mark.parametrize(("on_failure", "outcome"), [("rollback", "refuse"), ("continue", "go")])
@pytest.mark.parametrize("kind", ["pre-rollout", "rollout"])
def test_a_check_fails_when_its_retries_are_used_up(kind: str, on_failure: str, outcome: str) -> None:
    check = hook(kind, retries=2, onFailure=on_failure)
    assert ruling(check, answers(204)).outcome == "go"
    assert ruling(check, answers(500, failures=2)).outcome == "hold"
    assert ruling(check, answers(500, failures=3)).outcome == outcome


def test_a_rollback_hook_takes_back_with_a_2xx_and_does_nothing_otherwise() -> None:
    assert ruling(hook("rollback"), answers(200)).outcome == "refuse"
    for said in (Answers(), answers(404), answers(500, failures=99), answers(None)):
        assert ruling(hook("rollback"), said).outcome == "go"


def test_a_way_back_and_a_first_revision_ask_nobody() -> None:
    returning = replace(PLAN, steps=())
    before = Rollout(returning, Phase.PREPARING, START)
    assert hooks.before_start(before) == ()
    assert hooks.before_edge(before, before.evolve(phase=Phase.PROMOTING)) == ()
    assert hooks.meanwhile(before.evolve(phase=Phase.BASELINE)) == ()


def test_each_point_has_its_hooks() -> None:
    begun = Rollout(PLAN, Phase.PREPARING, START)
    baseline = begun.evolve(phase=Phase.BASELINE)
    first = baseline.evolve(phase=Phase.SHIFTING, step=0)
    analyzing = first.evolve(phase=Phase.ANALYZING)
    assert hooks.before_start(begun) == ("confirm-rollout",)
    assert hooks.before_edge(begun, baseline) == ()
    assert hooks.before_edge(baseline, first) == ("pre-rollout", "confirm-traffic-increase")
    assert hooks.before_edge(first, analyzing) == ()
    assert hooks.before_edge(analyzing, analyzing.evolve(phase=Phase.SHIFTING, step=1)) == ("confirm-traffic-increase",)
    assert hooks.before_edge(analyzing, analyzing.evolve(phase=Phase.PROMOTING)) == ("confirm-promotion",)
    assert hooks.before_edge(analyzing, analyzing.evolve(phase=Phase.PAUSED)) == ()
    scaling = analyzing.evolve(phase=Phase.SCALING, scaling_to=2)
    assert hooks.before_edge(scaling, analyzing.evolve(phase=Phase.PROMOTING)) == ("confirm-promotion",)
    assert hooks.before_edge(scaling.evolve(asked_by="ada"), analyzing.evolve(phase=Phase.PROMOTING)) == ()
    assert hooks.meanwhile(baseline) == ("rollback",)
    assert hooks.meanwhile(analyzing) == ("rollout", "rollback")
    assert hooks.meanwhile(analyzing.evolve(phase=Phase.PROMOTING)) == ()


observations = st.builds(
    Observation,
    candidate_ready=st.integers(0, 1),
    stable_ready=st.integers(0, 1),
    candidate_restarts=st.integers(0, 5),
    split=st.sampled_from([None, {1: 100}, {2: 10, 1: 90}, {2: 100}]),
    split_check=st.sampled_from(SplitCheck),
    verdict=st.sampled_from([None, *(Verdict(outcome, "why") for outcome in ("pass", "fail", "inconclusive"))]),
)


@given(
    seen=observations,
    phase=st.sampled_from(Phase),
    step=st.integers(-1, 1),
    seconds=st.floats(0, 100),
)
def test_the_engine_never_goes_forward_while_held_and_always_may_go_back(
    seen: Observation, phase: Phase, step: int, seconds: float
) -> None:
    if phase in (Phase.SHIFTING, Phase.ANALYZING) and step < 0:
        step = 0
    before = Rollout(PLAN, phase, START, step=step, end=Phase.ROLLED_BACK)
    now = START + timedelta(seconds=seconds)
    free = advance(before, seen, now).rollout
    held = advance(before, replace(seen, held="a hook"), now).rollout
    decided = {Phase.PROMOTING, Phase.ROLLING_BACK, Phase.PROMOTED, Phase.ROLLED_BACK, Phase.ABORTED, Phase.FAILED}
    if phase in decided or free.phase is Phase.ROLLING_BACK:
        assert held == free
    else:
        assert held.phase is not Phase.PROMOTING
        assert held.step == before.step
        assert held.weight <= max(before.weight, free.weight)
        refused = advance(before, replace(seen, refused="a hook"), now).rollout
        assert (refused.phase, refused.reason) == (Phase.ROLLING_BACK, "a hook")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "home"


class Trial:
    """A rollout whose judge passes everything, with a receiver as its hook."""

    def __init__(self, root: Path) -> None:
        self.place = Place(root)
        self.row: RolloutRow | None = None

    async def begin(self, receiver: Receiver, kind: str, **fields: Any) -> RolloutRow:
        await self.place.serve_first()
        one = {"name": "gate", "type": kind, "url": receiver.url, "interval": "100ms", **fields}
        self.row = self.place.begin("b" * 64, hooks=[one], steps=[10, 100], analysis={"baseline": "0s"})
        return self.row

    def now(self) -> RolloutRow:
        assert self.row is not None
        return self.place.store.rollout(self.row.id)

    async def until(self, done: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 20
        while not done():
            assert time.monotonic() < deadline, self.now()
            await self.place.reconciler.tick()
            await asyncio.sleep(0.01)


def kinds(trial: Trial) -> list[str]:
    row = trial.now()
    return [event.kind for event in trial.place.store.events(row.deployment_id, rollout_id=row.id)]


def test_no_replica_of_the_candidate_starts_before_the_rollout_is_confirmed(root: Path) -> None:
    async def main() -> None:
        trial = Trial(root)
        with receiving([403, 403, 200]) as receiver:
            await trial.begin(receiver, "confirm-rollout")
            await trial.until(lambda: "held" in kinds(trial))
            assert [ref.revision for ref in trial.place.target.replicas] == [1]
            assert trial.place.reconciler.seen.held == "the hook gate has not confirmed: answered 403"
            await trial.until(lambda: trial.now().phase == "analyzing")
        assert len(receiver.got) == 3
        assert receiver.got[0].body["candidate"] == 2
        assert trial.place.reconciler.seen.held is None

    asyncio.run(main())


def test_what_was_confirmed_stays_confirmed_when_the_controller_is_killed(root: Path) -> None:
    async def main() -> None:
        trial = Trial(root)
        with receiving([200, 403]) as receiver:
            await trial.begin(receiver, "confirm-rollout")
            await trial.until(lambda: len(trial.place.target.replicas) == 2)  # confirmed, and acted on
            trial.place.reconciler = Reconciler(
                NAME, trial.place.home, Store(trial.place.home.database), trial.place.target
            )
            await trial.until(lambda: trial.now().phase == "analyzing")
        assert len(receiver.got) == 1

    asyncio.run(main())


def test_a_refusal_stays_and_a_wait_goes_on_when_the_controller_is_killed(root: Path) -> None:
    async def main() -> None:
        trial = Trial(root)
        with receiving([500, 500, 200]) as receiver:
            await trial.begin(receiver, "pre-rollout", retries=1)
            # Two failed calls are one more than are borne; the controller is killed before anything follows from it.
            kept: list[Mapping[str, Any]] = []
            store = trial.place.store
            keep = store.hook_answers.keep

            def keep_and_die(rollout_id: int, point: Point, said: Mapping[str, Any]) -> None:
                keep(rollout_id, point, said)
                kept.append(said)
                if said["failures"] == 2:
                    raise SystemExit

            store.hook_answers.keep = keep_and_die  # type: ignore[method-assign]
            with pytest.raises(SystemExit):
                await trial.until(lambda: False)
            assert trial.now().ended_at is None
            trial.place.reconciler = Reconciler(
                NAME, trial.place.home, Store(trial.place.home.database), trial.place.target
            )
            await trial.until(lambda: trial.now().ended_at is not None)
        assert trial.now().phase == "rolled_back"
        assert len(receiver.got) == 2
        assert "the hook gate failed 2 times in a row: answered 500" in trial.now().state["reason"]

    asyncio.run(main())


def test_how_long_a_hook_was_waited_for_is_kept_with_what_it_said() -> None:
    talk = _Talk(since=time.monotonic() - 40.0, answers=Answers(403, "answered 403", 2, 5), told=True)
    again = _Talk.from_storage(json.loads(json.dumps(talk.for_storage())))
    assert again.for_storage()["waited_seconds"] == pytest.approx(40.0, abs=5.0)
    assert (again.told, again.gone, again.answers.failures) == (True, False, 2)


def test_a_rollout_that_nobody_confirms_in_time_never_starts_its_replicas(root: Path) -> None:
    async def main() -> None:
        trial = Trial(root)
        with receiving([403]) as receiver:
            await trial.begin(receiver, "confirm-rollout", waitAtMost="1s")
            await trial.until(lambda: trial.now().ended_at is not None)
        assert trial.now().phase == "rolled_back"
        assert [ref.revision for ref in trial.place.target.replicas] == [1]

    asyncio.run(main())


def test_traffic_is_not_increased_before_each_step_is_confirmed(root: Path) -> None:
    async def main() -> None:
        trial = Trial(root)
        with receiving([503, 200]) as receiver:
            await trial.begin(receiver, "confirm-traffic-increase")
            await trial.until(lambda: receiver.got)
            assert trial.place.target.splits[NAME] == {1: 100}
            await trial.until(lambda: trial.now().phase == "analyzing")
        assert [(one.body["weight"], one.body["next_weight"]) for one in receiver.got] == [(0, 10), (0, 10)]

    asyncio.run(main())


def test_each_point_at_which_a_rollout_is_held_is_told_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "tidegate.controller.evidence.Measured.verdict", lambda *_, **__: JudgeVerdict("pass", "all well", ())
    )
    monkeypatch.setattr("tidegate.controller.evidence.Measured.check_split", lambda *_: SplitCheck.CONFIRMED)

    async def main() -> None:
        trial = Trial(root)
        with receiving([403, 403, 200, 403, 403, 200]) as receiver:
            await trial.begin(receiver, "confirm-traffic-increase")
            await trial.until(lambda: trial.now().phase == "promoted")
        assert kinds(trial).count("held") == 2
        assert [one.body["step"] for one in receiver.got] == [-1, -1, -1, 0, 0, 0]

    asyncio.run(main())


def test_a_failed_check_before_the_rollout_takes_the_candidate_back_without_traffic(root: Path) -> None:
    async def main() -> None:
        trial = Trial(root)
        with receiving([500]) as receiver:
            await trial.begin(receiver, "pre-rollout", retries=1)
            await trial.until(lambda: trial.now().ended_at is not None)
        assert trial.now().phase == "rolled_back"
        assert trial.now().state["reason"] == "the hook gate failed 2 times in a row: answered 500"
        assert len(receiver.got) == 2
        assert "shifting" not in kinds(trial)

    asyncio.run(main())


def test_a_check_that_fails_later_takes_the_candidate_back(root: Path) -> None:
    async def main() -> None:
        trial = Trial(root)
        with receiving([200, 200, 500]) as receiver:
            await trial.begin(receiver, "rollout", retries=0)
            await trial.until(lambda: trial.now().phase == "rolled_back")
        assert trial.now().state["reason"] == "the hook gate failed once: answered 500"

    asyncio.run(main())


def test_a_rollback_hook_takes_the_candidate_back(root: Path) -> None:
    async def main() -> None:
        trial = Trial(root)
        with receiving([404, 404, 200]) as receiver:
            await trial.begin(receiver, "rollback")
            await trial.until(lambda: trial.now().phase == "rolled_back")
        assert trial.now().state["reason"] == "the hook gate asked to take the candidate back"

    asyncio.run(main())


def test_a_hook_that_hangs_never_blocks_a_tick(root: Path) -> None:
    async def main() -> None:
        trial = Trial(root)
        with receiving([None]) as receiver:
            await trial.begin(receiver, "confirm-traffic-increase")
            await trial.until(lambda: receiver.got)
            began = time.monotonic()
            for _ in range(5):
                await trial.place.reconciler.tick()
            assert time.monotonic() - began < 2
            assert trial.now().phase == "baseline"

    asyncio.run(main())


def test_the_judge_still_decides_while_a_promotion_waits(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = JudgeVerdict("pass", "all well", ())
    monkeypatch.setattr("tidegate.controller.evidence.Measured.verdict", lambda *_, **__: said)
    monkeypatch.setattr("tidegate.controller.evidence.Measured.check_split", lambda *_: SplitCheck.CONFIRMED)

    async def main() -> None:
        nonlocal said
        trial = Trial(root)
        with receiving([403]) as receiver:
            await trial.begin(receiver, "confirm-promotion")
            await trial.until(lambda: "held" in kinds(trial))
            assert trial.now().phase == "analyzing"
            assert trial.place.target.splits[NAME] == {2: 100}
            said = JudgeVerdict("fail", "it fails now", ())
            trial.place.reconciler.seen.looked_at = 0.0
            await trial.until(lambda: trial.now().phase == "rolled_back")
        assert trial.place.target.splits[NAME] == {1: 100}

    asyncio.run(main())
