"""Bins are laid out by what stable was seen to have, and every value has one, the same on both sides."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.test_sketch import sketch
from tidegate.contract.sketch import Sketch
from tidegate.trial.bins import MISSING, OTHER, Bins, group, lay_out


@pytest.mark.parametrize(("middle", "spread"), [(0.0, 1.0), (1.7e9, 1000.0), (0.5, 0.01)])
def test_numbers_of_any_size_get_bins_with_room_at_both_ends(middle, spread):
    rng = np.random.default_rng(1)
    stable = sum((sketch(rng.normal(middle, spread, 200).tolist()) for _ in range(40)), Sketch())
    bins = lay_out(stable)
    shares = np.array(group(bins, sketch(rng.normal(middle, spread, 5000).tolist()))) / 5000
    assert len(shares) == 16
    assert shares.max() < 0.2
    assert shares[0] < 0.04
    wide = np.array(group(bins, sketch(rng.normal(middle, 3 * spread, 5000).tolist()))) / 5000
    assert wide[:2].sum() + wide[-4:].sum() > 3 * (shares[:2].sum() + shares[-4:].sum())


def test_few_values_have_a_bin_each_and_a_new_one_is_another_value():
    bins = lay_out(sketch([0.0, 1.0, 1.0]))
    assert bins.names == ("0", "1", OTHER, MISSING)
    assert group(bins, sketch([1.0, 7.0], missing=2)) == (0, 1, 1, 2)


def test_frequent_texts_have_a_bin_each():
    bins = lay_out(sketch(["AA"] * 5 + ["DL"] * 3))
    assert bins.names == ("'AA'", "'DL'", OTHER, MISSING)
    assert group(bins, sketch(["DL", "new"])) == (0, 1, 1, 0)


def test_texts_without_frequent_ones_are_binned_by_hash_on_both_sides_alike():
    stable = sketch([f"user-{number}" for number in range(3000)])
    bins = lay_out(stable)
    assert stable.is_hashed
    assert bins.kind == "hashes"
    shares = np.array(group(bins, sketch([f"user-{number}" for number in range(5000, 5900)]))) / 900
    assert abs(shares - np.array(group(bins, stable)) / 3000).sum() / 2 < 0.1
    assert not any("user" in name for name in bins.names)


values = st.lists(st.one_of(st.floats(allow_nan=False), st.sampled_from(["a", "b", "c"])), min_size=1, max_size=300)


@given(values, values)
def test_every_value_has_a_bin_and_counts_add_up(stable, seen):
    bins = lay_out(sketch(stable, missing=1))
    counts = group(bins, sketch(seen, missing=2))
    assert sum(counts) == len(seen) + 2
    assert len(counts) == len(bins.names)
    halves = sketch(seen[::2], missing=1), sketch(seen[1::2], missing=1)
    if len(Counter(seen)) < 100:
        assert counts == tuple(a + b for a, b in zip(*(group(bins, half) for half in halves), strict=True))
    assert Bins.from_storage(bins.for_storage()) == bins
