"""Data and references in files: CSV, JSON lines and Parquet, read by Arrow."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tidegate.contract.errors import InvalidInput
from tidegate.drift.columns import NO_NUMBER
from tidegate.drift.reference import Reference

#: A reference keeps at most 10,000 numbers of a column: of a thousand columns this is not the half.
_LARGEST_REFERENCE = 512 * 1024 * 1024
_FORMS = "CSV (.csv), JSON lines (.jsonl, .ndjson) or Parquet (.parquet)"


def read_columns(path: Path, wanted: Sequence[str] = ()) -> dict[str, Any]:
    """Return the columns of a file, each as an array of NumPy.

    Args:
        wanted: their names; all of them for none.

    Raises:
        InvalidInput: there is no such file or column, it is of another form, or damaged.
    """
    read = _readers().get(path.suffix.lower())
    if read is None:
        raise InvalidInput(f"{path} is of no known form", subject=str(path), expected=_FORMS, got=path.suffix or "none")
    if not path.is_file():
        raise InvalidInput(f"there is no file {path}", subject=str(path), expected=_FORMS)
    import pyarrow as pa

    try:
        table = read(str(path))
    except (pa.ArrowException, OSError) as wrong:
        raise InvalidInput(f"{path} cannot be read: {wrong}", subject=str(path), expected=_FORMS) from wrong
    names = list(table.column_names)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInput(f"{path} has several columns called {twice!r}", subject=str(path))
    for name in wanted:
        if name not in names:
            raise InvalidInput(f"{path} has no column {name!r}", subject=str(path), expected=", ".join(names))
    return {name: _array(table[name]) for name in (wanted or names)}


def read_reference(path: Path, wanted: Sequence[str] = ()) -> Reference:
    """Return the reference in a file: one that `write_reference` wrote, or data that it is made of.

    Raises:
        InvalidInput: it is neither, or has no such column.
    """
    if path.suffix.lower() != ".json":
        return Reference.of(read_columns(path, wanted))
    try:
        if path.stat().st_size > _LARGEST_REFERENCE:
            raise InvalidInput(f"{path} is too large for a reference", subject=str(path), expected="at most 512 MiB")
        plain = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as wrong:
        raise InvalidInput(
            f"{path} cannot be read: {wrong}",
            subject=str(path),
            expected=f"what `tidegate drift reference` wrote, or data: {_FORMS}",
        ) from wrong
    reference = Reference.from_plain(plain)
    return reference.only(wanted) if wanted else reference


def write_reference(reference: Reference, path: Path) -> None:
    """Write a reference down, whole or not at all. Raises InvalidInput where that is not possible."""
    if path.suffix.lower() != ".json":
        raise InvalidInput("a reference is written as JSON", subject=str(path), expected="a name that ends in .json")
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_text(json.dumps(reference.as_plain()), encoding="utf-8")
        beside.replace(path)
    except OSError as wrong:
        beside.unlink(missing_ok=True)
        raise InvalidInput(f"{path} cannot be written: {wrong.strerror}", subject=str(path)) from wrong


def _readers() -> dict[str, Callable[[str], Any]]:
    try:
        from pyarrow import json, parquet
    except ImportError as missing:
        raise InvalidInput(
            "files are read by Arrow, which is not installed",
            subject="pyarrow",
            hint="pip install 'tidegate[drift]'",
        ) from missing
    return {
        ".csv": _read_csv,
        ".jsonl": json.read_json,
        ".ndjson": json.read_json,
        ".parquet": parquet.read_table,
    }


def _read_csv(path: str) -> Any:
    """Return a table in which a cell is null that is empty, or that stands for a missing number among numbers.

    Arrow makes a column one of texts, in all of its rows, as soon as one of its cells is neither a number nor missing.
    """
    import pyarrow as pa
    from pyarrow import csv

    convert = csv.ConvertOptions(null_values=sorted(NO_NUMBER), strings_can_be_null=False)
    table = csv.read_csv(path, convert_options=convert)
    # Of what has neither numbers nor other texts Arrow keeps nothing. What its words mean, the reference tells.
    hollow = [field.name for field in table.schema if pa.types.is_null(field.type)]
    if hollow:
        convert = csv.ConvertOptions(
            include_columns=list(dict.fromkeys(hollow)), column_types=dict.fromkeys(hollow, pa.string())
        )
        kept = csv.read_csv(path, convert_options=convert)
        for name in hollow:
            table = table.set_column(table.schema.names.index(name), name, kept[name])
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type) or pa.types.is_binary(field.type):
            table = table.set_column(place, field.name, _without_empty(table.column(place)))
    return table


def _without_empty(column: Any) -> Any:
    import pyarrow as pa
    from pyarrow import compute

    is_empty = compute.equal(compute.binary_length(column), 0)
    return compute.if_else(is_empty, pa.scalar(None, column.type), column)


def _array(column: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    return column.to_numpy()
