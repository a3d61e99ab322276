"""Requests that failed under chaos are put down to what was done, and to nothing else."""

from __future__ import annotations

import pytest

from benchmarks.chaos.explain import AWAY, GATE_HELD, HARMFUL, HELD, NONE_LEFT, UNEXPLAINED, ends_as_it_should, reasons
from benchmarks.chaos.killer import Kill
from examples.flights.load import Record

STABLE, HARMFUL_ONE = 1, 2


def record(at: float, *, ms: float = 10.0, status: int | None = None, revision: int | None = None) -> Record:
    error = None if status == 200 else "ConnectionResetError"
    return Record(0, at, 0.0, ms, status, revision, error)


def reason(failed: Record, *kills: Kill) -> str:
    answered = [record(at, status=200, revision=STABLE) for at in (90.0, 102.0)]
    found = list(reasons([*answered, failed], kills, {HARMFUL_ONE}, replicas=2))
    assert [told for told, _ in found] == [failed]
    return found[0][1]


GATEWAY, REPLICA, OTHER = Kill("gateway", 100.0, 1), Kill("stable", 100.0, 2, STABLE), Kill("stable", 101.0, 3, STABLE)


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
        (record(103.0, status=503), [REPLICA, OTHER], NONE_LEFT),
        (record(103.0, status=503), [REPLICA], UNEXPLAINED),
        (record(103.0, status=503), [REPLICA, Kill("candidate", 101.0, 3, 9)], UNEXPLAINED),
        (record(120.0, status=503), [REPLICA, OTHER], UNEXPLAINED),
        (record(100.0), [Kill("controller", 100.0, 1)], UNEXPLAINED),
    ],
)
def test_a_failed_request_has_one_reason(failed: Record, kills: list[Kill], because: str) -> None:
    assert reason(failed, *kills) == because


@pytest.mark.parametrize(
    ("good", "outcome", "faults", "as_it_should"),
    [
        (True, "promoted", ["candidate", "candidate"], True),
        (True, "rolled_back", ["candidate", "disk"], False),
        (True, "rolled_back", ["candidate", "clock", "candidate"], True),
        (True, "not ended", ["candidate", "candidate"], False),
        (False, "rolled_back", [], True),
        (False, "promoted", ["candidate", "candidate"], False),
    ],
)
def test_how_a_rollout_should_end(good: bool, outcome: str, faults: list[str], as_it_should: bool) -> None:
    assert ends_as_it_should(outcome, faults, 2, good=good) is as_it_should
