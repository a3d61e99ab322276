"""Low rank models: what is refused, and what a row's number does."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.mojo.damage import Memory, entries_of
from tidegate.runtime.mojo import glrm_regularizers_kernel as regularizers
from tidegate.runtime.mojo.errors import MojoUnsupportedError
from tidegate.runtime.mojo.glrm import Glrm
from tidegate.runtime.mojo.glrm_regularizers_kernel import constrain, draw, penalty
from tidegate.runtime.mojo.registry import read_model

FILE = Path(__file__).parent / "data" / "small" / "glrm_reg_l1.zip"
#: What genmodel's regulariser says by itself, see `data/small/make_simplex.py`.
SIMPLEX = json.loads((FILE.parent / "simplex.json").read_text(encoding="utf-8"))


def changed(pattern: str, new: str) -> Memory:
    entries = entries_of(FILE)
    text, count = re.subn(pattern, new, entries["model.ini"].decode())
    assert count == 1
    entries["model.ini"] = text.encode()
    return Memory(entries)


def test_each_call_counts_rows_anew() -> None:
    scorer = read_model(Memory(entries_of(FILE)))
    rows = np.random.default_rng(1).normal(size=(5, scorer.header.n_features))
    first = scorer.score(rows)
    np.testing.assert_array_equal(scorer.score(rows), first)
    np.testing.assert_array_equal(scorer.score(rows[:2]), first[:2])


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e200])
def test_a_row_whose_loss_is_infinite_has_factors_of_0(value: float) -> None:
    scorer = read_model(Memory(entries_of(FILE)))
    assert isinstance(scorer, Glrm)
    rows = np.zeros((2, scorer.header.n_features))
    rows[0, scorer.permutation[-1]] = value
    scores = scorer.score(rows)
    np.testing.assert_array_equal(scores[0], np.zeros(scores.shape[1]))
    assert scores[1].any()


def test_a_model_without_a_seed_is_refused() -> None:
    with pytest.raises(MojoUnsupportedError, match="seed"):
        read_model(changed(r"\nseed = .*", ""))


def test_a_regularizer_that_is_not_known_is_refused() -> None:
    with pytest.raises(MojoUnsupportedError, match="Octagon"):
        read_model(changed(r"regularizationX = .*", "regularizationX = Octagon"))


def test_the_nearest_points_of_the_simplex_are_those_of_h2o_bit_by_bit() -> None:
    for case in SIMPLEX["nearest"]:
        point = np.array(case["point"])
        draw(regularizers.SIMPLEX, point, 0.3, np.zeros(1, np.int64))
        assert point.tolist() == case["nearest"]


def test_a_point_whose_factors_add_up_to_1_but_for_roundings_is_one_of_the_simplex() -> None:
    for count, last, is_one in SIMPLEX["sums"]:
        point = np.zeros(count)
        point[-1] = last
        assert penalty(regularizers.SIMPLEX, point) == (0.0 if is_one else math.inf)
    assert penalty(regularizers.SIMPLEX, np.array([1.5, -0.5])) == math.inf
    assert penalty(regularizers.SIMPLEX, np.array([math.nan, 1.0])) == math.inf


def test_a_point_of_the_simplex_is_where_a_search_begins_and_is_not_moved() -> None:
    """To move it, though it is there, would change its last bits."""
    point = np.array([0.1, 0.6, 0.3])
    constrain(regularizers.SIMPLEX, point, np.zeros(1, np.int64))
    assert point.tolist() == [0.1, 0.6, 0.3]
    draw(regularizers.SIMPLEX, point, 0.3, np.zeros(1, np.int64))
    assert point.tolist() == [0.10000000000000005, 0.6, 0.30000000000000004]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-10, 10), min_size=1, max_size=8))
def test_what_a_step_ends_at_is_in_the_simplex(values: list[float]) -> None:
    point = np.array(values)
    draw(regularizers.SIMPLEX, point, 0.3, np.zeros(1, np.int64))
    assert (point >= 0.0).all()
    assert point.sum() == pytest.approx(1.0, abs=1e-12)
    moved = np.array(values) - point
    assert np.ptp(moved[point > 0.0]) < 1e-12  # the same is taken from all that stay


def test_a_loss_that_h2os_scorer_cannot_load_is_refused() -> None:
    entries = entries_of(FILE)
    entries["losses"] = entries["losses"].replace(b"Quadratic", b"Periodic(3)")
    with pytest.raises(MojoUnsupportedError, match="Periodic"):
        read_model(Memory(entries))
