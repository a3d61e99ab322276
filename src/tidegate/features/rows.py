"""Rows of vectors in files of text, JSON lines and CSV, read one by one: a file may be larger than the memory."""

from __future__ import annotations

import csv
import json
import math
import re
from collections import deque
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO

import orjson

from tidegate.contract.errors import InvalidInput
from tidegate.features.vectors import KEPT_OF_A_ROW, LEAST_WHOLE, MOST_WHOLE, Columns, Raw, Unkept

#: In bytes; what is longer is refused without being held.
LONGEST_LINE = 1024 * 1024
_TOO_LONG = f"is longer than {LONGEST_LINE:,} bytes"
#: A number as JSON writes it: with a leading zero it is a code and stays text.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
#: Characters of the longest whole number that is made one, with its sign: longer ones are beyond 64 bits.
_LONGEST_WHOLE = 20
_NOT_FINITE = frozenset({"nan", "inf", "infinity", "+inf", "+infinity", "-inf", "-infinity"})
_BOM = "\ufeff"


def json_lines(stream: BinaryIO) -> Iterator[Raw]:
    """Yield each line of a file of JSON lines; empty ones are passed over."""
    for number, line in _lines(stream):
        if line is None:
            yield Raw(number, None, "", _TOO_LONG)
            continue
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            yield Raw(number, None, _shown(line), "is not text in UTF-8")
            continue
        if text.strip():
            yield _of_json(number, text)


def csv_rows(stream: BinaryIO, columns: Columns, source: str, texts: Collection[str] = ()) -> Iterator[Raw]:
    """Yield each row of a CSV file whose first line names the columns.

    An empty cell is null, `true` and `false` are truth values, a number as JSON writes it is one, and all else is text.

    Args:
        texts: columns whose cells are text, whatever they look like.

    Raises:
        InvalidInput: its first line does not name the columns, each once, or not those that are needed.
    """
    records = _records(stream)
    first = next(records, None)
    header = [] if first is None or isinstance(first[1], str) else [name.strip() for name in first[1]]
    header[:1] = [name.removeprefix(_BOM) for name in header[:1]]
    check_header(header, columns, source)
    as_text = {columns.entity, columns.time, *texts}
    for number, found, text in records:
        if isinstance(found, str):
            yield Raw(number, None, text, found)
        elif len(found) != len(header):
            yield Raw(number, None, text, f"has {len(found)} columns, expected {len(header)}")
        else:
            cells = zip(header, found, strict=True)
            values = {name: (cell or None) if name in as_text else _value(cell) for name, cell in cells}
            yield Raw(number, values, text)


def check_header(header: list[str], columns: Columns, source: str) -> None:
    """Raise InvalidInput where the columns of a table are not told apart, or those are missing that each row needs."""
    needed = [columns.entity] if columns.at is not None else [columns.entity, columns.time]
    for name in needed:
        if name not in header:
            is_entity = name == columns.entity
            raise InvalidInput(
                f"{source} has no column {name!r}, which holds the {'entity' if is_entity else 'time'} of each row",
                subject=source,
                expected=" and ".join(map(repr, needed)),
                got=", ".join(header)[:300] or "no columns",
                hint="name the column: " + ("--entity-column NAME" if is_entity else "--time-column NAME"),
            )
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise InvalidInput(f"{source} has several columns called {twice!r}", subject=source)


def _of_json(number: int, text: str) -> Raw:
    try:
        value = orjson.loads(text)
        if isinstance(value, dict) and _may_be_rounded(value):
            value = _by_python(text)
    except orjson.JSONDecodeError:
        # Numbers and texts that are none for orjson are still JSON: then the row says which of its values is wrong.
        try:
            value = _by_python(text)
        except RecursionError:
            return Raw(number, None, text, "is nested too deeply")
        except ValueError as wrong:
            return Raw(number, None, text, f"is not JSON: {wrong}")
    if not isinstance(value, dict):
        return Raw(number, None, text, "is not a JSON object")
    return Raw(number, value, text)


def _by_python(text: str) -> Any:
    """Return the value of JSON with `Unkept` for each number that is not kept; slower than orjson.

    Raises:
        ValueError: it is not JSON.
        RecursionError: it is nested too deeply.
    """
    return json.loads(text, parse_int=_whole, parse_float=_fractional, parse_constant=_constant)


def _may_be_rounded(row: dict[str, Any]) -> bool:
    """Return whether orjson may have made a double of a whole number that is too large for 64 bits."""
    waiting: list[Any] = [row]
    while waiting:
        inner = waiting.pop()
        for one in inner.values() if type(inner) is dict else inner:
            kind = type(one)
            if kind is float:
                if not LEAST_WHOLE < one <= MOST_WHOLE:
                    return True
            elif kind is dict or kind is list:
                waiting.append(one)
    return False


def _value(cell: str) -> Any:
    text = cell.strip()
    if not text:
        return None
    if text in ("true", "false"):
        return text == "true"
    if text.lower() in _NOT_FINITE:
        return math.nan if "nan" in text.lower() else math.inf
    written = _NUMBER.fullmatch(text)
    if written is None:
        return cell
    return _whole(text) if written[2] is None and written[3] is None else _fractional(text)


def _whole(text: str) -> int | Unkept:
    return int(text) if len(text) <= _LONGEST_WHOLE else Unkept(text, is_whole=True)


def _fractional(text: str) -> float | Unkept:
    value = float(text)
    return value if math.isfinite(value) else Unkept(text, "expected a number that a double holds (up to 1.8e308)")


def _constant(text: str) -> Unkept:
    return Unkept(text, "which JSON has not; write null for what is not known")


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Yield the lines with their numbers; None for one that is too long."""
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) <= LONGEST_LINE:
            yield number, line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(LONGEST_LINE)
        yield number, None


def _records(stream: BinaryIO) -> Iterator[tuple[int, list[str] | str, str]]:
    """Yield the records of CSV: the number of the first line, the cells or what is wrong with them, and the text.

    A cell in quotes may hold ends of lines. A quote that is never closed costs its own line and no other.
    """
    lines = _lines(stream)
    waiting: deque[tuple[int, bytes | None]] = deque()
    while (first := waiting.popleft() if waiting else next(lines, None)) is not None:
        number, line = first
        if line is None:
            yield number, _TOO_LONG, ""
            continue
        further: list[tuple[int, bytes | None]] = []
        size, quotes = len(line), line.count(b'"')
        while quotes % 2 and size <= LONGEST_LINE:
            following = waiting.popleft() if waiting else next(lines, None)
            if following is None:
                break
            further.append(following)
            if following[1] is None:
                break
            size, quotes = size + len(following[1]), quotes + following[1].count(b'"')
        if quotes % 2 or size > LONGEST_LINE:
            waiting.extendleft(reversed(further))
            yield number, "has a quote that is not closed", _shown(line)
            continue
        whole = b"".join([line, *(part for _, part in further if part is not None)])
        if not whole.strip():
            continue
        try:
            text = whole.decode("utf-8-sig" if number == 1 else "utf-8")
            cells = next(csv.reader([text], strict=True), [])
        except UnicodeDecodeError:
            yield number, "is not text in UTF-8", _shown(whole)
        except csv.Error as wrong:
            yield number, f"is no row of CSV: {wrong}", _shown(whole)
        else:
            yield number, cells, text


def _shown(line: bytes) -> str:
    return line[:KEPT_OF_A_ROW].decode(errors="replace")
