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
    ]
) | st.binary(max_size=4)
noise = st.lists(pieces, max_size=40).map(b"".join)
anything: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3),
    max_leaves=8,
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
