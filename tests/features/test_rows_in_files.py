"""Whatever bytes a file holds, each of its rows is a vector or has a reason, and costs no other row anything."""

from __future__ import annotations

import contextlib
import io
import json
import math
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contract.errors import InvalidInput
from tidegate.features.rows import LONGEST_LINE, csv_rows, json_lines
from tidegate.features.schemas import check_of
from tidegate.features.vectors import LARGEST_VECTOR, Columns, Raw, Refused, Vector, sorted_out

NOW = datetime(2026, 3, 1, tzinfo=UTC)
COLUMNS = Columns("customer")
CHECK = check_of({"properties": {"a": {"type": ["number", "null"]}}})

pieces = st.sampled_from(
    [
        b'"',
        b",",
        b"\n",
        b"\r\n",
        b"\r",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b"customer",
        b"at",
        b"1",
        b"2026-01-01",
        b"a",
        b"NaN",
        b"1e400",
        b"-1E+999",
        b"18446744073709551616",
        b"-9223372036854775809",
        b"9" * 5_000,
        b"\\ud800",
    ]
) | st.binary(max_size=4)
noise = st.lists(pieces, max_size=40).map(b"".join)
anything: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([63, 64, 400, 20_000]).map(lambda bits: -(2**bits) - 1)
    | st.floats()
    | st.text(st.characters())
    | st.binary(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3),
    max_leaves=8,
)
#: As JSON writes them, of any size.
digits = st.integers(0, 10**30).map(str) | st.sampled_from(["9" * 400, "9" * 5_000])
fractions = st.just("") | st.integers(0, 10**20).map(".{}".format)
exponents = st.just("") | st.integers(-400, 400).map("e{}".format)
edges = [str(bound + past) for bound in (-(2**63), 2**63 - 1, 2**64 - 1) for past in (-1, 0, 1)]
numbers = st.builds("{}{}{}{}".format, st.sampled_from(["", "-"]), digits, fractions, exponents) | st.sampled_from(
    [*edges, "1e400", "-1e400", "1e-400"]
)


def outcome(raw: Raw) -> Vector | Refused:
    found = sorted_out(raw, COLUMNS, CHECK, NOW)
    if isinstance(found, Vector):
        assert 1 <= len(found.entity) <= 256
        assert found.at.tzinfo is UTC
        assert len(found.text.encode()) <= LARGEST_VECTOR
        assert isinstance(orjson.loads(found.text), dict)
        assert "\\u0000" not in found.text
    else:
        assert found.reason
        assert len(found.reason) <= 1_001
        for text in (found.entity, found.text, found.reason):
            assert "\0" not in text
            text.encode()
    return found


@given(noise)
def test_any_bytes_are_lines_of_vectors_or_of_reasons(data: bytes) -> None:
    for raw in json_lines(io.BytesIO(data)):
        outcome(raw)


@given(noise)
def test_any_bytes_are_rows_of_csv_or_reasons(data: bytes) -> None:
    good = b"42,2026-01-01,1,x\n"
    rows = list(csv_rows(io.BytesIO(b"customer,at,a,b\n" + good + data), COLUMNS, "x.csv"))
    assert isinstance(outcome(rows[0]), Vector)
    for raw in rows:
        outcome(raw)


@given(noise)
def test_any_bytes_are_a_file_of_csv_or_none(data: bytes) -> None:
    with contextlib.suppress(InvalidInput):
        for raw in csv_rows(io.BytesIO(data), COLUMNS, "x.csv"):
            outcome(raw)


@given(anything, anything, anything)
def test_any_row_of_a_program_is_a_vector_or_has_a_reason(entity: Any, at: Any, value: Any) -> None:
    outcome(Raw(1, {"customer": entity, "at": at, "a": value}))
    found = outcome(Raw(1, {"customer": "1", "at": "2026-01-01", "b": value}))
    if isinstance(found, Vector):
        told = json.loads(found.text)["b"]
        assert told == json.loads(json.dumps(value))
    if isinstance(value, float) and not math.isfinite(value):
        assert isinstance(found, Refused)


def of_json(text: str) -> Vector | Refused:
    (raw,) = json_lines(io.BytesIO(text.encode()))
    return outcome(raw)


def of_csv(text: str) -> Vector | Refused:
    (raw,) = csv_rows(io.BytesIO(f"customer,at,b\n{text}\n".encode()), COLUMNS, "x.csv")
    return outcome(raw)


@given(numbers)
def test_a_number_is_kept_as_it_was_written_or_refused_and_so_in_every_form(text: str) -> None:
    row = of_json(f'{{"customer": "42", "at": "2026-01-01", "b": {text}}}')
    cell = of_csv(f"42,2026-01-01,{text}")
    inner = of_json(f'{{"customer": "42", "at": "2026-01-01", "b": {{"c": [0, {text}]}}}}')
    is_whole = not set(text) & set(".e")
    fits = len(text) <= 20 and -(2**63) <= int(text) < 2**63 if is_whole else math.isfinite(float(text))
    assert [isinstance(one, Vector) for one in (row, cell, inner)] == [fits] * 3
    if isinstance(row, Vector) and isinstance(cell, Vector) and isinstance(inner, Vector):
        expected = int(text) if is_whole else float(text)
        assert json.loads(row.text) == json.loads(cell.text) == {"b": expected}
        assert json.loads(inner.text) == {"b": {"c": [0, expected]}}
    elif isinstance(row, Refused) and isinstance(cell, Refused) and isinstance(inner, Refused):
        assert row.reason == cell.reason
        assert inner.reason == row.reason.replace("b is ", "b.c[1] is ")
        assert row.reason.startswith(f"b is {text[:40]}")
        assert ("(64 bits)" in row.reason) == is_whole
        assert row.entity == cell.entity == inner.entity == "42"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1e400", "x is 1e400, expected a number that a double holds (up to 1.8e308)"),
        (
            "9223372036854775808",
            "x is 9223372036854775808, expected a whole number from -9223372036854775808 to 9223372036854775807 (64",
        ),
        ("9" * 5_000, f"x is {'9' * 40}… (5,000 characters), expected a whole number from "),
        ("-Infinity", "x is -Infinity, which JSON has not; write null for what is not known"),
        (r'"\ud800"', "x is not Unicode: it holds half a surrogate pair"),
    ],
)
def test_a_value_that_is_not_kept_is_told_with_its_place_and_its_entity(text: str, reason: str) -> None:
    found = of_json(f'{{"customer": "42", "at": "2026-01-01", "x": {text}}}')
    assert isinstance(found, Refused)
    assert found.reason.startswith(reason)
    assert found.entity == "42"


@given(st.integers(-(2**70), 2**70) | st.sampled_from([10**30, 10**400, -(10**3_000)]))
def test_a_key_of_digits_is_kept_as_they_are_or_told_to_be_too_large(key: int) -> None:
    row, given_ = (
        of_json(f'{{"customer": {key}, "at": "2026-01-01"}}'),
        outcome(Raw(1, {"customer": key, "at": "2026"})),
    )
    if -(2**63) <= key < 2**64:
        assert row.entity == str(key)
        assert given_.entity == str(key)
    else:
        assert isinstance(row, Refused)
        assert isinstance(given_, Refused)
        for one in (row, given_):
            assert one.reason.startswith("customer: is ")
            assert one.reason.endswith("(64 bits), or its digits as text")
    text = of_json(f'{{"customer": "{key}", "at": "2026-01-01"}}')
    assert isinstance(text, Vector) == (len(str(key)) <= 256)


def test_a_row_of_a_program_with_a_number_that_python_does_not_write_has_a_reason() -> None:
    for values in ({"customer": 10**5_000, "at": "2026-01-01"}, {"customer": "1", "at": "2026-01-01", "x": 10**5_000}):
        found = outcome(Raw(1, values))
        assert isinstance(found, Refused)
        assert "a whole number of 16,610 bits" in found.reason


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_line_without_an_end_is_not_held_in_memory(form: str) -> None:
    class Endless(io.RawIOBase):
        """A first line, one of 50 MB, and a last one."""

        def __init__(self) -> None:
            first = b"customer,at\n" if form == "csv" else b""
            last = b"\n42,2026-01-01\n" if form == "csv" else b'\n{"customer": "42", "at": "2026-01-01"}\n'
            self._parts = iter([first, *[b"x" * 1_000_000] * 50, last])
            self._part = b""

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            while not self._part:
                try:
                    self._part = next(self._parts)
                except StopIteration:
                    return 0
            taken, self._part = self._part[: len(buffer)], self._part[len(buffer) :]
            buffer[: len(taken)] = taken
            return len(taken)

    stream: Any = io.BufferedReader(Endless())
    rows = list(json_lines(stream) if form == "jsonl" else csv_rows(stream, COLUMNS, "x"))
    assert [isinstance(outcome(raw), Vector) for raw in rows] == [False, True]
    assert f"longer than {LONGEST_LINE:,} bytes" in str(rows[0].wrong)


def test_a_pattern_that_is_slow_elsewhere_is_not_here() -> None:
    check = check_of({"properties": {"a": {"pattern": "^(a+)+$"}}})
    assert check({"a": "a" * 100_000 + "!"}) is not None
