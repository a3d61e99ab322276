"""The rows to score, as the texts of a CSV: clean ones first, then what users and files really send."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tests.runtime.mojo.matrix.tables import CLEAN, TRAINED, Numeric, Table

#: What H2O's own tool for CSV files takes for an absent cell.
ABSENT = ("", "NA", "N/A", "-")
#: Texts that Java reads as doubles.
NUMBERS = (
    "0", "-0.0", "+0.0", "Infinity", "-Infinity", "+Infinity", "NaN", "4.9E-324", "-4.9e-324",
    "2.2250738585072014E-308", "1.7976931348623157E308", "-1e300", "1e-50", "-1e-50", "1e400", "1d", "1.5f",
    "0x1.8p1", "-0X1P-1074", " 2.5 ", "\t3\n", "+3", ".5", "5.", "00012", "1E+2", "0.30000001192092896", "0.3",
    "16777217", "1.00000001",
)  # fmt: skip
#: Texts that it does not read, though other languages do.
UNREADABLE = ("nan", "inf", "1_000", "abc", "１２", "0x10", "1,5", "1e", "true", "--1", "infinity", "\u00a01")
#: Levels that no column has, or that seem to be one.
UNSEEN = (
    "never seen",
    "Red",
    "red ",
    " red",
    "NaN",
    "null",
    "1.00",
    "0",
    "s1",
    "zip",
    "line",
    "größer ",
    "\u6771",
    "?",
)


def rows_of(table: Table) -> tuple[list[str], list[list[str]]]:
    """Return the header and about 110 rows of cells. The first CLEAN ones are rows of the table itself."""
    rng = np.random.default_rng(77)
    names = list(table.inputs)
    clean = [[_cell(table, name, row) for name in names] for row in range(TRAINED, TRAINED + CLEAN)]
    rows = [*clean]
    numeric = [place for place, name in enumerate(names) if _is_numeric(table, name) and not _is_offset(name)]
    categorical = [place for place, name in enumerate(names) if not _is_numeric(table, name)]

    def changed(changes: Iterable[tuple[int, str]]) -> list[str]:
        row = list(clean[int(rng.integers(CLEAN))])
        for place, text in changes:
            row[place] = text
        return row

    everywhere = [*numeric, *categorical]
    rows += [changed((place, text) for place in everywhere) for text in ABSENT]
    rows += [changed((place, text) for place in numeric) for text in ("-0.0", "0", "Infinity", "-Infinity", "4.9E-324")]
    rows.append(changed((place, "never seen") for place in categorical))
    rows += [changed([(place, "")]) for place in everywhere]
    for first, text in enumerate(NUMBERS):
        rows.append(changed([(numeric[first % len(numeric)], text)]))
        if text in ("-0.0", "Infinity", "-Infinity", "NaN", "1.7976931348623157E308"):
            rows[-1][numeric[(first + 1) % len(numeric)]] = text
    for first, text in enumerate(UNSEEN):
        rows.append(changed([(categorical[first % len(categorical)], text)]))
    for place in categorical[:3]:
        row = changed([])
        row[place] = f"{names[place]}.{row[place]}"
        rows.append(row)
    for direction in (-np.inf, np.inf):
        near = changed([])
        for place in numeric:
            if near[place] not in ABSENT:
                near[place] = repr(float(np.nextafter(float(near[place]), direction)))
        rows.append(near)
    rows += [changed([(numeric[first % len(numeric)], text)]) for first, text in enumerate(UNREADABLE)]
    return names, rows


def write_rows(path: Path, names: list[str], rows: list[list[str]]) -> None:
    """Write a gzip CSV whose bytes depend on its rows alone."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")  # with this end it quotes a lone carriage return, too
    writer.writerow(names)
    writer.writerows(rows)
    path.write_bytes(gzip.compress(text.getvalue().encode(), 9, mtime=0))


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the cells that are not absent, by column."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
        return [{name: cell for name, cell in row.items() if cell not in ABSENT} for row in csv.DictReader(stream)]


def _is_numeric(table: Table, name: str) -> bool:
    return isinstance(table.column(name), Numeric)


def _is_offset(name: str) -> bool:
    return name in ("offset", "off set")


def _cell(table: Table, name: str, row: int) -> str:
    column = table.column(name)
    if isinstance(column, Numeric):
        return "" if column.missing[row] else repr(float(column.values[row]))
    code = int(column.codes[row])
    return "" if code < 0 else column.levels[code]
