"""Numbers are compared by whole numbers in their order: what is below a threshold is so by its key, to the bit."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tidegate.runtime.mojo.tree_layout import FAR_PLACE, LEAST, MISSING_LEFT, MISSING_RIGHT, MOST, PLACE
from tidegate.runtime.mojo.tree_slots_kernel import key_of, slot_of

_thresholds = st.floats(width=32, allow_nan=False)


def _near(threshold: float) -> st.SearchStrategy[float]:
    return st.sampled_from([threshold, math.nextafter(threshold, math.inf), math.nextafter(threshold, -math.inf)])


@settings(max_examples=500, deadline=None)
@given(_thresholds.flatmap(lambda number: st.tuples(st.just(number), _near(number) | st.floats(allow_nan=False))))
@example((0.0, -0.0))
@example((-0.0, 0.0))
@example((0.0, -5e-324))
@example((math.inf, 1e300))
@example((-math.inf, -1e300))
@example((-math.inf, -math.inf))
def test_a_number_is_at_least_a_threshold_exactly_when_its_slot_is(pair: tuple[float, float]) -> None:
    threshold, value = pair
    for kind in (MISSING_LEFT, MISSING_RIGHT):
        assert (slot_of(value, kind) >= key_of(np.float32(threshold))) == (value >= threshold)


@settings(max_examples=100, deadline=None)
@given(_thresholds)
def test_a_missing_number_is_beyond_all_thresholds_on_the_side_to_which_it_goes(threshold: float) -> None:
    assert LEAST == slot_of(math.nan, MISSING_LEFT) < key_of(np.float32(threshold))
    assert MOST == slot_of(math.nan, MISSING_RIGHT) > key_of(np.float32(threshold))


def test_no_place_of_a_level_is_as_far_as_what_splits_by_sets_compare_with() -> None:
    values = [math.nan, -1.0, -0.5, 0.0, 2.5, 1e6, 2.0**31, 1e300, math.inf, -math.inf]
    assert [slot_of(value, PLACE) for value in values] == [0, 0, 1, 1, 3, 1_000_001, *[FAR_PLACE] * 3, 0]
    assert FAR_PLACE < MOST
