"""Performance of several classes before their outcomes: like that of two, and right where rows are exchangeable."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from tidegate.contract.errors import InvalidInput
from tidegate.drift.columns import column_of
from tidegate.drift.multiclass import MulticlassEstimator, ScoredRows, estimate_classes, figures
from tidegate.drift.performance import FIGURES, Estimator, Kept, _figures, _Groups

NAMES = ("a", "b", "c")


def rows(seed: int, *, number: int = 4_000, hard: float = 1.0, sharpness: float = 1.0) -> tuple[Any, Any]:
    """Return scores by class and outcomes; scores are calibrated with a sharpness of 1."""
    chance = np.random.default_rng(seed)
    margins = chance.normal(0.0, 2.0 / hard, (number, 3))
    chances = np.exp(margins) / np.exp(margins).sum(axis=1, keepdims=True)
    outcomes = (chance.random((number, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(max=2)
    scores = chances**sharpness
    scores /= scores.sum(axis=1, keepdims=True)
    return dict(zip(NAMES, scores.T, strict=True)), column_of(np.array(NAMES)[outcomes], "outcome")


pairs = st.lists(st.tuples(st.floats(0, 1, width=16), st.floats(0, 1)), min_size=1, max_size=30)


@given(pairs)
def test_what_is_expected_of_two_classes_is_what_the_way_of_two_expects(drawn: list[tuple[float, float]]) -> None:
    scores, chances = (np.array([pair[at] for pair in drawn]) for at in (0, 1))
    both = np.column_stack([1 - scores, scores])
    answers = (scores >= 0.5).astype(np.intp)
    found = figures(ScoredRows(both, answers, answers), np.column_stack([1 - chances, chances]))
    order = np.argsort(scores, kind="stable")
    merged = _Groups.of(scores[order], chances[order])
    wanted = _figures(merged.scores, merged.positive, merged.rows - merged.positive, 0.5)
    other = _figures(1 - merged.scores[::-1], (merged.rows - merged.positive)[::-1], merged.positive[::-1], 0.5 + 1e-12)
    assert found[0] == pytest.approx(wanted[0])
    assert found[4] == pytest.approx(wanted[4], nan_ok=True)
    for at in (2, 3):
        if not np.isnan([wanted[at], other[at]]).any():
            assert found[at] == pytest.approx((wanted[at] + other[at]) / 2)


@given(st.lists(st.tuples(st.integers(0, 2), st.tuples(*[st.integers(1, 9)] * 3)), min_size=1, max_size=30))
def test_figures_by_outcomes_are_those_of_scikit_learn(drawn: list[tuple[int, tuple[int, ...]]]) -> None:
    actuals = np.array([row[0] for row in drawn])
    scores = np.array([row[1] for row in drawn], dtype=float)
    answers = scores.argmax(axis=1)
    found = dict(zip(FIGURES, figures(ScoredRows(scores, answers, actuals), np.eye(3)[actuals]), strict=True))
    there = sorted({*actuals.tolist(), *answers.tolist()})
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(actuals, answers))
    options = {"average": "macro", "zero_division": 0.0}
    for name, wanted in (
        ("precision", metrics.precision_score(actuals, answers, labels=there, **options)),
        ("recall", metrics.recall_score(actuals, answers, labels=sorted(set(actuals.tolist())), **options)),
        ("f1", metrics.f1_score(actuals, answers, labels=there, **options)),
    ):
        assert found[name] == pytest.approx(wanted), name


def test_with_two_classes_all_is_as_with_the_score_of_the_second() -> None:
    chance = np.random.default_rng(3)
    score = chance.random(3_000)
    came = (chance.random(3_000) < score**2).astype(float)
    wanted = Estimator.of(score[:2_000], came[:2_000]).estimate(score[2_000:], came[2_000:])
    named = column_of(np.where(came > 0, "late", "early"), "was")
    found = estimate_classes(
        ({"early": 1 - score[:2_000], "late": score[:2_000]}, named[:2_000]),
        ({"early": 1 - score[2_000:], "late": score[2_000:]}, named[2_000:]),
    )
    assert found.figures == wanted.figures
    assert found.classes == ("early", "late")


@pytest.mark.parametrize("sharpness", [1.0, 2.0, 0.5])
def test_harder_rows_are_seen_before_their_outcomes_whether_scores_are_calibrated_or_not(sharpness: float) -> None:
    found = MulticlassEstimator.of(*rows(1, sharpness=sharpness)).estimate(*rows(2, hard=2.0, sharpness=sharpness))
    assert found.state is Kept.DROPPED
    for figure in found.figures:
        assert figure.estimate == pytest.approx(figure.realised, abs=0.03), figure.name


def test_rows_like_those_of_the_reference_keep_every_figure_and_few_are_inconclusive() -> None:
    estimator = MulticlassEstimator.of(*rows(1))
    assert estimator.estimate(rows(2)[0]).state is Kept.KEPT
    assert estimator.estimate(rows(2, number=30)[0]).state is Kept.INCONCLUSIVE


@pytest.mark.long
def test_what_turns_out_of_handwritten_digits_is_within_the_interval_as_often_as_stated() -> None:
    digits = load_digits()
    within = dict.fromkeys(FIGURES, 0)
    for seed in range(5):
        train, rest, learnt, outcomes = train_test_split(
            digits.data / 16, digits.target, train_size=300, random_state=seed, stratify=digits.target
        )
        # Either is far from calibrated: both are less sure than they are right.
        for model in (LogisticRegression(max_iter=300), RandomForestClassifier(50, random_state=seed)):
            scores = model.fit(train, learnt).predict_proba(rest)
            known, asked = (
                ({str(at): scores[part, at] for at in range(10)}, column_of(outcomes[part], "digit"))
                for part in (slice(0, 800), slice(800, None))
            )
            for figure in estimate_classes(known, asked).figures:
                assert figure.interval is not None
                assert figure.realised is not None
                within[figure.name] += figure.interval[0] <= figure.realised <= figure.interval[1]
    # A binomial of 10 with 95 % is below 7 once in a thousand times.
    assert min(within.values()) >= 7, within


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda scores, outcomes: ({**scores, "c": scores["c"] + 1}, outcomes), "no probabilities"),
        (lambda scores, outcomes: (scores, np.where(outcomes == "c", "d", outcomes)), "none of the classes"),
        (lambda scores, outcomes: (scores, np.where(outcomes == "c", "b", outcomes)), "too few outcomes"),
        (lambda scores, outcomes: ({"a": scores["a"]}, outcomes), "fewer than three"),
    ],
)
def test_a_reference_that_says_nothing_is_refused(change: Any, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        MulticlassEstimator.of(*change(*rows(1, number=200)))
