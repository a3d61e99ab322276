"""Text as Java reads it: lines, blanks, numbers. Python's own notions are wider, and would read other values."""

from __future__ import annotations

import re
from collections.abc import Iterator

#: Java's `String.trim` takes every character up to the space, and no other blank.
_BLANKS = "".join(map(chr, range(0x21)))
#: `Double.parseDouble`, after trimming.
_DECIMAL = re.compile(r"[+-]?(?:NaN|Infinity|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fFdD]?)", re.ASCII)
_HEXADECIMAL = re.compile(r"([+-]?0[xX](?:[0-9a-fA-F]+\.?|[0-9a-fA-F]*\.[0-9a-fA-F]+)[pP][+-]?[0-9]+)[fFdD]?", re.ASCII)
_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
#: More digits than any number that Java writes has.
LONGEST_NUMBER = 2_000
#: Long texts are taken apart in pieces: a list of all their lines or numbers takes twenty times as much memory.
_BLOCK = 1 << 16


def trim(text: str) -> str:
    return text.strip(_BLANKS)


def lines_of(text: str) -> Iterator[str]:
    """Yield the lines; a line end at the very end ends the last line and begins none."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    for lines in _blocks(text.removesuffix("\n"), "\n") if text else ():
        yield from lines


def count_lines(data: bytes) -> int:
    """Return how many lines `lines_of` yields of a text in UTF-8."""
    ends = data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")
    return ends + (data[-1:] not in b"\r\n")


def listed(text: str) -> Iterator[list[str]]:
    """Yield what is between commas, some thousands at a time, as it stands."""
    return _blocks(text, ",")


def _blocks(text: str, separator: str) -> Iterator[list[str]]:
    """Yield what `text.split(separator)` returns, in blocks."""
    start = 0
    while (end := text.find(separator, start + _BLOCK)) >= 0:
        yield text[start:end].split(separator)
        start = end + 1
    yield text[start:].split(separator)


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
