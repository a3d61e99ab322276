"""The error series on which users of Kayenta found its Mann-Whitney judge wanting, and what the counts really say.

The issues give events per interval and no requests; those are set here, since they decide how sure one can be.
Issues: spinnaker/kayenta#426, #510, #799 and spinnaker/spinnaker#5622, #6278; kayenta#780 is about the shape of latency
(test_shapes_of_latency.py).
"""

from __future__ import annotations

import pytest

from tidegate.judge import Policy, SignalPolicy, Tally, assess, begin, begin_step, observe

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


@pytest.mark.parametrize("series", [SPARSE_426, SPARSE_799, EVERY_MINUTE_799, SPARSE_5622, SEVEN_OF_TEN_6278])
def test_the_verdict_is_the_same_each_time(rollout, series):
    """Kayenta adds noise to constant series and searches for a root, so that ties with zero flip (spinnaker#5622)."""
    first, second = (rollout(objective=0.0001).looks(looks(series, 1_000, 1_000)) for _ in range(2))
    assert first == second


def test_seven_large_and_three_small_fail_as_ten_large_do(rollout):
    """To the Mann-Whitney rule it is the eighth value that matters, however large the others are (spinnaker#6278)."""
    for large in (2, 3, 100):
        some, all_of_them = (large,) * 7 + (1,) * 3, (large,) * 10
        verdicts = [
            rollout().looks(looks(each * 3, 100, 100, stable=(0,) * 30)).outcome for each in (some, all_of_them)
        ]
        assert verdicts == ["fail", "fail"]


def test_all_zero_on_both_sides_passes(rollout):
    verdict = rollout().looks(looks((0,) * 10, 100, 100))
    assert verdict.outcome == "pass"
    assert verdict.signals[0].harm == 0.0


def test_no_data_is_neither_a_pass_nor_a_fail(rollout):
    """Kayenta passes a side without data when missing values are replaced by zeros."""
    assert rollout().looks(looks((0,) * 10, 0, 1_000)).outcome == "inconclusive"
    assert rollout().looks(looks((0,) * 10, 0, 0)).outcome == "inconclusive"


def test_what_could_not_be_measured_is_no_pass():
    policy = Policy((SignalPolicy("errors", 0.001),))
    evidence = begin_step(policy, begin(policy, {}))
    evidence = observe(policy, evidence, {"errors": Tally(10_000)}, {"errors": Tally(90_000)})
    assert assess(policy, evidence).outcome == "pass"
    assert assess(policy, evidence, unmeasured={"errors": "the query answered NaN"}).outcome == "error"
