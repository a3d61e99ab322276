"""The durations at which slow requests are counted beside the objective."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidegate.trial.bounds import bound_for, bounds_around

objectives = st.integers(1_000, 600_000_000).map(lambda microseconds: microseconds / 1_000)


def test_the_bounds_of_the_default_objective_are_round():
    assert bounds_around(100.0) == (25, 30, 35, 40, 50, 60, 70, 80, 90, 120, 150, 200, 250, 300, 350, 400)


@given(objectives)
def test_bounds_are_few_ascending_and_edges_of_the_gateways_buckets(objective):
    bounds = bounds_around(objective)
    assert 0 < len(bounds) <= 17
    assert list(bounds) == sorted(set(bounds))
    assert all(objective / 4 <= bound <= 4 * objective for bound in bounds)
    assert objective not in bounds
    assert all(len(str(bound).rstrip("0")) <= 2 for bound in bounds)


@given(objectives, st.floats(0.1, 10))
def test_what_is_asked_is_rounded_up_to_a_bound_and_nothing_is_extrapolated(objective, factor):
    bounds, asked = (*bounds_around(objective), objective), objective * factor
    found = bound_for(asked, bounds)
    if found is None:
        assert asked < min(bounds) or asked > max(bounds)
    else:
        assert found in bounds
        assert found >= asked
        assert not [bound for bound in bounds if asked <= bound < found]
