"""Sample rows: read from the user's file, or made up from the signature."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Model, Signature
from tidegate.runtime.rows import inputs_from_rows, made_up_row, rows_from_inputs
from tidegate.runtime.signatures import fixed_rows

#: Rows of the user's sample that are kept; a sample types the columns and tries the model, it is no test set.
MAX_ROWS = 100
_MAX_BYTES = 64 << 20
_NUMBER = re.compile(r"[+-]?(0|[1-9]\d*|\d*\.\d+|\d+\.)([eE][+-]?\d+)?|nan|NaN")

Row = Mapping[str, Any]


def read_sample(path: Path) -> list[dict[str, Any]]:
    """Read rows from a file: JSON (a list of records, one record, or one record per line) or CSV with a header line.

    In CSV an empty cell is a missing value, and a cell is a number when it is written like one; a number with leading
    zeros stays text, because it is a code.

    Raises:
        InvalidInput: the file is missing, too large, damaged, or holds no rows.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InvalidInput(
                f"The sample {path.name} is too large.", subject=str(path), hint="A few rows are enough."
            )
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidInput(
            f"The sample {path} cannot be read: {error.strerror or error}.", subject=str(path)
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"The sample {path.name} is not UTF-8 text.", subject=str(path)) from error
    rows = _from_json(path, text) if text.lstrip()[:1] in ("{", "[") else _from_csv(path, text)
    if not rows:
        raise InvalidInput(f"The sample {path.name} holds no rows.", subject=str(path))
    return rows[:MAX_ROWS]


def _from_json(path: Path, text: str) -> list[dict[str, Any]]:
    try:
        document = json.loads(text)
    except ValueError as whole:
        try:
            document = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError:
            raise InvalidInput(f"The sample {path.name} is not valid JSON: {whole}.", subject=str(path)) from whole
    if isinstance(document, dict):
        # What `/predict` takes: {"rows": [...]} or {"instances": [...]}; anything else is one record.
        inner = next((document[key] for key in ("rows", "instances") if isinstance(document.get(key), list)), None)
        document = [document] if inner is None else inner
    if not isinstance(document, list) or not all(isinstance(row, dict) for row in document):
        raise InvalidInput(
            f"The sample {path.name} does not hold records.",
            subject=str(path),
            expected='[{"column": value, …}, …]',
        )
    return [{str(key): _finite(value) for key, value in row.items()} for row in document]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _from_csv(path: Path, text: str) -> list[dict[str, Any]]:
    first_line = text.partition("\n")[0]
    try:
        dialect: Any = csv.Sniffer().sniff(first_line, delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel
    try:
        reader = csv.DictReader(text.splitlines(keepends=True), dialect=dialect, strict=True)
        rows = []
        for row in reader:
            if None in row or None in row.values():
                raise InvalidInput(
                    f"Line {reader.line_num} of the sample {path.name} has more or fewer cells than the header.",
                    subject=str(path),
                )
            rows.append({name: _cell(value) for name, value in row.items()})
            if len(rows) == MAX_ROWS:
                break
    except csv.Error as error:
        raise InvalidInput(f"The sample {path.name} is not valid CSV: {error}.", subject=str(path)) from error
    return rows


def _cell(text: str) -> Any:
    if text == "":
        return None
    if not _NUMBER.fullmatch(text):
        return {"true": True, "false": False}.get(text.lower(), text)
    if text.lower() == "nan":
        return None
    return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)


def check_columns(signature: Signature, rows: Sequence[Row], path: Path) -> None:
    """Check that a sample has the columns of a signature.

    Raises:
        InvalidInput: a column is missing in every row; the sample's own names are listed.
    """
    present = {name for row in rows for name in row}
    missing = [spec.name for spec in signature.inputs if spec.name not in present]
    if missing:
        raise InvalidInput(
            f"The sample {path.name} lacks {len(missing)} of the model's {len(signature.inputs)} inputs.",
            subject=str(path),
            expected=", ".join(missing[:20]),
            got=", ".join(sorted(present)[:20]),
        )


def rows_to_try(model: Model, sample: Sequence[Row] | None) -> list[dict[str, Any]]:
    """Return the rows to try a model on, in the signature's own terms: the user's, or one that is made up.

    A model for a fixed number of rows gets so many, the first ones or all of them again and again.

    Raises:
        InvalidInput: a value of the user's rows does not fit its input.
    """
    example = getattr(model, "example", None)
    rows = sample or [made_up_row(model.signature.inputs, example)]
    count = fixed_rows(model.signature)
    if count is not None:
        rows = [rows[position % len(rows)] for position in range(count)]
    typed = inputs_from_rows(model.signature.inputs, rows)
    return rows_from_inputs(model.signature, typed)
