"""What scores say of a classifier, against the outcomes that come later."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from tidegate.contract.errors import InvalidInput
from tidegate.drift.calibration import Way, curve, staircase
from tidegate.drift.performance import FIGURES, Estimator, Kept, Performance, _figures, _Groups
from tidegate.drift.wording import performance_sentences

ROWS = 8_000


def rows(seed: int, *, shift: float = 0.0, sharpness: float = 1.0, number: int = ROWS) -> tuple[Any, Any]:
    """Return scores and outcomes; scores are calibrated with a sharpness of 1."""
    chance = np.random.default_rng(seed)
    margin = 1.5 * chance.normal(shift, 1.0, number)
    outcomes = (chance.random(number) < 1 / (1 + np.exp(-margin))).astype(np.float64)
    return 1 / (1 + np.exp(-sharpness * margin)), outcomes


def named(found: Performance) -> dict[str, Any]:
    return {figure.name: figure for figure in found.figures}


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.50001, 0.9, 1.0]), st.booleans()), min_size=1, max_size=40))
def test_figures_by_outcomes_are_those_of_scikit_learn(pairs: list[tuple[float, bool]]) -> None:
    scores, outcomes = np.array([score for score, _ in pairs]), np.array([float(came) for _, came in pairs])
    groups = _Groups.of(scores, outcomes)
    found = dict(
        zip(FIGURES, _figures(groups.scores, groups.positive, groups.rows - groups.positive, 0.5), strict=True)
    )
    answers = scores >= 0.5
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(outcomes, answers))
    for name, wanted in (
        ("precision", metrics.precision_score(outcomes, answers, zero_division=np.nan)),
        ("recall", metrics.recall_score(outcomes, answers, zero_division=np.nan)),
        ("f1", metrics.f1_score(outcomes, answers, zero_division=np.nan)),
    ):
        assert found[name] == pytest.approx(wanted, nan_ok=True), name
    if 0 < outcomes.sum() < len(outcomes):
        assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(outcomes, scores))


@pytest.mark.parametrize("sharpness", [1.0, 2.0, 0.5])
def test_harder_rows_are_seen_before_their_outcomes_whether_scores_are_calibrated_or_not(sharpness: float) -> None:
    estimator = Estimator.of(*rows(1, shift=-1.5, sharpness=sharpness))
    found = estimator.estimate(*rows(2, shift=0.0, sharpness=sharpness))
    assert found.way is (Way.AS_THEY_ARE if sharpness == 1.0 else Way.CURVE)
    for figure in found.figures:
        assert figure.estimate == pytest.approx(figure.realised, abs=0.03), figure.name
    assert named(found)["accuracy"].state is Kept.DROPPED
    assert found.state is Kept.DROPPED


def test_rows_like_those_of_the_reference_keep_every_figure() -> None:
    found = Estimator.of(*rows(1)).estimate(rows(2)[0])
    assert found.state is Kept.KEPT
    assert all(figure.realised is None for figure in found.figures)


@pytest.mark.long
@pytest.mark.parametrize("sharpness", [1.0, 2.0])
def test_what_turns_out_is_within_the_interval_as_often_as_stated(sharpness: float) -> None:
    within = dict.fromkeys(FIGURES, 0)
    for seed in range(30):
        reference = rows(2 * seed, number=800, sharpness=sharpness)
        current = rows(2 * seed + 1, shift=0.5, number=400, sharpness=sharpness)
        for figure in Estimator.of(*reference).estimate(*current).figures:
            assert figure.interval is not None
            assert figure.realised is not None
            within[figure.name] += figure.interval[0] <= figure.realised <= figure.interval[1]
    # A binomial of 30 with 95 % is below 24 less than once in a thousand times.
    assert min(within.values()) >= 24, within


def test_scores_of_which_no_curve_says_what_they_mean_are_put_on_a_staircase() -> None:
    chance = np.random.default_rng(4)
    scores = chance.random(20_000)
    outcomes = (chance.random(20_000) < np.where(scores < 0.3, 0.1, np.where(scores < 0.7, 0.45, 0.5))).astype(float)
    found = Estimator.of(scores, outcomes, threshold=0.6).estimate(scores[:5_000], outcomes[:5_000])
    assert found.way is Way.STAIRCASE
    for figure in found.figures:
        assert figure.estimate == pytest.approx(figure.realised, abs=0.03), figure.name


@pytest.mark.parametrize("fitted", [curve, staircase])
def test_outcomes_that_scores_foretell_exactly_are_no_trouble(fitted: Any) -> None:
    scores = np.linspace(0, 1, 101)
    told = fitted(scores, (scores > 0.5) * 10.0, np.full(101, 10.0))(np.array([0.0, 0.5, 1.0]))
    assert (np.diff(told) >= 0).all()
    assert told[0] < 0.1
    assert told[2] > 0.9


def test_few_rows_are_inconclusive() -> None:
    found = Estimator.of(*rows(1)).estimate(rows(2, number=30)[0])
    assert found.state is Kept.INCONCLUSIVE
    assert "Inconclusive" in " ".join(performance_sentences(found))


def test_outcomes_that_are_known_in_part_are_held_beside() -> None:
    scores, outcomes = rows(2)
    outcomes[1_000:] = np.nan
    figure = Estimator.of(*rows(1)).estimate(scores, outcomes).figures[0]
    assert figure.realised == pytest.approx(((scores >= 0.5) == outcomes)[:1_000].mean())


def test_a_figure_that_is_not_defined_is_none() -> None:
    low = Estimator.of(*rows(1)).estimate(np.full(500, 0.2))
    assert named(low)["precision"].estimate is None
    assert named(low)["precision"].state is Kept.INCONCLUSIVE
    json.dumps(low.as_dict(), allow_nan=False)


def test_many_rows_are_put_into_groups_without_a_change_of_what_is_expected() -> None:
    chance = np.random.default_rng(3)
    groups = _Groups.of(chance.random(50_000), (chance.random(50_000) < 0.3).astype(np.float64))
    fewer = groups.fewer(0.5)
    assert len(fewer.scores) < 6_000
    assert fewer.rows.sum() == groups.rows.sum()
    assert (np.diff(fewer.scores) > 0).all()
    before, after = (_figures(one.scores, one.positive, one.rows - one.positive, 0.5) for one in (groups, fewer))
    assert after == pytest.approx(before, abs=1e-3)
    assert after[:4] == pytest.approx(before[:4], abs=1e-12)


def test_an_estimate_is_written_as_json_and_said_in_words() -> None:
    found = Estimator.of(*rows(1, shift=-1.5, sharpness=2.0)).estimate(rows(2, sharpness=2.0)[0], drop=0.02)
    assert json.loads(json.dumps(found.as_dict()))["calibration"]["way"] == "curve"
    told = " ".join(performance_sentences(found))
    assert "Dropped by more than 0.02, by the scores of 8,000 rows: accuracy" in told
    assert "Scores are not calibrated" in told


@pytest.mark.parametrize(
    ("scores", "outcomes", "options", "problem"),
    [
        ([1.2] * 200, [0, 1] * 100, {}, "no probabilities"),
        (["yes"] * 200, [0, 1] * 100, {}, "no probabilities"),
        ([0.5] * 200, [0, 2] * 100, {}, "neither 0 nor 1"),
        ([0.5] * 200, ["late", "early"] * 100, {}, "neither 0 nor 1"),
        ([0.5] * 50, [0, 1] * 25, {}, "too few outcomes"),
        ([0.5] * 200, [0] * 195 + [1] * 5, {}, "too few outcomes"),
        ([np.nan] * 200, [0, 1] * 100, {}, "too few outcomes"),
        ([0.5] * 200, [0, 1] * 100, {"threshold": 1.0}, "threshold is no probability"),
    ],
)
def test_a_reference_that_says_nothing_is_refused(scores: Any, outcomes: Any, options: Any, problem: str) -> None:
    from tidegate.drift.columns import column_of

    with pytest.raises(InvalidInput, match=problem):
        Estimator.of(column_of(scores, "score"), column_of(outcomes, "outcome"), **options)


def test_scores_that_are_none_are_refused() -> None:
    estimator = Estimator.of(*rows(1))
    for scores in (np.full(10, np.nan), np.array([1.5])):
        with pytest.raises(InvalidInput):
            estimator.estimate(scores)
    with pytest.raises(InvalidInput, match="drop"):
        estimator.estimate(rows(2)[0], drop=1.0)
