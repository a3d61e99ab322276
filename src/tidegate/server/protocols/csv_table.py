"""CSV bodies and answers (RFC 4180, UTF-8, with a header row).

An empty cell is a missing value, in text columns too; nothing else is (`NA`, `NaN`, `null` are refused in a column of
numbers). Truth is `true` or `false` in any case. Lines that are empty are skipped.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from io import StringIO
from math import isfinite
from typing import Any

import orjson

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Array, TensorSpec
from tidegate.server.protocols.tables import MOST_COLUMNS, Table, TableReader
from tidegate.server.protocols.values import array_of, family, wrong_value

#: More separators in one line than the widest table and the longest cell could have.
_MOST_COMMAS = 200_000

_EXPECTED = {
    "FLOAT": "a number, or an empty cell where it is missing",
    "INT": "an integer",
    "BOOL": "true or false",
}
_TRUTH = {"true": True, "false": False}


def read_csv(body: bytes, wanted: TableReader) -> tuple[list[Array], int]:
    """Return the columns that the model takes, in its order, and the number of rows.

    Raises:
        InvalidInput: the body is no such table; the error names column and row (0 is the first after the header).
        TooLarge: there are more rows than allowed.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the body is not UTF-8: byte {error.start} fits nothing there", expected="UTF-8") from None
    lines = csv.reader(_bounded(text), strict=True)
    try:
        header = [name.strip() for name in next(lines, [])]
        if not header:
            raise InvalidInput("the body is empty", expected="a header row with the model's columns, then one per row")
        wanted.check_columns(header)
        rows = _rows(lines, len(header), wanted)
    except csv.Error as error:
        raise InvalidInput(f"the body is not CSV: {error} (line {lines.line_num})", expected="CSV") from None
    positions = {name: position for position, name in enumerate(header)}
    columns = [array_of(spec, _values(spec, [row[positions[spec.name]] for row in rows])) for spec in wanted.specs]
    return columns, len(rows)


def _bounded(text: str) -> Iterator[str]:
    for line in StringIO(text, newline=""):
        if line.count(",") > _MOST_COMMAS:
            raise InvalidInput("a line of the table has too many columns", expected=f"at most {MOST_COLUMNS} columns")
        yield line


def _rows(lines: Iterator[list[str]], width: int, wanted: TableReader) -> list[list[str]]:
    rows: list[list[str]] = []
    for cells in lines:
        if not cells and width > 1:
            continue
        if len(cells) != width:
            if not cells:  # one column, and its value is missing
                cells = [""]  # noqa: PLW2901
            else:
                raise InvalidInput(
                    f"row {len(rows)} has {len(cells)} cells where the header has {width}",
                    subject=f"[{len(rows)}]",
                    expected=str(width),
                    got=str(len(cells)),
                )
        rows.append(cells)
        wanted.counted(len(rows))
    wanted.counted(len(rows))
    return rows


def _values(spec: TensorSpec, cells: list[str]) -> list[Any]:
    """Return the cells as the values that JSON would carry. Raises InvalidInput for the first that is none."""
    kind = family(spec.datatype)
    if kind == "BYTES":
        return [cell or None for cell in cells]
    parse = {"FLOAT": _number, "INT": _integer, "BOOL": _truth}[kind]
    values: list[Any] = []
    for row, cell in enumerate(cells):
        try:
            values.append(None if kind == "FLOAT" and not cell else parse(cell))
        except (ValueError, KeyError):
            raise wrong_value(spec, row, cell, _EXPECTED[kind]) from None
    return values


def _number(cell: str) -> float:
    value = float(cell)
    if "_" in cell or not isfinite(value):
        raise ValueError(cell)
    return value


def _integer(cell: str) -> float:
    if "_" in cell:
        raise ValueError(cell)
    try:
        return int(cell)
    except ValueError:
        return float(cell)  # 3.0 is an integer where one is wanted; `array_of` refuses the others


def _truth(cell: str) -> bool:
    return _TRUTH[cell.strip().lower()]


def write_csv(table: Table) -> bytes:
    """Return a table with its header row; NaN and infinity are empty cells."""
    target = StringIO()
    writer = csv.writer(target)
    writer.writerow([spec.name for spec in table.specs])
    writer.writerows(zip(*map(_cells, table.columns), strict=True))
    return target.getvalue().encode()


def _cells(column: Array) -> Sequence[str]:
    if column.dtype.kind in "OU":
        return ["" if value is None else str(value) for value in column.tolist()]
    # The shortest digits that give the same number back, in any width of float.
    cells = orjson.dumps(column, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].decode().split(",")
    return ["" if cell == "null" else cell for cell in cells]
