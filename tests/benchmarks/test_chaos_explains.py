"""Requests that failed under chaos are put down to what was done, and to nothing else."""

from __future__ import annotations

import pytest

from benchmarks.chaos.explain import AWAY, GATE_HELD, HARMFUL, HELD, NONE_LEFT, UNEXPLAINED, ends_as_it_should, reasons
from benchmarks.chaos.killer import Kill
from benchmarks.chaos.plans import PLANS, Plan
from examples.flights.load import Record

STABLE, HARMFUL_ONE = 1, 2


def record(at: float, *, ms: float = 10.0, status: int | None = None, revision: int | None = None) -> Record:
    error = None if status == 200 else "ConnectionResetError"
    return Record(0, at, 0.0, ms, status, revision, error)


def reason(failed: Record, *kills: Kill) -> str:
    answered = [record(at, status=200, revision=STABLE) for at in (90.0, 102.0)]
    found = list(reasons([*answered, failed], kills, {HARMFUL_ONE}))
    assert [told for told, _ in found] == [failed]
    return found[0][1]


GATEWAY = Kill("gateway", 100.0, 1)
REPLICA, LAST = Kill("stable", 100.0, 2, STABLE, left=1), Kill("stable", 101.0, 3, STABLE, left=0)


@pytest.mark.parametrize(
    ("failed", "kills", "because"),
    [
        (record(95.0, status=500, revision=HARMFUL_ONE), [], HARMFUL),
        (record(95.0, status=500, revision=STABLE), [], UNEXPLAINED),
        (record(99.99, ms=20), [REPLICA], HELD),
        (record(100.5), [REPLICA], UNEXPLAINED),
        (record(99.99, ms=20), [GATEWAY], GATE_HELD),
        (record(99.99, ms=20, status=503), [GATEWAY], AWAY),
        (record(101.9), [GATEWAY], AWAY),
        (record(102.1), [GATEWAY], UNEXPLAINED),
        (record(99.9), [GATEWAY], UNEXPLAINED),
        (record(101.5, status=503, revision=STABLE), [REPLICA, LAST], NONE_LEFT),
        # It answered at 102.0, by one of the gateway's processes; another finds out a moment later.
        (record(102.5, status=503, revision=STABLE), [REPLICA, LAST], NONE_LEFT),
        (record(103.5, status=503, revision=STABLE), [REPLICA, LAST], UNEXPLAINED),
        (record(101.5, status=503, revision=9), [REPLICA, LAST], UNEXPLAINED),
        (record(101.5, status=503, revision=STABLE), [REPLICA], UNEXPLAINED),
        (record(101.5, status=503, revision=9), [REPLICA, Kill("candidate", 101.0, 3, 9, left=1)], UNEXPLAINED),
        (record(120.0, status=503, revision=9), [Kill("candidate", 101.0, 3, 9, left=0)], NONE_LEFT),
        (record(100.0), [Kill("controller", 100.0, 1)], UNEXPLAINED),
    ],
)
def test_a_failed_request_has_one_reason(failed: Record, kills: list[Kill], because: str) -> None:
    assert reason(failed, *kills) == because


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_a_harmful_candidate_is_rolled_back_whatever_its_plan(plan: Plan) -> None:
    for was_bare in (False, True):
        assert ends_as_it_should("rolled_back", plan, good=False, was_bare=was_bare)
        for outcome in ("promoted", "aborted", "failed", "not ended"):
            assert not ends_as_it_should(outcome, plan, good=False, was_bare=was_bare)


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_a_good_candidate_may_be_rolled_back_only_where_it_was_without_replicas(plan: Plan) -> None:
    assert ends_as_it_should("rolled_back", plan, good=True, was_bare=True)
    assert not ends_as_it_should("rolled_back", plan, good=True, was_bare=False)
    assert not ends_as_it_should("not ended", plan, good=True, was_bare=True)


def test_a_good_candidate_ends_as_its_plan_says() -> None:
    aborted, others = [], []
    for plan in PLANS:
        (aborted if plan.person == "abort" else others).append(plan)
    assert aborted
    assert others
    for plan in aborted:
        assert ends_as_it_should("aborted", plan, good=True, was_bare=False)
        assert not ends_as_it_should("promoted", plan, good=True, was_bare=False)
    for plan in others:
        assert ends_as_it_should("promoted", plan, good=True, was_bare=False)
        assert not ends_as_it_should("aborted", plan, good=True, was_bare=False)
