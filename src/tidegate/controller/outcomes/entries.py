"""What callers send as outcomes, read one by one: a wrong one among many is told and costs the others nothing. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidegate.contract.actuals import NoActualError, checked
from tidegate.contract.errors import InvalidInput
from tidegate.contract.outcomes import BadWhen
from tidegate.store import Told

#: Of one call.
MOST_ENTRIES = 10_000
LONGEST_ID = 200
LONGEST_LABEL = 100
#: Refusals that are told one by one.
MOST_TOLD = 100

_FIELDS = {"request_id", "bad", "outcome", "actual", "at"}
#: Each says something of what came of a request.
_SAYING = ("bad", "outcome", "actual")
_WORDS = {"good": False, "bad": True}
#: A clock that is a little ahead of this one is no mistake.
_AHEAD_MS = 60_000
_SHAPE = 'one {"request_id": ..., "bad": true or false, "actual": ...}, a list of them, or {"outcomes": [...]}'


@dataclass(frozen=True)
class Refused:
    """An entry that cannot be taken, and why; `index` counts from 0."""

    index: int
    request_id: str | None
    message: str

    def as_dict(self) -> dict[str, Any]:
        return {"index": self.index, "request_id": self.request_id, "message": self.message}


def listed(document: Any) -> Sequence[Any]:
    """Return the entries of a body.

    Raises:
        InvalidInput: it is something else, or holds too many or none.
    """
    found = document
    if isinstance(document, Mapping):
        found = document["outcomes"] if set(document) == {"outcomes"} else [document]
    if not isinstance(found, list):
        raise InvalidInput("the body holds no outcomes", subject="outcomes", expected=_SHAPE)
    if not 1 <= len(found) <= MOST_ENTRIES:
        raise InvalidInput(
            f"the body holds {len(found):,} outcomes",
            subject="outcomes",
            expected=f"1 to {MOST_ENTRIES:,}",
            got=str(len(found)),
            hint="send a large file in parts; `tidegate outcomes send` does",
        )
    return found


def read(entries: Sequence[Any], rule: BadWhen | None, now: int) -> tuple[list[Told], list[Refused]]:
    """Return what was told, in order, and what cannot be taken.

    Args:
        rule: which labels and numbers are bad; None: only `bad`, and the labels good and bad, can be told.
        now: milliseconds since 1970, for entries that do not say when.
    """
    told: list[Told] = []
    refused: list[Refused] = []
    for index, entry in enumerate(entries):
        try:
            told.append(_read(entry, rule, now))
        except _WrongError as wrong:
            named = entry.get("request_id") if isinstance(entry, Mapping) else None
            # What cannot be printed may be what no answer carries, half a surrogate pair.
            known = named[:LONGEST_ID] if isinstance(named, str) and named.isprintable() else None
            refused.append(Refused(index, known, str(wrong)))
    return told, refused


class _WrongError(ValueError):
    pass


def _read(entry: Any, rule: BadWhen | None, now: int) -> Told:
    if not isinstance(entry, Mapping):
        raise _WrongError("expected an object with request_id and bad, outcome or actual")
    unknown = sorted(set(entry) - _FIELDS)
    if unknown:
        raise _WrongError(f"there is no field {unknown[0][:40]!r}; expected {', '.join(sorted(_FIELDS))}")
    request_id = entry.get("request_id")
    if not isinstance(request_id, str) or not 1 <= len(request_id) <= LONGEST_ID:
        raise _WrongError(f"request_id: expected a text of 1 to {LONGEST_ID} characters, as x-request-id has it")
    if not request_id.isprintable():
        raise _WrongError("request_id: expected printable characters")
    if not any(name in entry for name in _SAYING) or ("bad" in entry and "outcome" in entry):
        raise _WrongError("expected one of bad (true or false) and outcome (a label or a number), or actual, or both")
    is_bad = None
    if "bad" in entry or "outcome" in entry:
        is_bad = _flag(entry["bad"]) if "bad" in entry else _judged(entry["outcome"], rule)
    actual = _actual(entry["actual"]) if "actual" in entry else None
    return Told(request_id, is_bad, _moment(entry.get("at"), now), actual)


def _actual(value: Any) -> Any:
    try:
        return checked(value)
    except NoActualError as wrong:
        raise _WrongError(f"actual: {wrong}") from wrong


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _WrongError("bad: expected true or false")
    return value


def _judged(value: Any, rule: BadWhen | None) -> bool:
    if isinstance(value, str) and 1 <= len(value) <= LONGEST_LABEL:
        if rule is not None and rule.labels:
            return value in rule.labels
        if value in _WORDS:
            return _WORDS[value]
        raise _WrongError("outcome: analysis.outcomes.badWhen.labels does not say which labels are bad")
    if isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value):
        if rule is None or (rule.below is None and rule.above is None):
            raise _WrongError("outcome: analysis.outcomes.badWhen does not say below or above which number it is bad")
        return (rule.below is not None and value < rule.below) or (rule.above is not None and value > rule.above)
    raise _WrongError(f"outcome: expected a label of 1 to {LONGEST_LABEL} characters, or a finite number")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # A whole number of hundreds of digits.
        return False


def _moment(value: Any, now: int) -> int:
    if value is None:
        return now
    expected = "at: expected a time with its zone in the past, such as 2026-11-28T21:00:00Z"
    if not isinstance(value, str) or len(value) > 40:
        raise _WrongError(expected)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise _WrongError(expected) from None
    if moment.tzinfo is None:
        raise _WrongError(expected)
    at = round(moment.timestamp() * 1000)
    if not 0 <= at <= now + _AHEAD_MS:
        raise _WrongError(expected)
    return at
