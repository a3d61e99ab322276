"""Files of rows: CSV in, as H2O's own tool reads it, and CSV or JSON lines out."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.mojo.load import MojoModel
from tidegate.runtime.mojo.rows import Policy
from tidegate.runtime.mojo.values import ABSENT

#: Cells that H2O's tool takes for nothing: exactly these texts.
NOTHING = frozenset({"", "NA", "N/A", "-"})
#: Rows that are scored at once.
BLOCK = 10_000


def blocks_for(model: MojoModel, stream: TextIO, name: str) -> Iterator[tuple[dict[str, list[Any]], int]]:
    """Yield what the model is to score at once, as `read_blocks`: all rows where a row depends on those before it."""
    return read_blocks(stream, name, sys.maxsize if model.is_in_order else BLOCK)


def read_blocks(stream: TextIO, name: str, block: int = BLOCK) -> Iterator[tuple[dict[str, list[Any]], int]]:
    """Yield columns of at most `block` rows and how many rows they are; cells with nothing in them are absent.

    Args:
        stream: CSV with a line of names, opened with `newline=""`.
        name: of the file, for messages.

    Raises:
        InvalidInput: it has no such line, names a column twice, or a line has more or fewer cells.
    """
    reader = csv.reader(stream)
    try:
        names = next(reader, None)
        if not names:
            raise InvalidInput(f"{name} has no line with the names of its columns.", subject=name)
        if len(set(names)) < len(names):
            twice = next(column for column in names if names.count(column) > 1)
            raise InvalidInput(f"{name} has several columns called {twice!r}.", subject=name)
        rows: list[list[str]] = []
        for row in reader:
            if len(row) != len(names):
                if not row:
                    continue
                raise InvalidInput(
                    f"{name}, line {reader.line_num}: {len(row)} cells under {len(names)} names.", subject=name
                )
            rows.append(row)
            if len(rows) == block:
                yield _columns(names, rows), len(rows)
                rows = []
        if rows:
            yield _columns(names, rows), len(rows)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidInput(f"{name} is no CSV in UTF-8: {error}.", subject=name) from error


def _columns(names: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, list[Any]]:
    cells = zip(*rows, strict=True)
    return {
        name: [ABSENT if cell in NOTHING else cell for cell in column]
        for name, column in zip(names, cells, strict=True)
    }


def score_csv(
    model: MojoModel,
    source: TextIO,
    target: TextIO,
    *,
    name: str = "the input",
    strict: bool = False,
    invalid_as_missing: bool = False,
    as_json: bool = False,
    reconstruct: bool = False,
    anomaly: bool = False,
    threads: int = 1,
    lacking: Callable[[Sequence[str]], None] | None = None,
) -> int:
    """Score the rows of a CSV file and write a row of outputs for each; return how many.

    Floats are written as the shortest decimals that give the same double.

    Args:
        as_json: one JSON object per line, instead of CSV; NaN and infinities are null there.
        reconstruct: the outputs are those of `MojoModel.reconstruct`, which also says what it raises.
        anomaly: they are those of `MojoModel.anomaly`, which does, too.
        threads: how many score predictions at once; see `MojoModel.predict`.
        lacking: is called once with the model's inputs that the file has no column for, where there are any: they score
            as left out.

    Raises:
        InvalidInput: the file is no such CSV, or two kinds of outputs are asked for.
        MojoRowError: a value is none that its column can have.
    """
    policy = Policy(strict=strict, invalid_as_missing=invalid_as_missing)
    if reconstruct and anomaly:
        raise InvalidInput("A reconstruction and its error are not written to one file.", expected="one of the two")
    score = partial(model.predict_columns, threads=threads)
    outputs = model.outputs
    if reconstruct or anomaly:
        score = partial(model.reconstruct_columns if reconstruct else model.anomaly_columns)
        outputs = tuple(score({}, 0, policy))
    write = _json_writer(target, outputs) if as_json else _csv_writer(target, outputs)
    total = 0
    for columns, rows in blocks_for(model, source, name):
        missing = [spec.name for spec in model.signature.inputs if spec.name not in columns]
        if missing and lacking is not None and not total:
            lacking(missing)
        write([column.tolist() for column in score(columns, rows, policy).values()])
        total += rows
    return total


_Write = Callable[[Sequence[list[Any]]], None]


def _csv_writer(target: TextIO, names: Sequence[str]) -> _Write:
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(names)

    def write(columns: Sequence[list[Any]]) -> None:
        writer.writerows(zip(*columns, strict=True))

    return write


def _json_writer(target: TextIO, names: Sequence[str]) -> _Write:
    def write(columns: Sequence[list[Any]]) -> None:
        for values in zip(*columns, strict=True):
            target.write(json.dumps(dict(zip(names, map(_finite, values), strict=True)), ensure_ascii=False) + "\n")

    return write


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def joined(blocks: Sequence[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Return the outputs of several blocks as one."""
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
