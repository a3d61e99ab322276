"""What may become a feature vector, and why a row may not: pure, without a database or a file.

A row is an object with the key of its entity, the time from which on it is true, and features. What is wrong with a
row is one sentence that the quarantine keeps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson

#: Of one vector as JSON, in bytes.
LARGEST_VECTOR = 256 * 1024
#: Of an entity's key, in characters: an index holds it.
LONGEST_ENTITY = 256
DEEPEST = 32
#: What the clock of whoever writes rows may be ahead of ours.
AHEAD = timedelta(minutes=5)
#: What is kept of a row that is refused, in characters.
KEPT_OF_A_ROW = 4_000
#: What a feature that is a whole number may be: beyond it JSON is read as a double, by us and by others, and rounded.
LEAST_WHOLE, MOST_WHOLE = -(2**63), 2**63 - 1
_WHOLE = f"expected a whole number from {LEAST_WHOLE} to {MOST_WHOLE} (64 bits), or text"
#: A key is kept as its digits, so that one of 64 bits without a sign is as good.
_MOST_KEY = 2**64 - 1
_KEY = f"expected a whole number from {LEAST_WHOLE} to {_MOST_KEY} (64 bits), or its digits as text"
_SHOWN_OF_A_NUMBER = 40

#: Returns what is wrong with a vector, None where nothing is.
Check = Callable[[Mapping[str, Any]], str | None]


@dataclass(frozen=True)
class Raw:
    """A row as it came.

    Attributes:
        position: the line of a file, or the row of a table, from 1.
        values: None where it is no object.
        text: the row as text, for people; None where it is to be made of the values.
        wrong: why there are no values.
    """

    position: int
    values: Mapping[str, Any] | None
    text: str | None = None
    wrong: str | None = None


@dataclass(frozen=True)
class Unkept:
    """In the place of a number that was written as text and is not kept: what was written, and what is wrong with it.

    Attributes:
        is_whole: whether it is a whole number that is too large; otherwise `wrong` says what it is.
    """

    text: str
    wrong: str = ""
    is_whole: bool = False

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Vector:
    """A vector that may be stored; `text` is its JSON with sorted keys, so that equal vectors are equal texts."""

    position: int
    entity: str
    at: datetime
    text: str


@dataclass(frozen=True)
class Refused:
    """A row that may not be stored: its entity as far as it is known, and the row as it came, both cut."""

    position: int
    entity: str
    text: str
    reason: str


@dataclass(frozen=True)
class Columns:
    """How a row is read.

    Attributes:
        entity, time: the names of these two columns.
        at: the time of rows that hold none; None where each row must hold its own.
    """

    entity: str
    time: str = "at"
    at: datetime | None = None


class UnfitError(ValueError):
    """A value is not what it must be; the message says what was expected, without the value's place."""


def sorted_out(raw: Raw, columns: Columns, check: Check | None, now: datetime) -> Vector | Refused:
    """Return the vector that a row holds, or why it holds none.

    Args:
        check: what further says whether features are right; None for nothing.
        now: times later than this and `AHEAD` are refused, since a look-up would serve what is not true yet.
    """
    if raw.values is None:
        return _refused(raw, "", raw.wrong or "is not an object")
    told = raw.values.get(columns.entity)
    try:
        entity = entity_of(told)
    except UnfitError as wrong:
        return _refused(raw, told, f"{columns.entity}: {wrong}")
    given = raw.values.get(columns.time)
    try:
        at = columns.at if given is None and columns.at is not None else moment_of(given)
    except UnfitError as wrong:
        return _refused(raw, entity, f"{columns.time}: {wrong}")
    if at > now + AHEAD:
        return _refused(raw, entity, f"{columns.time}: is in the future: {at.isoformat()}")
    features = {name: value for name, value in raw.values.items() if name not in (columns.entity, columns.time)}
    flaw = flaw_of(features) or (check(features) if check is not None else None)
    if flaw is not None:
        return _refused(raw, entity, flaw)
    try:
        made = orjson.dumps(features, option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONEncodeError, RecursionError) as wrong:
        return _refused(raw, entity, f"cannot be written as JSON: {wrong}")
    if len(made) > LARGEST_VECTOR:
        return _refused(raw, entity, f"has {len(made):,} bytes as JSON, expected at most {LARGEST_VECTOR:,}")
    return Vector(raw.position, entity, at, made.decode())


def entity_of(value: object) -> str:
    """Return the key of an entity: text as it is, a whole number as its digits.

    Raises:
        UnfitError: it is neither, empty, or too long.
    """
    if isinstance(value, Unkept) and value.is_whole:
        raise UnfitError(f"is {_cut_number(value.text)}, {_KEY}")
    if isinstance(value, int) and not isinstance(value, bool):
        if not LEAST_WHOLE <= value <= _MOST_KEY:
            raise UnfitError(f"is {_shown_whole(value)}, {_KEY}")
        value = str(value)
    if value is None:
        raise UnfitError("is missing")
    if not isinstance(value, str):
        raise UnfitError(f"expected text or a whole number, got {_kind(value)}")
    if not value:
        raise UnfitError("is empty")
    if len(value) > LONGEST_ENTITY:
        raise UnfitError(f"has {len(value):,} characters, expected at most {LONGEST_ENTITY}")
    if (flaw := _flaw_of_text(value)) is not None:
        raise UnfitError(flaw)
    return value


def moment_of(value: object) -> datetime:
    """Return a moment in UTC with microseconds: of ISO 8601 text or a datetime; what says no zone is in UTC.

    Raises:
        UnfitError: it is neither, or no moment that can be stored.
    """
    if value is None or value == "":
        raise UnfitError("is missing")
    found = value
    if isinstance(value, str) and len(value) <= 64:
        try:
            found = datetime.fromisoformat(value.strip())
        except ValueError:
            raise UnfitError(f"expected a date or time in ISO 8601, got {value!r}") from None
    elif isinstance(value, date) and not isinstance(value, datetime):
        found = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(found, datetime):
        raise UnfitError(f"expected a date or time in ISO 8601, got {_kind(value)}")
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    try:
        return found.astimezone(UTC)
    except (OverflowError, ValueError):
        raise UnfitError(f"is no moment that can be stored: {str(value)[:64]}") from None


def flaw_of(value: object, path: str = "", depth: int = 1) -> str | None:
    """Return what keeps a value from being JSON that both databases hold, None where nothing does."""
    kind = type(value)
    if kind is float:
        return None if math.isfinite(value) else f"{path or 'it'} is {value}, expected a finite number"  # type: ignore[arg-type]
    if kind is int:
        fits = LEAST_WHOLE <= value <= MOST_WHOLE  # type: ignore[operator]
        return None if fits else f"{path or 'it'} is {_shown_whole(value)}, {_WHOLE}"  # type: ignore[arg-type]
    if kind is str:
        flaw = _flaw_of_text(value)  # type: ignore[arg-type]
        return None if flaw is None else f"{path or 'it'} {flaw}"
    if value is None or kind is bool:
        return None
    if isinstance(value, Unkept):
        return f"{path or 'it'} {_of_unkept(value)}"
    if depth > DEEPEST:
        return f"{path[:100]} is nested deeper than {DEEPEST}"
    if isinstance(value, Mapping):
        for name, one in value.items():
            if not isinstance(name, str):
                return f"{path or 'it'} has a name that is not text: {_kind(name)}"
            if (flaw := _flaw_of_text(name)) is not None:
                return f"a name {flaw}"
            if (flaw := flaw_of(one, f"{path}.{name[:100]}" if path else name[:100], depth + 1)) is not None:
                return flaw
        return None
    if isinstance(value, list | tuple):
        return next(
            (flaw for at, one in enumerate(value) if (flaw := flaw_of(one, f"{path}[{at}]", depth + 1)) is not None),
            None,
        )
    return f"{path or 'it'} is {_kind(value)}, which JSON has not"


def _flaw_of_text(text: str) -> str | None:
    if "\0" in text:
        return "holds the character U+0000"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "is not Unicode: it holds half a surrogate pair"
    return None


def _shown_whole(value: int) -> str:
    # Python writes no number of more than some thousand digits.
    return str(value) if value.bit_length() <= 128 else f"a whole number of {value.bit_length():,} bits"


def _cut_number(text: str) -> str:
    return text if len(text) <= _SHOWN_OF_A_NUMBER else f"{text[:_SHOWN_OF_A_NUMBER]}… ({len(text):,} characters)"


def _of_unkept(number: Unkept) -> str:
    return f"is {_cut_number(number.text)}, {_WHOLE if number.is_whole else number.wrong}"


def _refused(raw: Raw, entity: object, reason: str) -> Refused:
    text = raw.text if raw.text is not None else _written(raw.values)
    known = "" if entity is None else _written(entity)
    return Refused(raw.position, _clean(known, LONGEST_ENTITY), _clean(text, KEPT_OF_A_ROW), _clean(reason, 1_000))


def _written(value: object) -> str:
    """Return what a program gave as text, be it nested too deeply for that or a number of thousands of digits."""
    try:
        return str(value)
    except (ValueError, RecursionError) as wrong:
        return f"cannot be written as text: {wrong}"


def _clean(text: str, most: int) -> str:
    kept = text[:most].encode(errors="replace").decode().replace("\0", "\ufffd")
    return kept if len(text) <= most else f"{kept}…"


def _kind(value: object) -> str:
    names = {bool: "true or false", float: "a floating-point number", int: "a number", str: "text"}
    if isinstance(value, Unkept):
        return _cut_number(value.text)
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "an array"
    return names.get(type(value), type(value).__name__)
