"""Text as Java reads it: lines, blanks, numbers. Python's own notions are wider, and would read other values."""

from __future__ import annotations

import re

#: Java's `String.trim` takes every character up to the space, and no other blank.
_BLANKS = "".join(map(chr, range(0x21)))
_LINE_END = re.compile(r"\r\n|\n|\r")
#: `Double.parseDouble`, after trimming.
_DECIMAL = re.compile(r"[+-]?(?:NaN|Infinity|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fFdD]?)", re.ASCII)
_HEXADECIMAL = re.compile(r"([+-]?0[xX](?:[0-9a-fA-F]+\.?|[0-9a-fA-F]*\.[0-9a-fA-F]+)[pP][+-]?[0-9]+)[fFdD]?", re.ASCII)
_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
#: More digits than any number that Java writes has.
LONGEST_NUMBER = 2_000


def trim(text: str) -> str:
    return text.strip(_BLANKS)


def lines_of(text: str) -> list[str]:
    """Split at line ends; one at the very end ends the last line and begins none."""
    lines = _LINE_END.split(text)
    if lines[-1] == "":
        lines.pop()
    return lines


def unescaped(line: str) -> str:
    """Undo the escapes of a level: `\\n`, `\\r`, and a backslash before any other character for that character."""
    return _ESCAPE.sub(lambda found: {"n": "\n", "r": "\r"}.get(found[1], found[1]), line)


def number_of(text: str) -> float | None:
    """Return the double that Java's grammar reads from a text; None where it reads none."""
    text = trim(text)
    if len(text) > LONGEST_NUMBER:
        return None
    if _DECIMAL.fullmatch(text):
        return float(text.rstrip("fFdD") if text[-1] in "fFdD" else text)
    found = _HEXADECIMAL.fullmatch(text)
    if found is None:
        return None
    try:
        return float.fromhex(found[1])
    except OverflowError:
        return float("-inf") if text.startswith("-") else float("inf")


def integer_of(text: str, bits: int = 32) -> int | None:
    """Return the integer that Java's `parseInt` (or, with 64 bits, `parseLong`) reads; None where it reads none."""
    if len(text) > LONGEST_NUMBER or not _INTEGER.fullmatch(text):
        return None
    value = int(text)
    return value if -(1 << (bits - 1)) <= value < 1 << (bits - 1) else None
