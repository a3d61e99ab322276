"""What a value that a caller hands over means: the number in a numeric column, the text of a level in another.

Numbers: floats, integers and truth values (1 and 0) as they are, and texts that Java reads as a double. Levels: a text
is that level and no other. H2O's scorer takes nothing but texts there; for other values we define it. Each stands for
the first of its spellings that the column has:

* whole numbers, whether int or float: `1`, then `1.0`;
* other floats: the shortest decimal in their own precision, as Python writes it, then as Java does (`1.0E-5`);
* truth values: `True`, `true`, `TRUE`, and then as the numbers 1 and 0.

None, NaN, and the missing values of pandas are a missing value.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.errors import MojoRowError
from tidegate.runtime.mojo.text import number_of


class _Absent:
    def __repr__(self) -> str:
        return "absent"


#: A cell that was not given at all. With one-hot and binary encodings that is something else than a missing value.
ABSENT: Final = _Absent()

NAN = float("nan")
#: Texts of these characters alone are read alike by Python and Java, or by neither.
_PLAIN = re.compile(r"[0-9+\-.eE\n]*")
_ALIKE = frozenset({float, int, bool, type(None)})
_TIMES = frozenset({"date", "datetime", "datetime64", "timestamp"})
#: Beyond this a whole float has no exact decimal of a length that a level would have.
_WHOLE = 2.0**63


def is_missing(value: Any) -> bool:
    """Say whether this is None, NaN, or the missing value of another library."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, (float, np.floating, np.datetime64, Decimal)) and bool(value != value)  # noqa: PLR0124


def shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def number(value: Any, column: str, *, invalid_as_missing: bool = False) -> float:
    """Return a value of a numeric column; NaN for a missing or absent one.

    Raises:
        MojoRowError: it is no number. A text that is none counts as missing with `invalid_as_missing`.
    """
    if isinstance(value, str):
        read = number_of(value)
        if read is not None:
            return read
        if invalid_as_missing:
            return NAN
        raise MojoRowError(f"column {column!r}: {shown(value)} is no number", subject=column, expected="a number")
    if value is ABSENT or is_missing(value):
        return NAN
    if isinstance(value, (int, float, np.number, np.bool_, Decimal)) and not isinstance(value, np.complexfloating):
        try:
            return float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    raise MojoRowError(
        f"column {column!r}: {shown(value)} is no number",
        subject=column,
        expected="a number, or a text with one",
        got=type(value).__name__,
        hint="H2O's times are milliseconds since 1970." if type(value).__name__.lower() in _TIMES else None,
    )


def numbers(values: Sequence[Any], column: str, *, invalid_as_missing: bool = False) -> NDArray[np.float64]:
    """Return the values of a numeric column, shape (rows,). Raises MojoRowError, see `number`."""
    kinds = set(map(type, values))
    if kinds <= _ALIKE:
        try:
            return np.array(values, dtype=np.float64)
        except OverflowError:
            pass
    elif kinds == {str} and _PLAIN.fullmatch("\n".join(values)):
        try:
            return np.array(list(map(float, values)), dtype=np.float64)
        except ValueError:
            pass
    read = [number(value, column, invalid_as_missing=invalid_as_missing) for value in values]
    return np.array(read, dtype=np.float64)


def spellings(value: Any, column: str) -> tuple[str, ...]:
    """Return the levels that a value can stand for, the likeliest first.

    Args:
        value: neither missing nor absent.

    Raises:
        MojoRowError: it is of a kind that has no text of its own, such as a list.
    """
    if isinstance(value, str):
        return (value,)
    if isinstance(value, (bool, np.bool_)):
        words = str(bool(value))
        return (words, words.lower(), words.upper(), str(int(value)))
    if isinstance(value, (int, np.integer)):
        return (str(int(value)), f"{int(value)}.0")
    if isinstance(value, (float, np.floating)):
        whole = float(value)
        if whole.is_integer() and abs(whole) < _WHOLE:
            return (str(int(whole)), f"{int(whole)}.0")
        # NumPy's own text is the shortest that gives this very value in its own precision.
        short = str(value)
        return (short, _as_java(short))
    if isinstance(value, Decimal):
        return (str(value),)
    raise MojoRowError(
        f"column {column!r}: {shown(value)} is no level", subject=column, expected="a text", got=type(value).__name__
    )


def _as_java(text: str) -> str:
    """Return Java's spelling of a float that Python spells this way, such as 1.0E-5 for 1e-05."""
    if text in ("inf", "-inf"):
        return text.replace("inf", "Infinity")
    sign, digits, exponent = _parts(text)
    if -3 <= exponent < 7:
        return text
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{exponent}"


def _parts(text: str) -> tuple[str, str, int]:
    """Return sign, significant digits, and the exponent of the first of them."""
    value = Decimal(text)
    bits = value.as_tuple()
    digits = "".join(map(str, bits.digits)).rstrip("0") or "0"
    return "-" if bits.sign else "", digits, value.adjusted()
