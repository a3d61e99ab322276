"""The error series on which users of Kayenta found its Mann-Whitney judge wanting, and what the counts really say.

The issues give events per interval and no requests; those are set here, since they decide how sure one can be.
Issues: spinnaker/kayenta#426, #510, #799 and spinnaker/spinnaker#5622, #6278.
"""

from __future__ import annotations

import pytest

SPARSE_426 = (0, 1, 2, 1, 0, 0)
EVERY_MINUTE_799 = (1, 4, 2, 3, 1)
#: One event in five intervals, the missing ones in between being zero.
SPARSE_799 = (1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0)
#: Rates of 0.048, 0.18, 0.089, 0.098 and 0.035 a second over minutes.
SPARSE_5622 = (0, 3, 0, 11, 5, 0, 6, 2, 0, 0)
SEVEN_OF_TEN_6278 = (100, 100, 100, 100, 100, 100, 100, 1, 1, 1)
ALL_LARGE_510 = (55, 54, 55, 56, 57)


def looks(candidate, requests, stable_requests, stable=None):
    stable = stable or (0,) * len(candidate)
    return [((requests, y1), (stable_requests, y0)) for y1, y0 in zip(candidate, stable, strict=True)]


@pytest.mark.parametrize(
    ("series", "requests", "stable_requests"),
    [
        pytest.param(SPARSE_426, 100, 900, id="426"),
        pytest.param(SPARSE_799, 100, 900, id="799-sparse"),
        pytest.param(EVERY_MINUTE_799, 100, 100, id="799"),
        pytest.param(SPARSE_5622, 1_000, 1_000, id="5622"),
        pytest.param(ALL_LARGE_510, 1_000, 1_000, id="510"),
    ],
)
def test_errors_against_a_zero_baseline_fail(rollout, series, requests, stable_requests):
    """Where the promise is 99.99 %; 7 errors of 2,500 would be no clear breach of 99.9 %."""
    assert rollout(objective=0.0001).looks(looks(series, requests, stable_requests)).outcome == "fail"


def test_seven_bad_intervals_in_ten_fail_at_the_first(rollout):
    verdict = rollout().looks(looks(SEVEN_OF_TEN_6278, 1_000, 1_000, stable=(1,) * 10))
    assert verdict.outcome == "fail"
    assert verdict.signals[0].candidate.requests == 1_000


def test_four_errors_in_600_against_none_in_600_are_not_enough_to_condemn(rollout):
    """Fisher's exact test, looked at once, gives 6 %; and it is not shown to be safe to within 0.5 % either."""
    watched = rollout(margin=0.005)
    assert watched.looks(looks(SPARSE_426, 100, 100)).outcome == "inconclusive"
    assert watched.looks(looks(SPARSE_426 * 5, 100, 100)).outcome == "fail"


def test_the_same_errors_within_the_objective_are_no_harm(rollout):
    assert rollout(objective=0.02).looks(looks(SPARSE_426, 100, 900)).outcome == "pass"


@pytest.mark.parametrize("series", [SPARSE_426, SPARSE_799, SPARSE_5622, SEVEN_OF_TEN_6278, (0,) * 10])
def test_ties_never_fail(rollout, series):
    watched = rollout()
    for counts in looks(series * 10, 1_000, 1_000, stable=series * 10):
        assert watched.look(*counts).outcome != "fail"
    assert watched.verdict.outcome == "pass"


@pytest.mark.parametrize("series", [SPARSE_426, SPARSE_799, SPARSE_5622, SEVEN_OF_TEN_6278])
def test_fewer_errors_than_stable_never_fail(rollout, series):
    watched = rollout()
    for counts in looks((0,) * len(series), 1_000, 1_000, stable=series):
        assert watched.look(*counts).outcome != "fail"
