"""How a wrong value is described: what was expected there, and what was found."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

#: `type` of the validation errors raised here; `documents` turns them into lines.
PROBLEM = "tidegate"

_SHOWN_CHARACTERS = 60


def shown(value: Any) -> str:
    """Return a value as a user would have written it in JSON, cut short, on one line."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = type(value).__name__
    # A lone surrogate, which JSON can carry, could not be printed.
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def shown_name(name: str) -> str:
    """Return the name of a field as it is, or like any other value where it is no ordinary name."""
    return name if re.fullmatch(r"[A-Za-z0-9_.-]{1,60}", name) else shown(name)


def problem(expected: str, got: Any, *, path: str | None = None, hint: str | None = None) -> PydanticCustomError:
    """Return a validation error that pydantic collects with the others of the same document.

    Args:
        expected: what would have been right, to be read after the word "expected".
        got: the value as it was handed over.
        path: dotted path of the field, for a check that concerns more than one; None for the field under validation.
        hint: what to write instead, or None.
    """
    context: dict[str, Any] = {"expected": expected, "got": shown(got), "path": path, "hint": hint}
    return PydanticCustomError(PROBLEM, "expected {expected}, got {got}", context)


def matching(pattern: str, expected: str) -> AfterValidator:
    """Return what lets a field hold only texts that match the pattern as a whole.

    Args:
        expected: what would be right, as for `problem`.
    """

    def check(value: str) -> str:
        if re.fullmatch(pattern, value) is None:
            raise problem(expected, value)
        return value

    return AfterValidator(check)
