from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.info import Keys
from tidegate.runtime.mojo.one_hot import read_one_hot
from tidegate.runtime.mojo.one_hot_kernel import slot_of

KEYS = {"cats": "2", "nums": "1", "cat_offsets": "[0, 4, 6]", "use_all_factor_levels": "true"}


def test_places_are_read() -> None:
    one_hot = read_one_hot(Keys(KEYS), 3)
    assert (one_hot.cats, one_hot.nums, one_hot.slots, one_hot.width, one_hot.first_level) == (2, 1, 6, 7, 0)


def test_without_categoricals_all_are_numbers() -> None:
    one_hot = read_one_hot(Keys({"cats": "0", "nums": "3"}), 3)
    assert (one_hot.slots, one_hot.width) == (0, 3)


@pytest.mark.parametrize(
    ("key", "value"),
    [("cats", "3"), ("nums", "2"), ("cat_offsets", "[0, 4, 4]"), ("cat_offsets", "[1, 4, 6]"), ("cat_offsets", "[0]")],
)
def test_places_that_cannot_be_are_refused(key: str, value: str) -> None:
    with pytest.raises(MojoFormatError):
        read_one_hot(Keys(KEYS | {key: value}), 3)


@pytest.mark.parametrize(
    ("value", "first_level", "slot"),
    [
        (0.0, 0, 4), (1.0, 0, 5), (2.0, 0, 6), (3.0, 0, 7), (4.0, 0, 7), (math.nan, 0, 7), (math.inf, 0, 7),
        (1e300, 0, 7), (2.9, 0, 6), (-0.5, 0, 4), (-1.0, 0, -1), (-math.inf, 0, -1),
        (0.0, 1, -1), (1.0, 1, 4), (3.0, 1, 6), (4.0, 1, 7), (math.nan, 1, 7),
    ],
)  # fmt: skip
def test_each_level_has_its_place_and_others_that_of_missing_values(value: float, first_level: int, slot: int) -> None:
    assert slot_of(value, 4, 8, first_level) == slot


@given(st.floats(), st.integers(0, 1), st.integers(0, 1000), st.integers(1, 50))
def test_a_place_is_among_those_of_the_column(value: float, first_level: int, begin: int, size: int) -> None:
    slot = slot_of(value, begin, begin + size, first_level)
    assert slot == -1 or begin <= slot < begin + size
