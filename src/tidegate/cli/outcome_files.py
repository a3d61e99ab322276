"""Files of outcomes, as CSV or JSON lines, read line by line: a file may be larger than the memory.

What a line says is checked by the controller. Here only its form is: a line that is no row, or whose `bad` is no truth
value, is a refusal of its own.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TextIO

from tidegate.contract.errors import InvalidInput

#: Of one call: far below what the API takes.
BATCH = 2000
LONGEST_LINE = 10_000

_TRUE, _FALSE = frozenset({"true", "1", "yes", "bad"}), frozenset({"false", "0", "no", "good"})
_COLUMNS = ("request_id", "bad", "outcome", "actual", "at")
_EXPECTED = "CSV with the columns request_id and bad, outcome or actual (and at), or one JSON object on each line"


@dataclass(frozen=True)
class Line:
    """One outcome as the API takes it, or why the line holds none; `number` counts lines from 1."""

    number: int
    entry: dict[str, Any] | None
    wrong: str | None = None


def read(stream: TextIO, source: str) -> Iterator[Line]:
    """Yield what each line of a file says; empty lines are passed over.

    Args:
        source: what the lines come from, for messages.

    Raises:
        InvalidInput: it begins as none of the forms.
    """
    numbered = _lines(stream)
    first = next(numbered, None)
    if first is None:
        raise InvalidInput(f"{source} holds no outcomes", subject=source, expected=_EXPECTED)
    if first[1].lstrip().startswith("{"):
        yield _from_json(*first)
        for number, text in numbered:
            yield _from_json(number, text)
        return
    try:
        header = [name.strip() for name in next(csv.reader([first[1]], strict=True), [])]
    except csv.Error:
        header = []
    says_nothing = not {"bad", "outcome", "actual"} & set(header)
    if "request_id" not in header or says_nothing or {"bad", "outcome"} <= set(header):
        raise InvalidInput(
            f"{source} begins with neither columns of outcomes nor a JSON object",
            subject=source,
            expected=_EXPECTED,
            got=first[1].strip()[:80],
        )
    for number, text in numbered:
        yield _from_row(number, header, text)


def batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Yield lines in parts that one call takes."""
    part: list[Line] = []
    for line in lines:
        part.append(line)
        if len(part) == BATCH:
            yield part
            part = []
    if part:
        yield part


def _lines(stream: TextIO) -> Iterator[tuple[int, str]]:
    number = 0
    while text := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(text) > LONGEST_LINE:
            raise InvalidInput(f"line {number} is longer than {LONGEST_LINE:,} characters", expected=_EXPECTED)
        if text.strip():
            yield number, text.lstrip("\ufeff") if number == 1 else text


def _from_json(number: int, text: str) -> Line:
    try:
        entry = _parsed(text)
    except (ValueError, RecursionError):
        return Line(number, None, "is not JSON")
    return Line(number, entry) if isinstance(entry, dict) else Line(number, None, "is not a JSON object")


def _from_row(number: int, header: list[str], text: str) -> Line:
    try:
        row = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        return Line(number, None, f"is no row of CSV: {error}")
    if len(row) != len(header):
        return Line(number, None, f"has {len(row)} columns, expected {len(header)}")
    found = {name: value.strip() for name, value in zip(header, row, strict=True) if name in _COLUMNS}
    entry: dict[str, Any] = {"request_id": found["request_id"]}
    # Where there is an actual, the other may not be known.
    if "bad" in found and not (found.get("actual") and not found["bad"]):
        word = found["bad"].lower()
        if word not in _TRUE | _FALSE:
            return Line(number, None, f"bad: expected true or false, got {found['bad'][:40]!r}")
        entry["bad"] = word in _TRUE
    if "outcome" in found and not (found.get("actual") and not found["outcome"]):
        entry["outcome"] = _value(found["outcome"])
    if found.get("actual"):
        entry["actual"] = _actual(found["actual"])
    for name in ("outcome", "actual"):
        if isinstance(entry.get(name), float) and not math.isfinite(entry[name]):
            return Line(number, None, f"{name}: expected a finite number, got {found[name][:40]!r}")
    if found.get("at"):
        entry["at"] = found["at"]
    return Line(number, entry)


def _actual(text: str) -> Any:
    """Read what is JSON, or a number, as that, and anything else as a text."""
    try:
        return _parsed(text)
    except (ValueError, RecursionError):
        return _value(text)


def _parsed(text: str) -> Any:
    def refuse(word: str) -> None:
        raise ValueError(word)

    return json.loads(text, parse_constant=refuse)


def _value(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text
