"""Whatever is seen, in whatever order, and wherever the controller is killed: the promises that hold at all times.

A small world stands in for gateway and replicas: it obeys actions, forgets none, and may refuse to confirm. The
controller of the test stores a state before it acts, as the real one does, and may be killed between any two actions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.rollout import (
    Arm,
    ArmSeen,
    Command,
    EnsureReplicas,
    NotAllowed,
    Observation,
    Phase,
    Plan,
    RemoveReplicas,
    Rollout,
    SetSplit,
    SplitCheck,
    Step,
    Verdict,
    advance,
    check_split,
    command,
    reweigh,
    strategies,
)
from tidegate.rollout.machine import actions

START = datetime(2026, 3, 1, tzinfo=UTC)
STABLE, CANDIDATE = 1, 2


@st.composite
def rising_steps(draw: st.DrawFn, replicas: int, stable_replicas: int, least: int) -> tuple[Step, ...]:
    """Steps of every kind, in an order that a plan allows."""
    steps = []
    share, own, kept = 0.0, 1, stable_replicas
    for _ in range(draw(st.integers(least, 5))):
        share = draw(st.sampled_from([share, *(weight for weight in (0, 0.5, 5, 33.33, 50, 100) if weight > share)]))
        own = draw(st.integers(own, replicas))
        kept = draw(st.integers(0 if share == 100 else 1, kept)) if kept else 0
        mirror = draw(st.sampled_from([0, 20, 100])) if share == 0 else 0
        until = draw(st.sampled_from(["pass", "time", "person"]))
        steps.append(Step(share, 30.0, until, mirror, own, kept))  # type: ignore[arg-type]
    return tuple(steps)


@st.composite
def all_plans(draw: st.DrawFn, least_steps: int = 0) -> Plan:
    replicas, stable_replicas = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    return Plan(
        candidate=CANDIDATE,
        stable=STABLE,
        steps=draw(rising_steps(replicas, stable_replicas, least_steps)),
        replicas=replicas,
        stable_replicas=stable_replicas,
        baseline_seconds=draw(st.sampled_from([0.0, 5.0])),
        ready_within_seconds=60.0,
        unready_seconds=5.0,
        max_restarts=draw(st.integers(0, 3)),
        on_inconclusive=draw(st.sampled_from(["pause", "rollback", "continue"])),
    )


@st.composite
def all_tests(draw: st.DrawFn) -> Plan:
    """A/B tests with one to four challengers."""
    weights = draw(st.lists(st.sampled_from([0.5, 5, 20, 25]), min_size=1, max_size=4))
    arms = tuple(Arm(CANDIDATE + at, weight, "bcde"[at]) for at, weight in enumerate(weights))
    return Plan(
        candidate=CANDIDATE,
        stable=STABLE,
        steps=strategies.ab_test(sum(weights)),
        replicas=draw(st.integers(1, 3)),
        stable_replicas=draw(st.integers(1, 3)),
        baseline_seconds=draw(st.sampled_from([0.0, 5.0])),
        ready_within_seconds=60.0,
        unready_seconds=5.0,
        max_restarts=draw(st.integers(0, 3)),
        on_inconclusive="pause",
        arms=arms,
    )


tests = all_tests()
plans = all_plans() | tests
verdicts = st.sampled_from(
    [
        None,
        Verdict("pass", "fine"),
        Verdict("fail", "harm"),
        Verdict("inconclusive", "too few requests"),
        Verdict("warning", "slower"),
        Verdict("error", "could not be measured"),
    ]
)


@dataclass(frozen=True)
class Tick:
    """One turn of the loop: what the world is like, and after how many actions the controller is killed, if it is."""

    ready: int
    stable_ready: int
    died: int
    gateway_answers: bool
    check: SplitCheck
    verdict: Verdict | None
    seconds: float
    asked: Command | None
    killed_after: int | None
    arm: str | None = None
    weights: Mapping[str, float] | None = None
    others: tuple[ArmSeen, ...] = (ArmSeen(3, 0, None),) * 3


others = st.builds(ArmSeen, ready=st.integers(0, 3), restarts=st.integers(0, 1), verdict=verdicts)
ticks = st.builds(
    Tick,
    ready=st.integers(0, 3),
    stable_ready=st.integers(0, 3),
    died=st.integers(0, 1),
    gateway_answers=st.booleans(),
    check=st.sampled_from(list(SplitCheck)),
    verdict=verdicts,
    seconds=st.floats(-5.0, 40.0),
    asked=st.none() | st.none() | st.none() | st.sampled_from(list(Command)),
    killed_after=st.none() | st.integers(0, 4),
    arm=st.none() | st.sampled_from("bcde"),
    weights=st.none() | st.none() | st.dictionaries(st.sampled_from("bcde"), st.sampled_from([0, 1, 10, 30, 60])),
    others=st.tuples(others, others, others),
)


@dataclass
class World:
    """What gateway and target do with actions."""

    split: dict[int, float] = field(default_factory=lambda: {STABLE: 100})
    mirror: float = 0
    replicas: dict[int, int] = field(default_factory=lambda: {STABLE: 1})

    def perform(self, action: EnsureReplicas | SetSplit | RemoveReplicas) -> None:
        match action:
            case EnsureReplicas(revision, count):
                self.replicas[revision] = count
            case SetSplit(split, _, mirror):
                self.split, self.mirror = dict(split), mirror
            case RemoveReplicas(revision):
                assert self.split.get(revision, 0) == 0, "replicas of a revision with traffic were removed"
                self.replicas.pop(revision, None)


@dataclass
class Controller:
    """The loop around the engine, with a store that is written before anything is done."""

    stored: str
    world: World
    now: datetime = START
    deaths: int = 0
    others_deaths: list[int] = field(default_factory=lambda: [0, 0, 0])
    phases: list[Phase] = field(default_factory=list)

    def turn(self, tick: Tick) -> None:
        self.now += timedelta(seconds=tick.seconds)
        self.deaths += tick.died
        rollout = Rollout.from_storage(json.loads(self.stored))
        if tick.asked is not None:
            with suppress(NotAllowed):
                rollout = command(rollout, tick.asked, self.now, by="ada", reason="", arm=tick.arm).rollout
            self.store(rollout)
        if tick.weights is not None:
            with suppress(NotAllowed, ValueError):
                rollout = reweigh(rollout, tick.weights, self.now, by="ada", reason="").rollout
            self.store(rollout)
        for done, action in enumerate(actions(rollout)):
            if done == tick.killed_after:
                return
            self.world.perform(action)
        seen = Observation(
            candidate_ready=min(tick.ready, self.world.replicas.get(CANDIDATE, 0)),
            stable_ready=min(tick.stable_ready, self.world.replicas.get(STABLE, 0)),
            candidate_restarts=self.deaths,
            split=dict(self.world.split) if tick.gateway_answers else None,
            split_check=tick.check,
            verdict=tick.verdict,
            mirror=self.world.mirror,
            arms=self.arms(tick),
        )
        moved = advance(rollout, seen, self.now)
        self.store(moved.rollout)
        for done, action in enumerate(moved.actions):
            if tick.killed_after is not None and done + 4 == tick.killed_after:
                return
            self.world.perform(action)

    def arms(self, tick: Tick) -> dict[int, ArmSeen]:
        """What is seen of each challenger: the first is the candidate of the tick."""
        first = ArmSeen(tick.ready, self.deaths, tick.verdict)
        self.others_deaths = [
            deaths + arm.restarts for deaths, arm in zip(self.others_deaths, tick.others, strict=True)
        ]
        seen = (first, *(replace(arm, restarts=n) for arm, n in zip(tick.others, self.others_deaths, strict=True)))
        return {
            CANDIDATE + at: replace(arm, ready=min(arm.ready, self.world.replicas.get(CANDIDATE + at, 0)))
            for at, arm in enumerate(seen)
        }

    def store(self, rollout: Rollout) -> None:
        self.stored = json.dumps(rollout.for_storage())
        self.phases.append(rollout.phase)

    @property
    def rollout(self) -> Rollout:
        return Rollout.from_storage(json.loads(self.stored))


def begin(plan: Plan) -> Controller:
    return Controller(
        json.dumps(Rollout.begin(plan, START).for_storage()), World(replicas={STABLE: plan.stable_replicas})
    )


@settings(max_examples=120, deadline=None)
@given(plan=plans, story=st.lists(ticks, max_size=40))
def test_the_name_always_has_a_serving_revision_with_replicas(plan: Plan, story: list[Tick]) -> None:
    controller = begin(plan)
    for tick in story:
        controller.turn(tick)
        split = controller.world.split
        assert sum(split.values()) == pytest.approx(100)
        assert all(controller.world.replicas.get(revision, 0) >= 1 for revision in split)


@settings(max_examples=120, deadline=None)
@given(plan=plans, story=st.lists(ticks, max_size=40))
def test_stable_keeps_its_replicas_until_a_split_that_does_without_them_is_in_force(
    plan: Plan, story: list[Tick]
) -> None:
    controller = begin(plan)
    for tick in story:
        controller.turn(tick)
        world = controller.world
        kept, weight = world.replicas.get(STABLE, 0), world.split.get(CANDIDATE, 0)
        enough = [step for step in plan.steps if step.weight <= weight and (step.stable_replicas or 0) <= kept]
        assert kept == plan.stable_replicas or enough or controller.rollout.phase is Phase.PROMOTED


@settings(max_examples=120, deadline=None)
@given(plan=plans, story=st.lists(ticks, max_size=40))
def test_nobody_is_copied_to_a_candidate_that_serves_or_is_decided(plan: Plan, story: list[Tick]) -> None:
    controller = begin(plan)
    for tick in story:
        controller.turn(tick)
        rollout = controller.rollout
        assert not (rollout.mirror and rollout.weight)
        if rollout.is_terminal or rollout.phase in (Phase.PROMOTING, Phase.ROLLING_BACK):
            assert rollout.mirror == 0


@settings(max_examples=120, deadline=None)
@given(plan=plans, story=st.lists(ticks, max_size=40))
def test_a_failed_candidate_is_never_given_traffic_again_and_a_decision_is_final(plan: Plan, story: list[Tick]) -> None:
    controller = begin(plan)
    for tick in story:
        before = controller.rollout
        controller.turn(tick)
        after = controller.rollout
        if before.phase is Phase.ROLLING_BACK:
            assert after.phase in (Phase.ROLLING_BACK, before.end)
            assert after.weight <= before.weight
        if before.is_terminal:
            assert after == before
        if after.phase in (Phase.ROLLED_BACK, Phase.ABORTED, Phase.FAILED):
            assert after.weight == 0
            assert after.split() == {STABLE: 100}


@settings(max_examples=100, deadline=None)
@given(plan=plans, story=st.lists(ticks, max_size=30))
def test_from_any_state_a_harmful_candidate_ends_without_traffic_or_was_made_stable_before(
    plan: Plan, story: list[Tick]
) -> None:
    controller = begin(plan)
    for tick in story:
        controller.turn(tick)
    promoted = controller.rollout.phase is Phase.PROMOTED
    bad = Tick(3, 3, 0, gateway_answers=True, check=SplitCheck.CONFIRMED, verdict=Verdict("fail", "harm"), seconds=1.0,
               asked=None, killed_after=None, others=(ArmSeen(3, 0, Verdict("fail", "harm")),) * 3)  # fmt: skip
    for _ in range(40):
        controller.turn(bad)
    ended = controller.rollout
    if ended.plan.steps and not promoted:
        waits = ended.phase is Phase.PAUSED and ended.step < 0
        assert waits or ended.phase in (Phase.ROLLED_BACK, Phase.ABORTED)
        assert controller.world.split == {STABLE: 100}


@settings(max_examples=100, deadline=None)
@given(plan=plans, story=st.lists(ticks, max_size=30))
def test_kills_change_nothing_about_where_a_story_ends(plan: Plan, story: list[Tick]) -> None:
    """After any story, a healthy world that nobody disturbs brings the rollout to an end or to a person."""
    controller = begin(plan)
    for tick in story:
        controller.turn(tick)
    calm = Tick(3, 3, 0, gateway_answers=True, check=SplitCheck.CONFIRMED, verdict=Verdict("pass", "fine"), seconds=6.0,
                asked=None, killed_after=None)  # fmt: skip
    for _ in range(60):
        controller.turn(calm)
    rollout = controller.rollout
    assert rollout.is_terminal or rollout.phase is Phase.PAUSED
    assert controller.world.split == rollout.split()
    serving = {rollout.plan.candidate if rollout.phase is Phase.PROMOTED else STABLE}
    assert set(controller.world.replicas) == (serving if rollout.is_terminal else serving | {*rollout.on_trial})


@settings(max_examples=150, deadline=None)
@given(plan=tests, story=st.lists(ticks, max_size=40))
def test_an_arm_that_is_out_never_comes_back_and_takes_nobody_from_the_others(plan: Plan, story: list[Tick]) -> None:
    controller = begin(plan)
    for tick in story:
        before = controller.rollout
        controller.turn(replace(tick, weights=None))
        after = controller.rollout
        assert set(after.on_trial) <= set(before.on_trial)
        # The last one that is left, or the one that a person chose, is out when the whole test goes back.
        is_going_back = after.phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK)
        assert is_going_back or not {arm.name for arm in after.arms} & set(after.gone)
        if after.phase in (Phase.SHIFTING, Phase.PAUSED) and after.step >= 0:
            kept = {arm.revision: arm.weight for arm in plan.arms if arm.revision in after.on_trial}
            assert {revision: share for revision, share in after.split().items() if revision != STABLE} == kept


@settings(max_examples=100, deadline=None)
@given(plan=tests, story=st.lists(ticks, max_size=20), bad=st.integers(0, 3))
def test_one_harmful_arm_goes_and_the_others_stay_with_what_they_had(plan: Plan, story: list[Tick], bad: int) -> None:
    """Whatever came before, where two arms are in the test and one does harm, the other one goes on."""
    controller = begin(plan)
    for tick in story:
        controller.turn(tick)
    before = controller.rollout
    if len(before.arms) < 2 or before.phase in (Phase.PREPARING, Phase.ROLLING_BACK) or before.is_terminal:
        return
    harmful = before.arms[bad % len(before.arms)]
    said = [Verdict("fail", "harm") if harmful.revision == CANDIDATE + at else None for at in range(4)]
    controller.deaths, controller.others_deaths = 0, [0, 0, 0]
    tick = Tick(3, 3, 0, gateway_answers=True, check=SplitCheck.UNKNOWN, verdict=said[0], seconds=0.5, asked=None,
                killed_after=None, others=tuple(ArmSeen(3, 0, one) for one in said[1:]))  # fmt: skip
    for _ in range(60):
        controller.turn(tick)
    after = controller.rollout
    assert controller.world.split == after.split()
    if before.phase is not Phase.PAUSED or before.step >= 0:
        assert harmful.name in after.gone
        assert after.phase is Phase.PAUSED
        assert after.arms
        assert harmful.revision not in after.on_trial
        # Or what a person had asked for it, if replicas for that were waited for.
        had = {arm.name: {arm.weight, arm.next_weight} for arm in before.arms if arm.name != harmful.name}
        assert [arm.name for arm in after.arms] == list(had)
        assert all(arm.weight in had[arm.name] for arm in after.arms)


@given(plan=plans, story=st.lists(ticks, max_size=15))
def test_what_is_stored_is_what_is_read(plan: Plan, story: list[Tick]) -> None:
    controller = begin(plan)
    for tick in story:
        controller.turn(tick)
        rollout = controller.rollout
        assert Rollout.from_storage(json.loads(json.dumps(rollout.for_storage()))) == rollout


@given(weight=st.integers(0, 100), total=st.integers(30, 100_000))
def test_a_split_that_is_exactly_as_asked_is_confirmed(weight: int, total: int) -> None:
    tried = round(total * weight / 100)
    assert check_split(weight, tried, total - tried) is SplitCheck.CONFIRMED


def test_too_few_requests_say_nothing_of_the_split_and_a_wrong_split_is_seen() -> None:
    assert check_split(50, 0, 29) is SplitCheck.UNKNOWN
    assert check_split(10, 0, 1000) is SplitCheck.CONTRADICTED
    assert check_split(10, 500, 500) is SplitCheck.CONTRADICTED
    assert check_split(100, 400, 3) is SplitCheck.CONFIRMED
