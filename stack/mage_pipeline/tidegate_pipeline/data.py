"""Training data: its segments, the rows of one of them as two files for H2O, and those that are kept from it, fresh."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute, csv, parquet

from tidegate.contract.errors import InvalidInput
from tidegate.drift.files import read_reference, write_reference
from tidegate_pipeline.training_setup import TrainingSetup

#: Spread over the rows, every n-th is held out where there is no time to go by: Knuth's multiplicative hash.
_SPREAD, _RANGE = 2_654_435_761, 1 << 32


@dataclass(frozen=True)
class Parts:
    """The rows of one training.

    Attributes:
        train, test: CSV files.
        kinds: H2O's kind of each column: "numeric" or "enum".
        inputs: the columns that the model takes.
        until: the newest time of a row that a model was trained or chosen by, as ISO text; None where rows have none.
    """

    train: Path
    test: Path
    train_rows: int
    test_rows: int
    kinds: dict[str, str]
    inputs: tuple[str, ...]
    until: str | None


@dataclass(frozen=True)
class Fresh:
    """Rows with a known target that no model was trained with, the oldest first.

    Attributes:
        rows: as an Arrow table.
        days: which day each is of, from 0; each row one of its own where rows are resampled.
    """

    rows: Any
    days: NDArray[np.intp]


def read(setup: TrainingSetup) -> Any:
    """Return the training data as an Arrow table.

    Raises:
        InvalidInput: it cannot be read, or lacks a column.
    """
    return _read(Path(setup.data), setup, "data")


def _read(path: Path, setup: TrainingSetup, subject: str) -> Any:
    try:
        if path.suffix.lower() == ".parquet":
            table = parquet.read_table(path)
        elif path.suffix.lower() == ".csv":
            table = csv.read_csv(path)
        else:
            raise InvalidInput(
                f"{path} is of no known form", subject=subject, expected="CSV (.csv) or Parquet (.parquet)"
            )
    except (pa.ArrowException, OSError) as wrong:
        raise InvalidInput(f"{path} cannot be read: {wrong}", subject=subject) from wrong
    wanted = [setup.target, *setup.features, setup.segment_by, setup.holdout.time_column]
    for name in wanted:
        if name is not None and name not in table.column_names:
            raise InvalidInput(
                f"{path} has no column {name!r}", subject=subject, expected=", ".join(table.column_names), got=name
            )
    return table


def segments(setup: TrainingSetup, table: Any) -> dict[str, int]:
    """Return how many rows with a known target each segment has; nothing where there are no segments."""
    if setup.segment_by is None:
        return {}
    known = table.filter(compute.is_valid(table[setup.target]))
    column = known[setup.segment_by].cast(pa.string()).drop_null()
    return {one["values"]: one["counts"] for one in compute.value_counts(column).to_pylist()}


def split(setup: TrainingSetup, table: Any, segment: str | None, folder: Path) -> Parts:
    """Write the rows of a segment that have a target, those to train on and those held out.

    Raises:
        InvalidInput: either would have no row.
    """
    rows, _ = _cut(setup, _known(setup, table, segment))
    train, test = _parts(setup, rows)
    if not train.num_rows or not test.num_rows:
        raise InvalidInput(
            f"{'the data' if segment is None else repr(segment)} has too few rows to hold some out",
            subject="data",
            got=f"{train.num_rows} to train on, {test.num_rows} held out",
        )
    inputs = inputs_of(setup, table)
    kinds = {name: _kind(table.schema.field(name).type) for name in (*inputs, setup.target)}
    if setup.kind == "classification":
        kinds[setup.target] = "enum"
    paths = folder / "train.csv", folder / "test.csv"
    for part, path in zip((train, test), paths, strict=True):
        _write(part.select([*inputs, setup.target]), path)
    return Parts(*paths, train.num_rows, test.num_rows, kinds, inputs, _newest(setup, rows))


def inputs_of(setup: TrainingSetup, table: Any) -> tuple[str, ...]:
    """Return the columns that models take."""
    beside = {setup.target, setup.segment_by, setup.holdout.time_column}
    return tuple(setup.features) or tuple(name for name in table.column_names if name not in beside)


def fresh(setup: TrainingSetup, segment: str | None, *known_until: str | None) -> Fresh:
    """Return the newest rows of a segment, at most `evaluation.mostRows`, that are later than what models know.

    Args:
        known_until: the newest rows that each of the models was trained or chosen by, as `Parts.until` has them.

    Raises:
        InvalidInput: they cannot be read, or have no times.
    """
    own = setup.evaluation.data
    if own is not None:
        rows = _known(setup, _read(Path(own), setup, "evaluation.data"), segment).sort_by(setup.holdout.time_column)
    else:
        _, rows = _cut(setup, _known(setup, read(setup), segment))
    times = _times(setup, rows)
    ends = [np.datetime64(one, "us") for one in known_until if one is not None]
    first = int(np.searchsorted(times, max(ends), side="right")) if ends else 0
    first = max(first, rows.num_rows - setup.evaluation.most_rows)
    rows, times = rows.slice(first), times[first:]
    if setup.evaluation.resample == "row":
        return Fresh(rows, np.arange(rows.num_rows))
    _, days = np.unique(times.astype("datetime64[D]"), return_inverse=True)
    return Fresh(rows, days)


def reference(setup: TrainingSetup, rows: Fresh, path: Path) -> None:
    """Write down what the inputs of fresh rows look like, on which the new model was found to be better.

    Args:
        path: of JSON, so that the controller needs no Arrow to read it.
    """
    columns = inputs_of(setup, rows.rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    table = path.with_suffix(".parquet")
    parquet.write_table(rows.rows.select(list(columns)), table)
    write_reference(read_reference(table), path)
    table.unlink()


def classes(setup: TrainingSetup, segment: str | None) -> set[str]:
    """Return the classes of a segment in the training data, as texts."""
    return set(as_text(_known(setup, read(setup), segment)[setup.target]).unique().to_pylist())


def as_text(column: Any) -> Any:
    """Return a column as the texts that H2O was trained with."""
    return column.cast(pa.string())


def _known(setup: TrainingSetup, table: Any, segment: str | None) -> Any:
    """Return the rows of a segment whose target is known."""
    rows = table.filter(compute.is_valid(table[setup.target]))
    if segment is not None:
        rows = rows.filter(compute.equal(as_text(rows[setup.segment_by]), segment))
    return rows


def _cut(setup: TrainingSetup, rows: Any) -> tuple[Any, Any]:
    """Return the rows that models may be trained and chosen by, and the newest ones, which are kept from them."""
    if not setup.fresh_share:
        return rows, rows.slice(rows.num_rows)
    rows = rows.sort_by(setup.holdout.time_column)
    begin = rows.num_rows - round(rows.num_rows * setup.fresh_share)
    # Rows of one moment stay together: what is later than the others' last one is fresh.
    times = _times(setup, rows)
    if 0 < begin < rows.num_rows:
        begin = int(np.searchsorted(times, times[begin - 1], side="right"))
    return rows.slice(0, begin), rows.slice(begin)


def _times(setup: TrainingSetup, rows: Any) -> NDArray[np.datetime64]:
    name = setup.holdout.time_column
    column = rows[name]
    kind, is_text = column.type, pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    try:
        if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind) or is_text):
            raise pa.ArrowInvalid(f"it has {kind}")
        if is_text and compute.any(compute.match_substring_regex(column, "(Z|[+-][0-9]{2}:?[0-9]{2})$")).as_py():
            column = column.cast(pa.timestamp("us", "UTC"))
        times: NDArray[np.datetime64] = column.cast(pa.timestamp("us")).to_numpy().astype("datetime64[us]")
    except pa.ArrowException as wrong:
        raise InvalidInput(
            f"the column {name!r} has no times: {wrong}",
            subject="holdout.timeColumn",
            expected="timestamps, dates, or ISO 8601 texts",
        ) from wrong
    if np.isnat(times).any():
        raise InvalidInput(f"the column {name!r} has rows without a time", subject="holdout.timeColumn")
    return times


def _newest(setup: TrainingSetup, rows: Any) -> str | None:
    if setup.holdout.time_column is None or not rows.num_rows:
        return None
    try:
        return str(_times(setup, rows).max())
    except InvalidInput:
        # Whatever can be sorted will do, as long as no rows have to be fresh.
        if setup.deployment is not None:
            raise
        return None


def digest(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parts(setup: TrainingSetup, rows: Any) -> tuple[Any, Any]:
    column, share = setup.holdout.time_column, setup.holdout.share
    if column is not None:
        rows = rows.sort_by(column)
        begin = rows.num_rows - round(rows.num_rows * share)
        return rows.slice(0, begin), rows.slice(begin)
    is_out = pa.array([number * _SPREAD % _RANGE < share * _RANGE for number in range(rows.num_rows)], pa.bool_())
    return rows.filter(compute.invert(is_out)), rows.filter(is_out)


def _kind(kind: Any) -> str:
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return "numeric" if is_number else "enum"


def _write(rows: Any, path: Path) -> None:
    plain = [
        column if pa.types.is_integer(column.type) or pa.types.is_floating(column.type) else column.cast(pa.string())
        for column in rows.columns
    ]
    csv.write_csv(pa.table(plain, names=rows.column_names), path)
