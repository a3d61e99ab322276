"""Whether a retrained model passes against the one that serves, by what both answered to the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score

from tidegate.contract.errors import InvalidInput
from tidegate_pipeline.evaluation import METRICS, Paired, Policy, Verdict, evaluate

ROWS = Policy("logloss", min_rows=10, by_day=False)
CLASSES = ("auc", "logloss")


def classes(rows: int, skill: tuple[float, float], seed: int = 0, days: int | None = None) -> Paired:
    """Return rows of two classes; the larger its skill, the more a model knows of them."""
    draws = np.random.default_rng(seed)
    truth = draws.integers(0, 2, rows)
    truth[:2] = 0, 1

    def answers(strength: float) -> Any:
        # Calibrated: the log odds of a normal score whose means are `strength` apart.
        positive = 1 / (1 + np.exp(-strength * (strength * (truth - 0.5) + draws.normal(size=rows))))
        return np.column_stack([1 - positive, positive])

    of = np.arange(rows) if days is None else np.sort(draws.integers(0, days, rows))
    return Paired(truth, answers(skill[0]), answers(skill[1]), np.unique(of, return_inverse=True)[1])


def numbers(rows: int, noise: tuple[float, float], seed: int = 0) -> Paired:
    draws = np.random.default_rng(seed)
    truth = draws.normal(size=rows)
    stable, challenger = (truth + draws.normal(scale=scale, size=rows) for scale in noise)
    return Paired(truth, stable, challenger, np.arange(rows))


def swapped(pairs: Paired) -> Paired:
    return Paired(pairs.truth, pairs.challenger, pairs.stable, pairs.days)


@pytest.mark.parametrize("metric", CLASSES)
def test_a_model_that_knows_more_passes_and_one_that_knows_less_fails(metric: str) -> None:
    better = classes(2_000, (0.5, 2.0))
    policy = Policy(metric, min_rows=10, by_day=False)
    found = evaluate(better, policy)
    assert found.verdict is Verdict.PASS
    assert found.worse_by is not None
    assert found.worse_by < 0
    assert f"{-found.worse_by:.5f} better (between" in found.why
    assert evaluate(swapped(better), policy).verdict is Verdict.FAIL


@pytest.mark.parametrize("metric", ["rmse", "mae"])
def test_numbers_are_compared_by_how_far_they_are_off(metric: str) -> None:
    better, policy = numbers(1_000, (1.0, 0.5)), Policy(metric, min_rows=10, by_day=False)
    found = evaluate(better, policy)
    assert found.verdict is Verdict.PASS
    assert found.stable == pytest.approx({"rmse": 1.0, "mae": np.sqrt(2 / np.pi)}[metric], rel=0.1)
    assert evaluate(swapped(better), policy).verdict is Verdict.FAIL


@given(st.integers(0, 10_000), st.sampled_from(CLASSES), st.floats(0.1, 2), st.floats(0.1, 2))
@settings(max_examples=25, deadline=None)
def test_metrics_are_those_of_scikit_learn(seed: int, metric: str, first: float, second: float) -> None:
    pairs = classes(60, (first, second), seed)
    found = evaluate(pairs, Policy(metric, min_rows=10, by_day=False))
    own = {
        "auc": lambda told: roc_auc_score(pairs.truth, told[:, 1]),
        "logloss": lambda told: log_loss(pairs.truth, told),
    }
    assert found.stable == pytest.approx(own[metric](pairs.stable))
    assert found.challenger == pytest.approx(own[metric](pairs.challenger))


@given(st.integers(0, 10_000), st.sampled_from(CLASSES), st.floats(0.1, 2), st.floats(0.1, 2))
@settings(max_examples=25, deadline=None)
def test_who_is_worse_one_way_round_is_better_the_other_by_as_much(
    seed: int, metric: str, first: float, second: float
) -> None:
    pairs, policy = classes(80, (first, second), seed), Policy(metric, min_rows=10, by_day=False)
    one, other = evaluate(pairs, policy), evaluate(swapped(pairs), policy)
    assume(one.interval is not None and other.interval is not None)
    assert one.interval is not None
    assert other.interval is not None
    assert one.worse_by == pytest.approx(-(other.worse_by or 0.0))
    assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]), abs=1e-9)
    assert {one.verdict, other.verdict} in ({Verdict.PASS, Verdict.FAIL}, {Verdict.INCONCLUSIVE})


@given(st.integers(0, 10_000), st.floats(0, 0.5), st.floats(0, 0.5))
@settings(max_examples=25, deadline=None)
def test_who_may_be_worse_by_more_never_loses_a_pass(seed: int, first: float, second: float) -> None:
    less, more = sorted([first, second])
    pairs, order = classes(100, (1.0, 0.9), seed), [Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS]
    found = [evaluate(pairs, Policy("logloss", allowed, min_rows=10, by_day=False)) for allowed in (less, more)]
    assert order.index(found[0].verdict) <= order.index(found[1].verdict)


@pytest.mark.parametrize("metric", CLASSES)
def test_a_model_that_answers_the_same_is_not_better(metric: str) -> None:
    pairs = classes(1_000, (1.0, 1.0))
    same = Paired(pairs.truth, pairs.stable, pairs.stable, pairs.days)
    found = evaluate(same, Policy(metric, min_rows=10, by_day=False))
    assert (found.verdict, found.interval) == (Verdict.INCONCLUSIVE, (0.0, 0.0))
    assert evaluate(same, Policy(metric, 0.01, min_rows=10, by_day=False)).verdict is Verdict.PASS


@pytest.mark.long
def test_of_models_that_are_equally_good_few_pass() -> None:
    passed = sum(evaluate(classes(400, (1.0, 1.0), seed), ROWS).verdict is Verdict.PASS for seed in range(200))
    # 5 % are expected of alpha; 23 or more of 200 have a chance of 1 in 10,000.
    assert passed <= 22


def test_the_same_rows_give_the_same_answer() -> None:
    pairs = classes(300, (1.0, 1.1))
    assert evaluate(pairs, ROWS) == evaluate(pairs, ROWS)


def test_days_that_differ_make_less_sure_than_as_many_rows_that_do_not() -> None:
    draws = np.random.default_rng(1)
    days = np.repeat(np.arange(30), 100)
    truth = np.zeros(3_000)
    # On each day the challenger is off by a number of that day.
    off = np.repeat(draws.normal(-0.05, 0.5, 30), 100)
    pairs = Paired(truth, np.ones(3_000), 1.0 + off, days)
    by_day = evaluate(pairs, Policy("mae", min_rows=10))
    by_row = evaluate(Paired(truth, pairs.stable, pairs.challenger, np.arange(3_000)), Policy("mae", by_day=False))
    assert by_day.interval is not None
    assert by_row.interval is not None
    assert by_day.interval[1] - by_day.interval[0] > 3 * (by_row.interval[1] - by_row.interval[0])
    assert by_day.drawn == ("day", 30)


def test_little_data_is_no_verdict_and_says_what_is_missing() -> None:
    few = evaluate(classes(40, (0.1, 3.0)), Policy("logloss"))
    assert (few.verdict, few.stable) == (Verdict.INCONCLUSIVE, None)
    assert "40 fresh rows, and 500 are asked for" in few.why
    short = evaluate(classes(900, (0.1, 3.0), days=5), Policy("logloss"))
    assert short.verdict is Verdict.INCONCLUSIVE
    assert "of 5 days, of which 10 are needed" in short.why
    nothing = np.zeros(0)
    assert evaluate(Paired(nothing, nothing, nothing, np.zeros(0, dtype=np.intp)), ROWS).rows == 0


def test_rows_of_one_class_have_no_auc() -> None:
    pairs = classes(100, (1.0, 1.0))
    alike = Paired(np.zeros(100, dtype=int), pairs.stable, pairs.challenger, pairs.days)
    found = evaluate(alike, Policy("auc", min_rows=10, by_day=False))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "all of one class" in found.why


def test_auc_is_refused_for_three_classes_and_metrics_that_there_are_not() -> None:
    thirds = np.full((30, 3), 1 / 3)
    pairs = Paired(np.arange(30) % 3, thirds, thirds, np.arange(30))
    with pytest.raises(InvalidInput, match="auc is of two classes"):
        evaluate(pairs, Policy("auc", min_rows=10, by_day=False))
    with pytest.raises(InvalidInput, match="no metric"):
        evaluate(pairs, Policy("f1"))
    assert set(METRICS) == {"auc", "logloss", "rmse", "mae"}
