"""Files of outcomes, as CSV or JSON lines, read line by line: a file may be larger than the memory.

What a line says is checked by the controller. Here only its form is: a line that is no row, whose `bad` is no truth
value, or that could not be sent, since JSON or UTF-8 has not what it holds, is a refusal of its own.
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
_TOO_LONG = f"is longer than {LONGEST_LINE:,} characters"

_TRUE, _FALSE = frozenset({"true", "1", "yes", "bad"}), frozenset({"false", "0", "no", "good"})
_COLUMNS = ("request_id", "bad", "outcome", "actual", "at")
_SHOWN = 40
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
    begins = first[1]
    if begins is None:
        raise InvalidInput(f"line {first[0]} of {source} {_TOO_LONG}", subject=source, expected=_EXPECTED)
    if begins.lstrip().startswith("{"):
        yield _from_json(first[0], begins)
        for number, text in numbered:
            yield Line(number, None, _TOO_LONG) if text is None else _from_json(number, text)
        return
    try:
        header = [name.strip() for name in next(csv.reader([begins], strict=True), [])]
    except csv.Error:
        header = []
    says_nothing = not {"bad", "outcome", "actual"} & set(header)
    if "request_id" not in header or says_nothing or {"bad", "outcome"} <= set(header):
        raise InvalidInput(
            f"{source} begins with neither columns of outcomes nor a JSON object",
            subject=source,
            expected=_EXPECTED,
            got=begins.strip()[:80],
        )
    for number, text in numbered:
        yield Line(number, None, _TOO_LONG) if text is None else _from_row(number, header, text)


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


def _lines(stream: TextIO) -> Iterator[tuple[int, str | None]]:
    """Yield the lines that are not empty with their numbers; None for one that is too long."""
    number = 0
    while text := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(text) > LONGEST_LINE:
            while text and not text.endswith("\n"):
                text = stream.readline(LONGEST_LINE)
            yield number, None
        elif text.strip():
            yield number, text.lstrip("\ufeff") if number == 1 else text


def _from_json(number: int, text: str) -> Line:
    try:
        entry = _parsed(text)
    except _UnsendableError as wrong:
        return Line(number, None, str(wrong))
    except (ValueError, RecursionError):
        return Line(number, None, "is not JSON")
    return _sendable(number, entry) if isinstance(entry, dict) else Line(number, None, "is not a JSON object")


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
        try:
            entry["actual"] = _actual(found["actual"])
        except _UnsendableError as wrong:
            return Line(number, None, f"actual: {wrong}")
    for name in ("outcome", "actual"):
        if isinstance(entry.get(name), float) and not math.isfinite(entry[name]):
            return Line(number, None, f"{name}: expected a finite number, got {found[name][:_SHOWN]!r}")
    if found.get("at"):
        entry["at"] = found["at"]
    return _sendable(number, entry)


def _actual(text: str) -> Any:
    """Read what is JSON, or a number, as that, and anything else as a text.

    Raises:
        _UnsendableError: it is JSON but for a number.
    """
    try:
        return _parsed(text)
    except _UnsendableError:
        raise
    except (ValueError, RecursionError):
        return _value(text)


class _UnsendableError(ValueError):
    """JSON holds a number that cannot be sent; the message says which."""


def _parsed(text: str) -> Any:
    """Return the value of JSON.

    Raises:
        _UnsendableError: it is JSON but for a number.
        ValueError: it is none.
        RecursionError: it is nested too deeply.
    """
    # Looked at when all is read: what is no JSON further on is a text, whatever numbers it begins with.
    wrong: list[str] = []

    def number(word: str) -> float:
        value = float(word)
        if not math.isfinite(value):
            wrong.append(word)
        # A double that is finite has so few digits that Python makes a whole number of them.
        elif word.lstrip("-").isdigit():
            return int(word)
        return value

    found = json.loads(text, parse_constant=number, parse_float=number, parse_int=number)
    if wrong:
        where = (
            next((name for name, one in found.items() if not _is_finite(one)), None)
            if isinstance(found, dict)
            else None
        )
        told = f"expected a finite number that a double holds (up to 1.8e308), got {_shown(wrong[0])}"
        raise _UnsendableError(told if where is None else f"{where[:_SHOWN]}: {told}")
    return found


def _is_finite(value: Any) -> bool:
    """Return whether JSON has all the numbers of a value."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def _sendable(number: int, entry: dict[str, Any]) -> Line:
    try:
        json.dumps(entry, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return Line(number, None, "holds text that is not Unicode: half a surrogate pair")
    except RecursionError:
        return Line(number, None, "is nested too deeply")
    return Line(number, entry)


def _shown(word: str) -> str:
    return word if len(word) <= _SHOWN else f"{word[:_SHOWN]}… ({len(word):,} characters)"


def _value(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text
