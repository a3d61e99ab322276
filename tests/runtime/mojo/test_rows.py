"""Named values to numeric rows, in every encoding."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate.runtime.mojo.encodings import Field
from tidegate.runtime.mojo.errors import MojoRowError
from tidegate.runtime.mojo.rows import Column, Dictionary, Policy, RowBuilder
from tidegate.runtime.mojo.values import ABSENT

NAN = math.nan
LEVELS = ("a", "b", "1")
CODES = {level: float(code) for code, level in enumerate(LEVELS)}
FIELDS = (
    Field("number", None, "number", 0, 1, {}),
    Field("plain", LEVELS, "value", 1, 1, CODES),
    Field("hot", LEVELS, "one_hot", 2, 4, CODES),
    Field("bits", LEVELS, "binary", 6, 2, CODES),
)
BUILDER = RowBuilder(FIELDS, 8)
STRICT = Policy(strict=True)


def built(**columns: Column) -> list[list[float]]:
    size = 0
    for column in columns.values():
        size = len(column.codes) if isinstance(column, Dictionary) else len(column)
    rows: list[list[float]] = BUILDER.matrix(columns, size).tolist()
    return rows


def same(got: Any, expected: Any) -> None:
    np.testing.assert_array_equal(np.array(got, dtype=float), np.array(expected, dtype=float))


def test_nothing_given_is_a_row_of_nan() -> None:
    same(BUILDER.matrix({}, 2), np.full((2, 8), NAN))
    same(BUILDER.one({}), np.full((1, 8), NAN))


def test_a_level_is_its_code_one_hot_slot_or_bits() -> None:
    (row,) = built(number=[0.5], plain=["b"], hot=["b"], bits=["1"])
    assert row == [0.5, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0]


def test_missing_is_another_row_than_absent_where_a_level_takes_several_slots() -> None:
    missing = built(plain=[None], hot=[None], bits=[None])
    same(missing, [[NAN, NAN, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]])
    same(built(plain=[ABSENT], hot=[ABSENT], bits=[ABSENT]), [[NAN] * 8])
    same(built(hot=[ABSENT, "a"]), [[NAN] * 8, [NAN, NAN, 1.0, 0.0, 0.0, 0.0, NAN, NAN]])


def test_an_unseen_level_scores_as_missing_and_is_counted() -> None:
    counted: dict[str, int] = {}
    rows = BUILDER.matrix({"plain": ["z", "a", "z", None], "hot": ["A"] * 4}, 4, unseen=counted)
    same(rows[:, 1], [NAN, 0.0, NAN, NAN])
    same(rows[0, 2:6], [0.0, 0.0, 0.0, 1.0])
    assert counted == {"plain": 2, "hot": 4}


def test_levels_match_exactly() -> None:
    counted: dict[str, int] = {}
    BUILDER.matrix({"plain": [" a", "a ", "A", "1.0", ""]}, 5, unseen=counted)
    assert counted == {"plain": 5}


def test_a_strict_reader_refuses_an_unseen_level_and_names_it() -> None:
    with pytest.raises(MojoRowError, match="'plain': the training had no level 'z'") as raised:
        BUILDER.one({"plain": "z"}, STRICT)
    assert raised.value.subject == "plain"
    with pytest.raises(MojoRowError, match="'plain': the training had no level 'z'"):
        BUILDER.matrix({"plain": ["a", "z"]}, 2, STRICT)


def test_a_strict_reader_takes_missing_values() -> None:
    same(BUILDER.matrix({"plain": [None, NAN, "a"]}, 3, STRICT)[:, 1], [NAN, NAN, 0.0])


@pytest.mark.parametrize(
    "column",
    [
        [1, 1.0, "1"],
        np.array([1, 1, 1]),
        np.array([1.0, 1.0, 1.0], dtype=np.float32),
        np.array(["1", "1", "1"]),
        np.array(["1", 1, True], dtype=object),
        Dictionary(np.array([0, 0, 0]), ["1"]),
        Dictionary(np.array([1, 1, 1]), ["never used", 1]),
    ],
    ids=["list", "ints", "floats", "texts", "objects", "dictionary", "dictionary of numbers"],
)
def test_columns_of_all_kinds_have_levels(column: Column) -> None:
    counted: dict[str, int] = {}
    assert BUILDER.matrix({"plain": column}, 3, unseen=counted)[:, 1].tolist() == [2.0, 2.0, 2.0]
    assert counted == {}


def test_numbers_of_all_kinds_of_columns() -> None:
    for column in ([1, "2", None], np.array([1.0, 2.0, NAN]), Dictionary(np.array([1, 0, -1]), ["2", 1])):
        same(BUILDER.matrix({"number": column}, 3)[:, 0], [1.0, 2.0, NAN])
    same(BUILDER.matrix({"number": np.array([True, False])}, 2)[:, 0], [1.0, 0.0])
    same(BUILDER.matrix({"number": np.array(["1", " 2 "])}, 2)[:, 0], [1.0, 2.0])


def test_values_that_cannot_be_looked_up_are_errors_that_name_the_column() -> None:
    with pytest.raises(MojoRowError, match="'plain'"):
        BUILDER.matrix({"plain": [["a"], "b"]}, 2)
    with pytest.raises(MojoRowError, match="'number'"):
        BUILDER.one({"number": "one"})
    with pytest.raises(MojoRowError, match="milliseconds"):
        BUILDER.matrix({"number": np.array(["2024-01-01"], dtype="datetime64[D]")}, 1)


def test_unknown_columns_are_ignored() -> None:
    same(BUILDER.one({"other": object(), "number": 1.0}), [[1.0, *[NAN] * 7]])


_CELL = st.sampled_from(["a", "b", "1", "z", "", None, NAN, ABSENT, 1, 1.0, True, 2.5])
_NUMBER = st.sampled_from([0.5, -0.0, 3, True, None, NAN, ABSENT, "1e2", "-Infinity"])
_ROW = st.fixed_dictionaries({"number": _NUMBER, "plain": _CELL, "hot": _CELL, "bits": _CELL})


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_ROW, min_size=1, max_size=5))
def test_a_row_alone_and_a_row_among_others_are_the_same(rows: list[dict[str, Any]]) -> None:
    together: dict[str, int] = {}
    alone: dict[str, int] = {}
    columns: dict[str, Column] = {name: [row[name] for row in rows] for name in rows[0]}
    matrix = BUILDER.matrix(columns, len(rows), unseen=together)
    same(matrix, np.concatenate([BUILDER.one(row, unseen=alone) for row in rows]))
    assert together == alone
    assert np.signbit(matrix[:, 0]).tolist() == [bool(np.signbit(BUILDER.one(row)[0, 0])) for row in rows]
