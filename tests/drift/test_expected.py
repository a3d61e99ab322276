"""What is expected of logged answers: by the threshold that they go by, and of no more rows than there are requests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tidegate.contract.errors import InvalidInput
from tidegate.drift.expected import expect, threshold_of
from tidegate.drift.performance import Kept, Performance
from tidegate.drift.sums import ClassRows

CLASSES = ("no", "yes")
SCORES = st.lists(st.floats(0.001, 0.999), min_size=2, max_size=50)


def rows(seed: int, number: int = 2_000, *, middle: float = 0.0, threshold: float = 0.5, of_each: int = 1) -> ClassRows:
    """Return answers with calibrated scores; those of rows near the middle are less sure."""
    chance = np.random.default_rng(seed)
    spread = 0.4 if middle else 2.0
    score = 1 / (1 + np.exp(-chance.normal(0, spread, number)))
    came = (chance.random(number) < score).astype(np.intp)
    answers = (score >= threshold).astype(np.intp)
    requests = np.repeat(np.arange(number), of_each).astype(np.intp)
    scores = np.column_stack([1 - score, score])
    return ClassRows(
        CLASSES, 1, *(np.repeat(one, of_each, axis=0) for one in (answers, came, scores)), requests=requests
    )


def expected(before: ClassRows, now: ClassRows, alpha: float = 0.01) -> dict[str, Any]:
    return {one.name: one for one in expect(before, now, drop=0.1, alpha=alpha).figures}


@given(SCORES, st.floats(0.01, 0.99))
def test_the_threshold_parts_answers_as_they_were_given(scores: list[float], wanted: float) -> None:
    found = np.array(scores)
    said = found >= wanted
    threshold = threshold_of(found, said)
    assert 0 < threshold < 1
    assert ((found >= threshold) == said).all()
    if ((found >= 0.5) == said).all():
        assert threshold == 0.5


@given(SCORES, st.integers(0, 2**32 - 1))
def test_answers_that_no_score_parts_are_refused(scores: list[float], seed: int) -> None:
    found = np.array(scores)
    said = np.random.default_rng(seed).random(len(found)) < 0.5
    assume(said.any() and not said.all() and found[~said].max() >= found[said].min())
    assume(np.mean((found >= 0.5) == said) < 0.99)
    with pytest.raises(InvalidInput, match="answers do not go by the scores"):
        threshold_of(found, said)


def test_less_sure_rows_let_expect_less_and_equal_ones_as_much() -> None:
    before = rows(1)
    harder = expected(before, rows(2, middle=1.0))
    assert harder["accuracy"].state is Kept.DROPPED
    same = expected(before, rows(3))
    assert {one.state for one in same.values()} == {Kept.KEPT}
    assert same["accuracy"].estimate == pytest.approx(same["accuracy"].reference, abs=0.03)


@pytest.mark.parametrize("threshold", [0.2, 0.8])
def test_it_is_expected_of_the_answers_as_they_were_given(threshold: float) -> None:
    now = rows(2, threshold=threshold)
    found: Performance = expect(rows(1, threshold=threshold), now, drop=0.05, alpha=0.01)
    assert found.threshold == pytest.approx(threshold, abs=0.02)
    accuracy = np.mean(now.answers == now.actuals)
    assert found.figures[0].estimate == pytest.approx(accuracy, abs=0.03)


def test_a_request_of_many_rows_is_one_observation() -> None:
    alone, many = (expect(rows(1), rows(2, of_each=each), drop=0.05, alpha=0.01) for each in (1, 20))
    assert many == alone


def test_a_smaller_alpha_never_says_more() -> None:
    before, now = rows(1, 400), rows(2, 400, middle=1.0)
    said = [expected(before, now, alpha)["accuracy"].state for alpha in (0.05, 1e-3, 1e-12)]
    assert said[0] is Kept.DROPPED
    assert said[-1] is Kept.INCONCLUSIVE


def test_several_classes_are_answered_by_the_highest_score_or_refused() -> None:
    chance = np.random.default_rng(5)
    scores = chance.dirichlet([0.4, 0.4, 0.4], 900)
    came = np.array([chance.choice(3, p=row) for row in scores], dtype=np.intp)
    before = ClassRows(
        ("a", "b", "c"), None, scores.argmax(axis=1).astype(np.intp), came, scores, np.arange(900, dtype=np.intp)
    )
    found = expect(before, before, drop=0.05, alpha=0.01)
    assert found.classes == ("a", "b", "c")
    assert found.figures[0].estimate == pytest.approx(np.mean(before.answers == came), abs=0.03)
    with pytest.raises(InvalidInput, match="do not go by the scores"):
        expect(before, replace(before, answers=came), drop=0.05, alpha=0.01)
