"""Values as callers hand them over: numbers by Java's grammar, levels by their text."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.runtime.mojo.errors import MojoRowError
from tidegate.runtime.mojo.values import ABSENT, is_missing, number, numbers, spellings


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.5, 1.5),
        (3, 3.0),
        (True, 1.0),
        (np.float32(0.1), 0.10000000149011612),
        (np.int64(-7), -7.0),
        (np.bool_(False), 0.0),
        (Decimal("2.5"), 2.5),
        (10**400, math.inf),
        (-(10**400), -math.inf),
        (" 1e3 ", 1000.0),
        ("1d", 1.0),
        (".5F", 0.5),
        ("0x1.8p1", 3.0),
        ("-Infinity", -math.inf),
        ("+1.", 1.0),
    ],
)
def test_numbers_and_texts_of_java_are_numbers(value: Any, expected: float) -> None:
    assert number(value, "x") == expected
    assert numbers([value, value], "x").tolist() == [expected, expected]


@pytest.mark.parametrize("value", [None, math.nan, "NaN", np.float32("nan"), pd.NA, pd.NaT, Decimal("NaN"), ABSENT])
def test_what_is_missing_is_nan(value: Any) -> None:
    assert math.isnan(number(value, "x"))
    assert np.isnan(numbers([value, 1.0], "x")[0])


@pytest.mark.parametrize("text", ["", "nan", "inf", "1_000", "١", "1,5", "0x10", "--1", "1e", "NA", "1 2", "infinity"])
def test_what_python_alone_takes_for_a_number_is_none(text: str) -> None:
    with pytest.raises(MojoRowError, match=r"'x'.*is no number"):
        number(text, "x")
    with pytest.raises(MojoRowError):
        numbers([text, "1"], "x")
    assert math.isnan(number(text, "x", invalid_as_missing=True))


@pytest.mark.parametrize("value", [datetime.date(2024, 1, 1), np.datetime64("2024-01-01"), pd.Timestamp("2024-01-01")])
def test_a_time_is_no_number_and_the_error_says_what_h2os_times_are(value: object) -> None:
    with pytest.raises(MojoRowError) as raised:
        number(value, "when")
    assert raised.value.hint == "H2O's times are milliseconds since 1970."


@pytest.mark.parametrize("value", [[1.0], {"a": 1}, 1j, datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC), b"1"])
def test_what_is_no_number_is_an_error_even_when_texts_are_forgiven(value: Any) -> None:
    with pytest.raises(MojoRowError, match="is no number"):
        number(value, "x", invalid_as_missing=True)


@given(st.lists(st.floats() | st.none() | st.booleans() | st.integers(-(2**60), 2**60), min_size=1))
def test_a_column_is_read_as_its_values_one_by_one(values: list[Any]) -> None:
    np.testing.assert_array_equal(numbers(values, "x"), [number(value, "x") for value in values])


@given(st.lists(st.floats(allow_nan=False).map(repr) | st.text("0123456789.eE+-\n ", max_size=6), min_size=1))
def test_a_column_of_texts_is_read_as_its_values_one_by_one(texts: list[str]) -> None:
    alone = [number(text, "x", invalid_as_missing=True) for text in texts]
    np.testing.assert_array_equal(numbers(texts, "x", invalid_as_missing=True), alone)


@pytest.mark.parametrize(
    ("value", "first"),
    [
        ("1", "1"),
        (1, "1"),
        (1.0, "1"),
        (-0.0, "0"),
        (np.int32(12), "12"),
        (0.1, "0.1"),
        (np.float32(0.1), "0.1"),
        (True, "True"),
        (np.bool_(False), "False"),
        (Decimal("1.50"), "1.50"),
    ],
)
def test_a_value_is_the_level_that_it_is_written_as(value: Any, first: str) -> None:
    assert spellings(value, "x")[0] == first


def test_other_spellings_follow() -> None:
    assert spellings(1, "x") == ("1", "1.0")
    assert spellings(2.0, "x") == ("2", "2.0")
    assert spellings(True, "x") == ("True", "true", "TRUE", "1")
    assert spellings(1e-05, "x") == ("1e-05", "1.0E-5")
    assert spellings(1.25e30, "x") == ("1.25e+30", "1.25E30")
    assert spellings(math.inf, "x") == ("inf", "Infinity")


def test_a_text_stands_for_itself_alone() -> None:
    assert spellings("1.0", "x") == ("1.0",)


def test_a_list_is_no_level() -> None:
    with pytest.raises(MojoRowError, match=r"'x'.*is no level"):
        spellings([1], "x")


def test_texts_are_never_missing() -> None:
    assert not any(is_missing(text) for text in ("", "NA", "nan", "None"))
