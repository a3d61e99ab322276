"""A reference compared with later data: what drifts, what does not, what cannot be told."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tidegate.contract.errors import InvalidInput
from tidegate.drift import Policy, Reading, Reference, State

ROWS = 20_000


def some(seed: int, rows: int = ROWS) -> dict[str, Any]:
    chance = np.random.default_rng(seed)
    return {
        "delay": chance.gamma(2.0, 10.0, rows),
        "hour": chance.integers(0, 24, rows),
        "is_late": chance.random(rows) < 0.2,
        "carrier": chance.choice(["AA", "DL", "UA"], rows, p=[0.5, 0.3, 0.2]),
    }


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference.of(some(0))


def state_of(reading: Reading, column: str) -> State:
    return next(one.state for one in reading.columns if one.name == column)


def test_data_like_the_reference_has_not_drifted(reference: Reference) -> None:
    reading = reference.compare(some(1))
    assert reading.state is State.NONE
    assert all(column.psi < 0.01 for column in reading.columns)


def test_what_changed_is_named_and_the_rest_is_not(reference: Reference) -> None:
    later = some(1)
    later["delay"] = later["delay"] * 1.5
    reading = reference.compare(later)
    assert [column.name for column in reading.columns if column.state is not State.NONE] == ["delay"]
    assert reading.columns[0].name == "delay"
    assert reading.columns[0].kolmogorov_smirnov == pytest.approx(0.2, abs=0.05)
    assert reading.columns[0].wasserstein == pytest.approx(10.0, rel=0.05)


def test_a_variance_that_grew_is_drift_with_an_equal_mean() -> None:
    chance = np.random.default_rng(2)
    reference = Reference.of({"x": chance.normal(0, 1, ROWS)})
    assert reference.compare({"x": chance.normal(0, 2, ROWS)}).state is State.LARGE


def test_a_column_that_goes_missing_is_drift(reference: Reference) -> None:
    later = some(1)
    later["delay"] = np.where(np.arange(ROWS) % 3 == 0, np.nan, later["delay"])
    reading = reference.compare(later)
    assert state_of(reading, "delay") is State.LARGE
    assert reading.columns[0].missing == pytest.approx((0.0, 1 / 3), abs=1e-3)
    del later["delay"]
    gone = reference.compare(later)
    assert state_of(gone, "delay") is State.LARGE
    assert gone.columns[0].missing[1] == 1.0
    assert gone.columns[0].kolmogorov_smirnov is None


def test_levels_that_the_reference_never_had_are_drift(reference: Reference) -> None:
    later = some(1)
    later["carrier"] = np.where(np.arange(ROWS) % 5 == 0, "WN", later["carrier"])
    reading = reference.compare(later)
    assert state_of(reading, "carrier") is State.LARGE
    assert reading.columns[0].unseen == pytest.approx((0.0, 0.2), abs=1e-3)


@pytest.mark.parametrize("lost", [1.0, 0.05])
def test_levels_that_are_gone_are_drift_however_few_the_reference_has_beside_what_is_new(lost: float) -> None:
    """Of ten levels with 100 or 5 rows of a reference each, a million other rows have none."""
    small, large = round(1_000 * lost), round(1_000_000 * lost)
    before = np.array([f"level {number % 10}" for number in range(small)] + ["common"] * (1_000 - small), dtype=object)
    now = np.array(["another"] * large + ["common"] * (1_000_000 - large), dtype=object)
    reading = Reference.of({"x": before}).compare({"x": now})
    assert (reading.state, reading.columns[0].chance < 1e-6) == (State.LARGE, True)


def test_fifty_rows_are_not_enough_and_it_is_said_how_many_are(reference: Reference) -> None:
    readings = [reference.compare(some(seed, rows=50)) for seed in range(1, 41)]
    # One in a hundred may be a false alarm.
    assert [reading.state for reading in readings].count(State.INCONCLUSIVE) >= 38
    needed = max(column.rows_needed or 0 for column in readings[0].columns)
    assert 100 < needed < 1000
    assert reference.compare(some(1, rows=needed)).state is State.NONE


def test_fifty_rows_are_enough_for_what_cannot_be_chance(reference: Reference) -> None:
    later = some(1, rows=50)
    later["carrier"] = np.array(["WN"] * 50)
    assert state_of(reference.compare(later), "carrier") is State.LARGE


def test_a_reference_that_is_too_small_for_any_answer_says_so() -> None:
    reading = Reference.of(some(0, rows=40)).compare(some(1))
    assert state_of(reading, "delay") is State.INCONCLUSIVE
    assert next(one for one in reading.columns if one.name == "delay").rows_needed is None


KINDS = ("normal", "whole", "rounded", "few levels", "many levels", "rare levels", "equal levels")


def windows(kind: str, chance: np.random.Generator, rows: int) -> Any:
    match kind:
        case "normal":
            return chance.normal(size=rows)
        case "whole":
            return chance.poisson(3.0, rows)
        case "rounded":
            return np.round(chance.exponential(size=rows), 1)
        case "few levels":
            return chance.choice(list("abcdefgh"), rows)
        case "many levels":
            return np.array([f"city {number}" for number in chance.zipf(1.3, rows) % 5_000])
        case "rare levels":
            return np.where(chance.random(rows) < 0.004, chance.choice(list("abcdefgh"), rows), "common")
        case "equal levels":
            return np.array([f"user {number}" for number in chance.integers(0, 2_000, rows)])
    raise AssertionError(kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sizes", [(2_000, 300), (500, 3_000)])
def test_chance_is_taken_for_a_difference_no_more_often_than_stated(kind: str, sizes: tuple[int, int]) -> None:
    """The thresholds are so low here that chance alone decides: a twentieth of the windows may differ, of 200."""
    chance = np.random.default_rng(5)
    policy = Policy(moderate=1e-9, large=1e-9, alpha=0.05)
    alarms = sum(
        Reference.of({"x": windows(kind, chance, sizes[0])})
        .compare({"x": windows(kind, chance, sizes[1])}, policy)
        .state
        is State.LARGE
        for _ in range(200)
    )
    # A binomial of 200 with 5 % is above 20 once in a thousand times.
    assert alarms <= 20


SPARSE = ("numbers of a small reference", "levels seen once", "numbers never seen")


def sparse(kind: str, chance: np.random.Generator, rows: int) -> Any:
    match kind:
        case "numbers of a small reference":
            return chance.normal(size=rows)
        case "levels seen once":
            return np.array([f"level {number}" for number in chance.integers(0, 45, rows)], dtype=object)
        case "numbers never seen":
            return np.where(chance.random(rows) < 0.1, chance.integers(1, 19, rows), 0).astype(np.float64)
    raise AssertionError(kind)


@pytest.mark.parametrize(("kind", "sizes"), [*zip(SPARSE, [(50, 2_000), (180, 7_200), (180, 180)], strict=True)])
def test_where_the_reference_has_few_of_each_there_are_no_more_alarms_than_stated(
    kind: str, sizes: tuple[int, int]
) -> None:
    """With Pearson's sum, and what was seen once or never in bins of its own, 13 to 66 of 300 windows are alarms."""
    chance = np.random.default_rng(6)
    alarms = sum(
        Reference.of({"x": sparse(kind, chance, sizes[0])})
        .compare({"x": sparse(kind, chance, sizes[1])})
        .columns[0]
        .chance
        <= 0.01
        for _ in range(300)
    )
    # A binomial of 300 with 1 % is above 9 once in a thousand times.
    assert alarms <= 9


def test_a_few_dozen_rows_are_enough_for_a_new_level_among_many() -> None:
    chance = np.random.default_rng(7)
    levels = np.array([f"level {number}" for number in range(17)], dtype=object)
    shares = 1 / np.arange(1, 18)
    before = chance.choice(levels, 5_000, p=shares / shares.sum())
    now = np.concatenate([chance.choice(levels, 20, p=shares / shares.sum()), ["another"] * 10])
    assert Reference.of({"x": before}).compare({"x": now}).state is State.LARGE


@pytest.mark.parametrize("rows", [10, 30, 49])
def test_a_few_dozen_rows_without_a_number_are_drift(reference: Reference, rows: int) -> None:
    later = some(1, rows)
    later["delay"] = np.full(rows, np.nan)
    assert state_of(reference.compare(later), "delay") is State.LARGE
    assert state_of(reference.compare(some(1, rows)), "delay") is State.INCONCLUSIVE


def test_frames_of_all_kinds_say_the_same(reference: Reference) -> None:
    later = some(3)
    later["delay"][:100] = np.nan
    plain = reference.compare(later)
    table = pa.table({name: pa.array(values, from_pandas=True) for name, values in later.items()})
    for data in (pd.DataFrame(later), table, pl.from_arrow(table)):
        assert reference.compare(data).as_dict() == plain.as_dict()


def test_columns_that_are_new_are_named_and_no_drift(reference: Reference) -> None:
    reading = reference.compare({**some(1), "gate": np.zeros(ROWS)})
    assert reading.new == ("gate",)
    assert reading.state is State.NONE


def test_a_column_that_names_rows_is_not_compared() -> None:
    ids = np.array([f"id {number}" for number in range(100_001)])
    reference = Reference.of({"id": ids, "x": np.arange(100_001.0)})
    assert list(reference.columns) == ["x"]
    assert "more than 100,000 different levels" in reference.skipped["id"]
    assert reference.compare({"id": ids, "x": np.arange(100_001.0)}).state is State.NONE


def test_one_long_text_among_many_short_ones_does_not_make_all_of_them_take_as_much() -> None:
    texts = ["a" * 10_000_000, *(["b"] * 100_000)]  # 4 TB if each had the width of the first
    assert Reference.of({"x": texts}).compare({"x": texts}).state is State.NONE


def test_a_constant_column_compares_with_itself_and_with_another_constant() -> None:
    reference = Reference.of({"x": np.ones(1000)})
    assert reference.compare({"x": np.ones(1000)}).state is State.NONE
    assert reference.compare({"x": np.zeros(1000)}).state is State.LARGE


def test_a_reference_is_written_and_read_again(reference: Reference) -> None:
    again = Reference.from_plain(json.loads(json.dumps(reference.as_plain())))
    later = some(1)
    first, second = reference.compare(later), again.compare(later)
    for before, after in zip(first.columns, second.columns, strict=True):
        assert (before.name, before.psi, before.chance) == (after.name, after.psi, after.chance)
        # Of the numbers one in two is kept.
        assert after.kolmogorov_smirnov == pytest.approx(before.kolmogorov_smirnov, abs=2e-4)


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ({"format": "other"}, "no reference"),
        ([], "no reference"),
        ({"format": "tidegate.drift.reference/1"}, "damaged"),
        ({"format": "tidegate.drift.reference/1", "rows": 3, "skipped": {}, "columns": {"x": {}}}, "damaged"),
        (
            {
                "format": "tidegate.drift.reference/1",
                "rows": 3,
                "skipped": {},
                "columns": {"x": {"bins": {"kind": "number", "edges": [1], "each": False}, "counts": [1, 2]}},
            },
            "counts do not fit",
        ),
        (
            {
                "format": "tidegate.drift.reference/1",
                "rows": 3,
                "skipped": {},
                "columns": {
                    "x": {
                        "bins": {"kind": "number", "edges": [1], "each": False},
                        "counts": [1, 2, 0, 0],
                        "numbers": [3, 1],
                    }
                },
            },
            "not in order",
        ),
    ],
)
def test_what_is_no_reference_is_refused(broken: Any, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        Reference.from_plain(broken)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({}, "no columns"),
        ({"x": [1.0]}, "needs rows"),
        ({"x": [1.0, 2.0], "y": [1.0]}, "different lengths"),
        ({"x": [[1.0], [2.0]]}, "2 dimensions"),
        ({"x": [None, None]}, "no column can be compared"),
        (7, "no columns"),
    ],
)
def test_bad_data_makes_no_reference(data: Any, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        Reference.of(data)


def test_data_without_a_column_of_the_reference_is_refused(reference: Reference) -> None:
    with pytest.raises(InvalidInput, match="no column of the reference"):
        reference.compare({"other": [1.0, 2.0]})
    with pytest.raises(InvalidInput, match="has no rows"):
        reference.compare({name: values[:0] for name, values in some(1).items()})


@pytest.mark.parametrize("values", [{"moderate": 0.3}, {"moderate": 0.0}, {"alpha": 0.0}, {"alpha": 1.0}])
def test_a_policy_that_makes_no_sense_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        Policy(**values)
