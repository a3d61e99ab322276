"""Low rank models: what is refused, and what a row's number does."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.runtime.mojo.damage import Memory, entries_of
from tidegate.runtime.mojo.errors import MojoUnsupportedError
from tidegate.runtime.mojo.glrm import Glrm
from tidegate.runtime.mojo.registry import read_model

FILE = Path(__file__).parent / "data" / "small" / "glrm_reg_l1.zip"


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


def test_a_regularizer_that_depends_on_roundings_is_refused() -> None:
    with pytest.raises(MojoUnsupportedError, match="Simplex"):
        read_model(changed(r"regularizationX = .*", "regularizationX = Simplex"))


def test_a_loss_that_h2os_scorer_cannot_load_is_refused() -> None:
    entries = entries_of(FILE)
    entries["losses"] = entries["losses"].replace(b"Quadratic", b"Periodic(3)")
    with pytest.raises(MojoUnsupportedError, match="Periodic"):
        read_model(Memory(entries))
