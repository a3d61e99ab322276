"""Bins are fixed by the reference, hold every value once, and their counts add up."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contract.errors import InvalidInput
from tidegate.drift.bins import (
    MOST_NUMBERS,
    NUMBER_BINS,
    LevelBins,
    NumberBins,
    bins_from_plain,
    number_bins,
)

VALUES = st.lists(st.one_of(st.floats(), st.integers(-5, 5).map(float)), max_size=80)
TEXTS = st.lists(st.one_of(st.none(), st.sampled_from("abcdefg"), st.text(max_size=3)), max_size=60)


def numbers(values: list[float]) -> Any:
    return np.array(values, dtype=np.float64)


def texts(values: list[str | None]) -> Any:
    return np.array([*values, None], dtype=object)[:-1]


def placed(bins: NumberBins, value: float) -> int:
    """Return the bin of one number, by the definition."""
    if value != value:  # noqa: PLR0124
        return len(bins.names) - 1
    if abs(value) == float("inf"):
        return len(bins.names) - 2
    if bins.is_each:
        return bins.edges.index(value) if value in bins.edges else len(bins.names) - 2
    return sum(value > edge for edge in bins.edges)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=60), VALUES)
def test_each_number_is_in_the_one_bin_that_its_name_says(reference: list[float], values: list[float]) -> None:
    bins = number_bins(np.sort(numbers(reference)))
    wanted = [0] * len(bins.names)
    for value in values:
        wanted[placed(bins, value)] += 1
    assert bins.count(numbers(values)).tolist() == wanted


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=60), VALUES, VALUES)
def test_counts_of_parts_add_up_to_those_of_the_whole(
    reference: list[float], some: list[float], others: list[float]
) -> None:
    bins = number_bins(np.sort(numbers(reference)))
    both = bins.count(numbers(some)) + bins.count(numbers(others))
    assert both.tolist() == bins.count(numbers(some + others)).tolist()


def test_bins_of_dense_numbers_have_a_tenth_of_the_reference_each() -> None:
    values = np.random.default_rng(1).normal(size=10_000)
    bins = number_bins(np.sort(values))
    assert bins.count(values).tolist() == [1000] * NUMBER_BINS + [0, 0]


def test_few_different_numbers_have_a_bin_each() -> None:
    bins = number_bins(np.array([0.0, 0.0, 1.0, 2.0]))
    assert bins.names == ("0", "1", "2", "unseen", "missing")
    assert bins.count(numbers([0.0, 1.5, 7.0, float("nan")])).tolist() == [1, 0, 0, 2, 1]
    assert not number_bins(np.arange(MOST_NUMBERS + 1.0)).is_each


def test_a_number_that_is_most_of_the_reference_leaves_fewer_bins() -> None:
    values = np.sort(np.concatenate([np.zeros(900), np.arange(100.0)]))
    bins = number_bins(values)
    counts = bins.count(values)
    assert counts[0] == 901
    assert counts[:-2].min() > 0


def test_a_text_in_a_column_of_numbers_is_what_it_says_and_unseen_where_it_says_no_number() -> None:
    bins = number_bins(np.arange(100.0))
    assert bins.count(texts(["n/a", None, "12", " 1e1 ", "nan"])).tolist() == [0, 2, *([0] * 8), 1, 2]


@given(TEXTS)
def test_each_level_is_counted_once(values: list[str | None]) -> None:
    bins = LevelBins(("a", "b"), frozenset("cd"))
    counts = dict(zip(bins.names, bins.count(texts(values)).tolist(), strict=True))
    assert counts["a"] == values.count("a")
    assert counts["other levels"] == values.count("c") + values.count("d")
    assert counts["missing"] == values.count(None)
    assert sum(counts.values()) == len(values)


def test_a_number_in_a_column_of_levels_is_the_level_of_its_text() -> None:
    bins = LevelBins(("0.1", "1234567", "2.5"))
    assert bins.count(numbers([0.1, 2.5, 1234567.0, 3.0, float("nan")])).tolist() == [1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    "bins", [NumberBins((0.1, 2.0)), NumberBins((1.0,), is_each=True), LevelBins(("a", "ä"), frozenset("x"))]
)
def test_bins_are_written_and_read_again(bins: NumberBins | LevelBins) -> None:
    assert bins_from_plain(json.loads(json.dumps(bins.as_plain()))) == bins


@pytest.mark.parametrize(
    "plain",
    [
        {},
        {"kind": "number", "edges": [2, 1], "each": False},
        {"kind": "number", "edges": [float("nan"), 1], "each": False},
        {"kind": "number", "edges": "ab", "each": False},
        {"kind": "level", "levels": None, "others": []},
        {"kind": "colour"},
    ],
)
def test_what_are_no_bins_is_refused(plain: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="no bins"):
        bins_from_plain(plain)
