"""How right answers were, by what really was: figures as scikit-learn has them, and no alarm by chance."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from tidegate.contract.errors import InvalidInput
from tidegate.drift.classes import rows_of
from tidegate.drift.labelled import Case, Choice, Kind, labelled, part
from tidegate.drift.quality import Fared, Limits, Quality, compare, values_of
from tidegate.drift.sums import ClassRows, NumberRows, measure
from tidegate.drift.wording import quality_sentences

NOW = datetime(2026, 11, 29, tzinfo=UTC)
NAMES = ("a", "b", "c")


def classes(seed: int, number: int, *, right: float = 0.8, size: int = 3, per_request: int = 1) -> ClassRows:
    """Return rows that are right with a probability, and scores that know it."""
    chance = np.random.default_rng(seed)
    actuals = chance.integers(0, size, number)
    answers = np.where(chance.random(number) < right, actuals, chance.integers(0, size, number))
    scores = np.full((number, size), (1 - right) / size)
    scores[np.arange(number), answers] += right
    scores += chance.random((number, size)) / 50
    scores /= scores.sum(axis=1, keepdims=True)
    positive = 1 if size == 2 else None
    names = tuple(map(str, range(size)))
    return ClassRows(names, positive, answers, actuals, scores, np.arange(number) // per_request)


def numbers(seed: int, number: int, *, off: float = 1.0, bias: float = 0.0) -> NumberRows:
    chance = np.random.default_rng(seed)
    actuals = chance.normal(10, 3, number)
    return NumberRows(actuals + chance.normal(bias, off, number), actuals, np.arange(number))


rows_of_any = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.lists(st.integers(1, 9), min_size=3, max_size=3)),
    min_size=1,
    max_size=30,
)


@given(rows_of_any)
@settings(max_examples=60)
def test_figures_of_several_classes_are_those_of_scikit_learn(drawn: list[tuple[int, int, list[int]]]) -> None:
    actuals, answers = (np.array([row[at] for row in drawn]) for at in (0, 1))
    scores = np.array([row[2] for row in drawn], dtype=float)
    scores /= scores.sum(axis=1, keepdims=True)
    found = measure(ClassRows(NAMES, None, answers, actuals, scores, np.arange(len(drawn)))).values
    there = sorted(set(actuals.tolist()))
    options = {"labels": there, "average": "macro", "zero_division": 0.0}
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(actuals, answers))
    assert found["precision"] == pytest.approx(metrics.precision_score(actuals, answers, **options))
    assert found["recall"] == pytest.approx(metrics.recall_score(actuals, answers, **options))
    assert found["f1"] == pytest.approx(metrics.f1_score(actuals, answers, **options))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(actuals, scores, labels=[0, 1, 2]))
    if len(there) > 1:
        areas = [metrics.roc_auc_score(actuals == at, scores[:, at]) for at in there]
        assert found["roc_auc"] == pytest.approx(np.mean(areas))


def test_figures_of_two_classes_are_of_the_positive_one() -> None:
    rows = classes(1, 500, size=2)
    found = measure(rows).values
    assert rows.scores is not None
    for name, wanted in (
        ("precision", metrics.precision_score(rows.actuals, rows.answers)),
        ("recall", metrics.recall_score(rows.actuals, rows.answers)),
        ("f1", metrics.f1_score(rows.actuals, rows.answers)),
        ("roc_auc", metrics.roc_auc_score(rows.actuals, rows.scores[:, 1])),
    ):
        assert found[name] == pytest.approx(wanted), name


def test_figures_of_numbers_are_those_of_scikit_learn_and_the_bias_has_a_sign() -> None:
    rows = numbers(1, 500, bias=0.5)
    found = measure(rows).values
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(rows.actuals, rows.answers))
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(rows.actuals, rows.answers))
    assert found["bias"] == pytest.approx((rows.answers - rows.actuals).mean())
    assert found["bias"] > 0.3


def test_what_it_is_a_sample_of_is_within_the_interval_as_often_as_stated() -> None:
    truth = {"accuracy": 0.8 + 0.2 / 3, "mae": np.sqrt(2 / np.pi), "rmse": 1.0, "bias": 0.0}
    within = dict.fromkeys(truth, 0)
    for seed in range(60):
        values = values_of(classes(seed, 300)) | values_of(numbers(seed, 300))
        for name in within:
            interval = values[name].interval
            assert interval is not None
            within[name] += interval[0] <= truth[name] <= interval[1]
    # A binomial of 60 with 95 % is below 51 less than once in a thousand times.
    assert min(within.values()) >= 51, within


def test_rows_of_one_request_are_no_observations_of_their_own() -> None:
    single, many = classes(1, 4_000), classes(1, 4_000)
    same = np.repeat(many.answers[:40], 100), np.repeat(many.actuals[:40], 100)
    clustered = ClassRows(NAMES, None, *same, None, np.repeat(np.arange(40), 100))
    assert measure(clustered).spread["accuracy"] > 5 * measure(single).spread["accuracy"]


def states(found: Quality) -> dict[str, Fared]:
    return {figure.name: figure.state for figure in found.figures}


def test_answers_that_are_as_right_as_before_are_kept_and_those_that_are_not_are_worse() -> None:
    kept = compare(classes(1, 6_000), classes(2, 6_000))
    assert kept.state is Fared.KEPT
    worse = compare(classes(1, 3_000), classes(2, 3_000, right=0.6))
    assert set(states(worse).values()) == {Fared.WORSE}
    assert compare(classes(2, 3_000, right=0.6), classes(1, 3_000)).state is Fared.KEPT
    told = " ".join(quality_sentences(worse, (3_000, 4_000), None))
    assert "Worse, and no chance: accuracy, precision, recall, F1, ROC AUC, log loss." in told
    assert "known of 3,000 of 4,000 logged requests" in told


def test_errors_of_numbers_may_grow_by_a_share_and_the_bias_either_way() -> None:
    before = numbers(1, 4_000)
    assert compare(before, numbers(2, 4_000), Limits(rise=0.2)).state is Fared.KEPT
    assert states(compare(before, numbers(2, 4_000, off=1.5))) == {
        "mae": Fared.WORSE,
        "rmse": Fared.WORSE,
        "bias": states(compare(before, numbers(2, 4_000, off=1.5)))["bias"],
    }
    for bias in (-0.5, 0.5):
        assert states(compare(before, numbers(2, 4_000, bias=bias)))["bias"] is Fared.WORSE


def test_nothing_is_called_worse_where_nothing_is_more_often_than_stated() -> None:
    false = sum(
        compare(classes(2 * seed, 200), classes(2 * seed + 1, 200), Limits(drop=0.0, rise=0.0, alpha=0.05)).state
        is Fared.WORSE
        for seed in range(100)
    )
    # At most 5 of 100 are to be expected; a binomial of 100 with 5 % is above 13 less than once in a thousand times.
    assert false <= 13, false


def test_fifty_requests_raise_no_alarm_whatever_they_show_and_it_is_said_how_many_would_do() -> None:
    found = compare(classes(1, 2_000, right=1.0), classes(2, 50, right=0.0))
    assert found.state is Fared.INCONCLUSIVE
    assert "It takes 100 requests whose actual is known; there are 50." in " ".join(
        quality_sentences(found, (2_000, 50), None)
    )
    few = compare(classes(1, 400), classes(2, 150))
    needed = [figure.needed for figure in few.figures if figure.state is Fared.INCONCLUSIVE]
    assert all(number is not None and number > 150 for number in needed)
    assert needed
    # So many do, with a reference that grows alike.
    times = 4 * max(number for number in needed if number is not None) // 150
    assert compare(classes(1, 400 * times), classes(2, 150 * times)).state is Fared.KEPT


def test_a_class_that_hardly_comes_is_inconclusive_and_named() -> None:
    rows = classes(1, 500, size=2)
    rare = ClassRows(rows.classes, 1, rows.answers, np.where(np.arange(500) < 4, 1, 0), rows.scores, rows.requests)
    found = compare(rows, rare)
    assert {name: state for name, state in states(found).items() if name in ("recall", "roc_auc")} == {
        "recall": Fared.INCONCLUSIVE,
        "roc_auc": Fared.INCONCLUSIVE,
    }
    assert found.rare == {"1": 4}


def test_all_right_answers_are_not_taken_for_certain() -> None:
    found = compare(classes(1, 120, right=1.0), classes(2, 120, right=1.0), Limits(drop=0.01))
    assert states(found)["accuracy"] is Fared.INCONCLUSIVE
    json.dumps(found.as_dict(), allow_nan=False)


# From the log


def case(name: str, outputs: dict[str, Any], actual: Any, rows: int = 1, **others: Any) -> Case:
    fields = {"at": NOW, "revision": 1, **others}
    return Case(fields["at"], name, fields["revision"], rows, outputs, actual)


def test_actuals_stand_beside_answers_row_by_row_and_what_does_not_fit_is_left_out_and_counted() -> None:
    found = labelled(
        [
            case("one", {"prediction": [1], "probabilities": [[0.2, 0.8]]}, 0),
            case("two", {"prediction": [1, 0], "probabilities": [[0.4, 0.6], [0.9, 0.1]]}, [None, 0], rows=2),
            case("named", {"prediction": [0], "probabilities": [[0.7, 0.3]]}, {"prediction": 1}),
            case("wrong", {"prediction": [1, 0], "probabilities": [[0.4, 0.6], [0.9, 0.1]]}, 1, rows=2),
            case("twice", {"prediction": [1], "probabilities": [[0.2, 0.8]]}, 0),
            case("twice", {"prediction": [1], "probabilities": [[0.2, 0.8]]}, 0),
            case("reused", {"prediction": [1], "probabilities": [[0.2, 0.8]]}, 0),
            case("reused", {"prediction": [0], "probabilities": [[0.8, 0.2]]}, 0, revision=2),
        ],
        Choice(),
    )
    assert (found.answers, found.actuals) == ([1, 0, 0, 1], [0, 0, 1, 0])
    assert (found.requests, found.misfits, found.twice) == ([0, 1, 2, 3], 1, 1)
    (rows,) = rows_of([found], Choice())
    assert isinstance(rows, ClassRows)
    assert (rows.classes, rows.positive) == (("0", "1"), 1)
    assert rows.scores is not None
    assert rows.scores[0].tolist() == [0.2, 0.8]


def test_scores_are_put_to_classes_by_the_answers_whatever_their_order() -> None:
    scores = {"late": [0.1, 0.7, 0.2], "early": [0.1, 0.2, 0.7], "on time": [0.8, 0.1, 0.1]}
    side = labelled(
        [case(name, {"prediction": [name], "probabilities": [scores[name]]}, name) for name in scores], Choice()
    )
    (rows,) = rows_of([side], Choice())
    assert isinstance(rows, ClassRows)
    assert rows.scores is not None
    assert rows.classes == ("early", "late", "on time")
    assert rows.scores.argmax(axis=1).tolist() == rows.actuals.tolist()
    with pytest.raises(InvalidInput, match="3 scores"):
        rows_of([side], Choice(classes=("a", "b")))


def test_scores_of_h2o_are_outputs_by_the_name_of_the_class() -> None:
    outputs = {"predict": ["1"], "p0": [0.3], "p1": [0.7]}
    (rows,) = rows_of([labelled([case("a", outputs, 1), case("b", outputs, 0)], Choice())], Choice())
    assert isinstance(rows, ClassRows)
    assert rows.scores is not None
    assert (rows.classes, rows.scores.tolist()) == (("0", "1"), [[0.3, 0.7], [0.3, 0.7]])


def test_true_and_1_are_one_class_and_answers_without_scores_are_numbers_unless_said_otherwise() -> None:
    (rows,) = rows_of(
        [labelled([case("a", {"offer": [True]}, 1), case("b", {"offer": [False]}, 1)], Choice())], Choice()
    )
    assert isinstance(rows, ClassRows)
    assert (rows.classes, rows.actuals.tolist(), rows.answers.tolist()) == (("0", "1"), [1, 1], [1, 0])
    digits = labelled([case("a", {"prediction": [7]}, 7), case("b", {"prediction": [3]}, 8)], Choice())
    assert isinstance(rows_of([digits], Choice())[0], NumberRows)
    (as_classes,) = rows_of([digits], Choice(kind=Kind.CLASSES))
    assert isinstance(as_classes, ClassRows)
    assert as_classes.classes == ("3", "7", "8")


def test_a_part_of_the_time_has_the_rows_of_its_requests() -> None:
    cases = [case(str(day), {"price": [1.0 * day]}, 1.0, at=NOW + timedelta(days=day)) for day in range(5)]
    side = labelled(cases, Choice())
    (rows,) = rows_of([side], Choice())
    found = part(rows, side.moments, NOW + timedelta(days=1), NOW + timedelta(days=3))
    assert isinstance(found, NumberRows)
    assert (found.answers.tolist(), found.requests.tolist()) == ([1.0, 2.0], [0, 1])
    assert part(rows, side.moments, NOW + timedelta(days=9), NOW + timedelta(days=10)) is None


@pytest.mark.parametrize(
    ("outputs", "actual", "choice", "problem"),
    [
        ({"first": [1], "second": [2]}, 1, Choice(), "not clear which output"),
        ({"prediction": [1]}, 1, Choice(answer="price"), "no output 'price'"),
        ({"prediction": ["late"]}, "delayed", Choice(), "no actual is a class"),
        ({"prediction": ["late"]}, "late", Choice(kind=Kind.NUMBERS), "no numbers"),
        ({"prediction": ["late"]}, "late", Choice(positive="early"), "no class 'early'"),
    ],
)
def test_what_makes_no_sense_is_refused(outputs: dict[str, Any], actual: Any, choice: Choice, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        rows_of([labelled([case("a", outputs, actual)], choice)], choice)
