"""The compiled reader of single rows gives what the columns' reader gives, or leaves the row to it."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.runtime.mojo import row_plan
from tidegate.runtime.mojo.encodings import Field
from tidegate.runtime.mojo.errors import MojoRowError
from tidegate.runtime.mojo.rows import RowBuilder
from tidegate.runtime.mojo.values import ABSENT

LEVELS = ("a", "b", "größer")
FIELDS = (
    Field("number", None, "number", 1, 1, {}),
    Field("level", LEVELS, "value", 0, 1, {level: float(code) for code, level in enumerate(LEVELS)}),
)
BUILDER = RowBuilder(FIELDS, 3)


def test_the_usual_row_is_read_by_compiled_code() -> None:
    rows = BUILDER.quick({"level": "größer", "number": 0.1})
    assert rows is not None
    np.testing.assert_array_equal(rows, [[2.0, 0.1, math.nan]])


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"other": 1.0},
        {"number": 1.0, "other": [1, 2]},
        {"number": [1.0]},
        {"number": "1.5"},
        {"number": True},
        {"number": np.float64(1.0)},
        {"number": np.array([1.0])},
        {"number": Decimal(1)},
        {"number": 10**400},
        {"number": ABSENT},
        {"level": "unseen"},
        {"level": 1.0},
        {"level": math.nan},
    ],
    ids=repr,
)
def test_a_row_that_needs_more_than_a_look_is_left_to_the_other_reader(row: dict[str, Any]) -> None:
    assert BUILDER.quick(row) is None


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.sampled_from(LEVELS), st.just(ABSENT),
    st.floats(width=32).map(np.float32), st.floats().map(np.float64),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["number", "level", "other"]), VALUES))
def test_one_row_is_what_it_is_among_columns(row: dict[str, Any]) -> None:
    unseen: dict[str, int] = {}
    counted: dict[str, int] = {}
    columns = {name: [value] for name, value in row.items()}
    try:
        wanted = BUILDER.matrix(columns, 1, unseen=unseen)
    except MojoRowError as error:
        with pytest.raises(MojoRowError, match=re.escape(str(error))):
            BUILDER.one(row, unseen=counted)
        return
    np.testing.assert_array_equal(BUILDER.one(row, unseen=counted), wanted)
    assert counted == unseen
    quick = BUILDER.quick(row)
    if quick is not None:
        np.testing.assert_array_equal(quick, wanted)


def test_no_error_is_left_behind_by_a_number_that_no_double_holds() -> None:
    assert BUILDER.quick({"number": -(10**400)}) is None
    rows = BUILDER.quick({"number": -1})
    assert rows is None or rows[0, 1] == -1.0
    np.testing.assert_array_equal(BUILDER.one({"number": -1}), [[math.nan, -1.0, math.nan]])


def test_names_whose_addresses_are_not_those_of_the_plan_are_found() -> None:
    rows = BUILDER.quick({"".join(["num", "ber"]): 3, "".join(["lev", "el"]): "".join(["größ", "er"])})
    assert rows is not None
    np.testing.assert_array_equal(rows, [[2.0, 3.0, math.nan]])


def test_an_interpreter_with_other_objects_gets_no_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_plan, "_is_known_python", lambda: False)
    builder = RowBuilder(FIELDS, 3)
    assert builder.quick({"number": 0.5}) is None
    np.testing.assert_array_equal(builder.one({"number": 0.5}), [[math.nan, 0.5, math.nan]])
