"""What really was of a request, in the form in which it is told: read, bounded, and put beside the rows of an answer.

It is a number, a text, true or false; or an object of these by the name of the output; or a list with one for each row
of the request, null for a row of which it is not known. Pure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

#: Written as JSON, in characters; of a text in it, and of the name of an output.
LARGEST, LONGEST_TEXT, LONGEST_NAME = 8_192, 1_000, 200
#: Of lists and objects in each other.
DEEPEST = 4

#: The name of what was told without the name of an output.
UNNAMED = ""


class Came(StrEnum):
    """What came of a request, as one asks for it: a good or a bad outcome, an actual that was told, or nothing."""

    GOOD = "good"
    BAD = "bad"
    ACTUAL = "actual"
    MISSING = "missing"


class NoActualError(ValueError):
    """A value that cannot be told as what really was; the message says why."""


def checked(value: Any) -> Any:
    """Return the value.

    Raises:
        NoActualError: it is none, too large, too deep, or holds what no database keeps.
    """
    if value is None:
        raise NoActualError("null says nothing; leave it out where it is not known")
    _check(value, DEEPEST)
    if len(json.dumps(value, ensure_ascii=False)) > LARGEST:
        raise NoActualError(f"expected at most {LARGEST:,} characters of JSON")
    return value


def by_row(actual: Any, rows: int) -> dict[str, list[Any]] | None:
    """Return what was told, for each row of the request, by the name of the output.

    Args:
        rows: that the request had.

    Returns:
        Lists with `rows` values, None where it is not known; under `UNNAMED` what was told without a name. None where
        what was told does not fit so many rows.
    """
    if isinstance(actual, list) and len(actual) == rows:
        return _of_rows(actual)
    if isinstance(actual, Mapping):
        found = {name: _column(value, rows) for name, value in actual.items()}
        whole = {name: column for name, column in found.items() if column is not None}
        return whole if len(whole) == len(found) else None
    return {UNNAMED: [actual]} if rows == 1 else None


def _of_rows(values: list[Any]) -> dict[str, list[Any]]:
    named = [value for value in values if isinstance(value, Mapping)]
    if not named:
        return {UNNAMED: list(values)}
    names = dict.fromkeys(name for value in named for name in value)
    return {name: [value.get(name) if isinstance(value, Mapping) else None for value in values] for name in names}


def _column(value: Any, rows: int) -> list[Any] | None:
    if isinstance(value, list) and len(value) == rows:
        return list(value)
    return [value] if rows == 1 else None


def _check(value: Any, deep: int) -> None:
    match value:
        case None | bool():
            pass
        case int() | float():
            _check_number(value)
        case str():
            _check_text(value, LONGEST_TEXT)
        case list() | dict():
            if not deep:
                raise NoActualError(f"expected at most {DEEPEST} lists and objects in each other")
            if not value:
                raise NoActualError("an empty list or object says nothing")
            for name in value if isinstance(value, dict) else ():
                _check_text(name, LONGEST_NAME)
            for one in value.values() if isinstance(value, dict) else value:
                _check(one, deep - 1)
        case _:
            raise NoActualError("expected a number, a text, true or false, an object by output, or a list by row")


def _check_number(value: float) -> None:
    try:
        is_finite = math.isfinite(float(value))
    except OverflowError:
        is_finite = False
    if not is_finite:
        raise NoActualError("expected a finite number; leave it out where it is not known")


def _check_text(text: str, longest: int) -> None:
    if len(text) > longest:
        raise NoActualError(f"expected texts of at most {longest:,} characters")
    # Neither can be kept in PostgreSQL's jsonb: the character 0, and half of a surrogate pair.
    if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text):
        raise NoActualError("expected texts of whole characters, none of them the character 0")
