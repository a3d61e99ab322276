"""Tables by Arrow: rows of vectors in Parquet files and in what pandas, Polars and others hold; labels; training sets.

All of it goes batch by batch, so that a table may be larger than the memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.features.rows import check_header
from tidegate.features.vectors import Columns, Raw, UnfitError, entity_of, moment_of

#: Rows in memory at once.
BATCH = 2_000
#: Bytes of a file that are read at once; of Parquet, of one column.
_CSV_BLOCK, _PARQUET_BUFFER = 1024 * 1024, 256 * 1024
LABEL_FORMS = "CSV (.csv) or Parquet (.parquet)"


@dataclass(frozen=True)
class Label:
    """An entity and a moment for which features are wanted; `position` is its row, from 1."""

    position: int
    entity: str
    at: datetime


def parquet_rows(path: Path, columns: Columns) -> Iterator[Raw]:
    """Yield each row of a Parquet file.

    Raises:
        InvalidInput: it cannot be read, or lacks a column that is needed.
        Unavailable: the extra `features` is not installed.
    """
    pa = _arrow()
    with _readable(path):
        file = _parquet(path)
        check_header(list(file.schema_arrow.names), columns, str(path))
    with file:
        batches = _batches(file)
        yield from _rows(pa, _guarded(path, batches), columns)


def table_rows(table: Any, columns: Columns) -> Iterator[Raw]:
    """Yield each row of a table: an Arrow table, a DataFrame of pandas or Polars, or another that Arrow can stream.

    What pandas calls missing is null. Raises as `parquet_rows`.
    """
    pa = _arrow()
    if not hasattr(table, "__arrow_c_stream__"):
        raise InvalidInput(
            f"a {type(table).__name__} is no table that Arrow can read",
            expected="a DataFrame of pandas or Polars, or an Arrow table",
        )
    try:
        reader = pa.RecordBatchReader.from_stream(table)
    except (pa.ArrowException, OverflowError) as wrong:
        # Among others a column of Python's whole numbers, one of which is too large for any column of Arrow.
        raise InvalidInput(
            f"Arrow cannot make columns of this {type(table).__name__}: {wrong}",
            expected="in each column values of one kind; whole numbers of 64 bits",
            hint="nothing was written: give rows as mappings, and only those that are none are refused",
        ) from wrong
    check_header(list(reader.schema.names), columns, "the table")
    yield from _rows(pa, reader, columns)


class Labels:
    """A file of labels: rows with an entity, a time, and whatever else belongs into a training set.

    Args:
        typed: whether cells of CSV are read as numbers and dates where a column holds such, or all of them as text.

    Raises:
        InvalidInput: it is of no known form, cannot be read, or lacks a column that is needed.
        Unavailable: the extra `features` is not installed.
    """

    def __init__(self, path: Path, columns: Columns, *, typed: bool) -> None:
        self._pa = _arrow()
        self.path = path
        self._columns = columns
        self._typed = typed
        if path.suffix.lower() not in (".csv", ".parquet"):
            raise InvalidInput(
                f"{path} is of no known form", subject=str(path), expected=LABEL_FORMS, got=path.suffix or "none"
            )
        if not path.is_file():
            raise InvalidInput(f"there is no file {path}", subject=str(path), expected=LABEL_FORMS)
        with _readable(path), self._opened() as (schema, _):
            self.schema = schema
        check_header(list(self.schema.names), Columns(columns.entity, columns.time), str(path))

    def __iter__(self) -> Iterator[Label]:
        """Yield each label. Raises InvalidInput at the first that has no entity or no time."""
        wanted = [self._columns.entity, self._columns.time]
        position = 0
        for batch in self.batches():
            cells = _plain(self._pa, batch.select(wanted), self._columns.time)
            for row in cells:
                position += 1
                column = self._columns.entity
                try:
                    entity = entity_of(row[column])
                    column = self._columns.time
                    at = moment_of(row[column])
                except UnfitError as wrong:
                    raise InvalidInput(
                        f"row {position} of {self.path}: {column}: {wrong}",
                        subject=str(self.path),
                        hint="nothing was written: mend the row, or leave it out",
                    ) from wrong
                yield Label(position, entity, at)

    def batches(self) -> Iterator[Any]:
        """Yield the rows as batches of Arrow, in the order of `__iter__`."""
        with _readable(self.path), self._opened() as (_, batches):
            yield from batches

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, Iterator[Any]]]:
        if self.path.suffix.lower() == ".parquet":
            with _parquet(self.path) as file:
                yield file.schema_arrow, _batches(file)
            return
        from pyarrow import csv

        convert = None
        read = csv.ReadOptions(block_size=_CSV_BLOCK, use_threads=False)
        if not self._typed:
            with csv.open_csv(self.path, read_options=read) as first:
                names = first.schema.names
            convert = csv.ConvertOptions(
                column_types=dict.fromkeys(names, self._pa.string()), strings_can_be_null=False
            )
        else:
            keys = {self._columns.entity: self._pa.string(), self._columns.time: self._pa.string()}
            convert = csv.ConvertOptions(column_types=keys)
        with csv.open_csv(self.path, read_options=read, convert_options=convert) as reader:
            yield reader.schema, reader


class TrainingFile:
    """A training set that is being written, CSV or Parquet: beside its place until it is whole.

    Args:
        schema: Arrow's, of the labels.
        features: what each column of features holds, by its name: "number", "boolean", "string", or "json" for what
            is none of these.
        time: the column that says from when on the features were true.
    """

    def __init__(self, path: Path, schema: Any, features: Mapping[str, str], time: str) -> None:
        pa = _arrow()
        self._pa = pa
        types = {"number": pa.float64(), "boolean": pa.bool_(), "string": pa.string(), "json": pa.string()}
        self._features = dict(features)
        fields = [pa.field(time, pa.timestamp("us", tz="UTC"))]
        fields += [pa.field(name, types[kind]) for name, kind in features.items()]
        self._added = pa.schema(fields)
        self.schema = pa.schema([*schema, *self._added])
        self._path = path
        self._beside = path.with_name(f".{path.name}.new")
        self._writer: Any = None

    def __enter__(self) -> TrainingFile:
        from pyarrow import csv, parquet

        make: Callable[[], Any] = (
            (lambda: csv.CSVWriter(self._beside, self.schema))
            if self._path.suffix.lower() == ".csv"
            else (lambda: parquet.ParquetWriter(self._beside, self.schema))
        )
        with _writable(self._path):
            self._writer = make()
        return self

    def write(self, labels: Any, found: Sequence[tuple[datetime | None, Mapping[str, Any]]]) -> None:
        """Write a batch of labels, and for each row the time and the features by column, as far as there are."""
        pa = self._pa
        columns = [pa.array([at for at, _ in found], self._added.field(0).type)]
        for at, (name, kind) in enumerate(self._features.items(), 1):
            cells = [_cell(vector.get(name), kind) for _, vector in found]
            columns.append(pa.array(cells, self._added.field(at).type))
        made = pa.RecordBatch.from_arrays([*labels.columns, *columns], schema=self.schema)
        with _writable(self._path):
            self._writer.write_batch(made)

    def __exit__(self, kind: object, *_: object) -> None:
        with _writable(self._path):
            try:
                self._writer.close()
                if kind is None:
                    self._beside.replace(self._path)
            finally:
                self._beside.unlink(missing_ok=True)


def _cell(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "json":
        return json.dumps(value, ensure_ascii=False)
    return float(value) if kind == "number" else value


def _rows(pa: Any, batches: Iterator[Any], columns: Columns) -> Iterator[Raw]:
    position = 0
    for batch in batches:
        # One batch of a table in memory may be all of it.
        for begin in range(0, batch.num_rows, BATCH):
            for values in _plain(pa, batch.slice(begin, BATCH), columns.time):
                position += 1
                yield Raw(position, values)


def _plain(pa: Any, batch: Any, time: str) -> list[dict[str, Any]]:
    """Return the rows as JSON has them; moments of the column of times stay moments, with microseconds."""
    columns = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        kind, plain = field.type, column
        if pa.types.is_timestamp(kind):
            plain = column.cast(pa.timestamp("us", tz=kind.tz), safe=False)
        elif pa.types.is_decimal(kind) and kind.scale > 0:
            plain = column.cast(pa.float64())
        cells = plain.to_pylist()
        if pa.types.is_decimal(kind) and kind.scale <= 0:
            # As whole numbers, which a double would round.
            cells = [None if cell is None else int(cell) for cell in cells]
        if pa.types.is_temporal(kind) and field.name != time:
            cells = [None if cell is None else _text_of(cell) for cell in cells]
        columns.append(cells)
    names = batch.schema.names
    return [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _text_of(moment: Any) -> str:
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo is None else moment.astimezone(UTC)).isoformat()
    return moment.isoformat() if hasattr(moment, "isoformat") else str(moment)


def _guarded(path: Path, batches: Iterator[Any]) -> Iterator[Any]:
    while True:
        with _readable(path):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def _parquet(path: Path) -> Any:
    """Open a file so that it is read some of a column at a time: a row group may be all of it."""
    from pyarrow import parquet

    # A memory map would keep what was read in the address space of this process, and so would reading ahead.
    return parquet.ParquetFile(path, buffer_size=_PARQUET_BUFFER, pre_buffer=False)


def _batches(file: Any) -> Iterator[Any]:
    # Threads would have buffers of their own, and who takes the rows is slower than one.
    batches: Iterator[Any] = file.iter_batches(batch_size=BATCH, use_threads=False)
    return batches


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as wrong:
        raise InvalidInput(f"{path} cannot be read: {wrong}", subject=str(path)) from wrong


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as wrong:
        told = wrong.strerror if isinstance(wrong, OSError) and wrong.strerror else wrong
        raise InvalidInput(f"{path} cannot be written: {told}", subject=str(path)) from wrong


def _arrow() -> Any:
    try:
        import pyarrow
    except ImportError as missing:
        raise Unavailable(
            "tables are read by Arrow, which is not installed", hint="pip install 'tidegate[features]'"
        ) from missing
    return pyarrow
