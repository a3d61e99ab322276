"""Arrow IPC (stream and file) and Parquet, bodies and answers. The one module that knows pyarrow.

pyarrow is optional, and imported when the first such request comes: it takes 0.1 s and 40 MB that others need not pay.

A body is not trusted. Only the columns that the model takes are decoded, each of a plain type; how many rows and bytes
they become is read from the metadata first (`arrow_bounds`); what was decoded is validated in full before it is used.
Text that is dictionary-encoded stays so until each distinct value has become a Python string once: a long text to
which every row refers would fill the memory otherwise.

A null and NaN are missing values in a column of numbers, a null in one of text. A number may have another type than
the model's own as long as it fits. Times, binaries and nested types are refused: what they mean to the model, nobody
said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Array, TensorSpec
from tidegate.server.protocols.arrow_bounds import (
    DELTA_BYTE_ARRAY,
    DELTA_LENGTH_BYTE_ARRAY,
    DICTIONARY_ENCODINGS,
    Chunk,
    batch_size,
    chunk_pages,
    parquet_chunks,
)
from tidegate.server.protocols.base import Identity, TooLarge, UnsupportedMediaType
from tidegate.server.protocols.media import Form
from tidegate.server.protocols.tables import Table, TableReader, narrowed
from tidegate.server.protocols.values import family, wrong_value

_FILE_MAGIC = b"ARROW1\0\0"
#: From here on a float may stand for an integer beside the one that was written (2**53 for 2**53 + 1).
_FIRST_INEXACT_FLOAT = 2**53
#: Arrow brings decimals of other scales to integers with powers of ten that it does not have.
_CASTABLE_SCALES = range(39)
_EXPECTED = {
    "FLOAT": "a column of numbers",
    "INT": "a column of integers",
    "BOOL": "a column of booleans",
    "BYTES": "a column of text",
}


def is_available() -> bool:
    """Say whether pyarrow is installed, without importing it."""
    return find_spec("pyarrow") is not None


@cache
def _arrow() -> Any:
    import pyarrow as pa
    import pyarrow.compute
    import pyarrow.ipc
    import pyarrow.parquet

    return pa


def read_arrow(body: bytes, form: Form, wanted: TableReader, most_bytes: int) -> tuple[list[Array], int]:
    """Return the columns that the model takes, in its order, and the number of rows.

    Args:
        most_bytes: of the body after decompression.

    Raises:
        UnsupportedMediaType: pyarrow is not installed.
        InvalidInput: the body is no such table; the error names column and row.
        TooLarge: there are more rows or bytes than allowed.
    """
    check_available()
    pa = _arrow()
    read = _read_parquet if form is Form.PARQUET else _read_ipc
    try:
        table = read(pa, body, wanted, most_bytes)
        table.validate(full=True)
    except (pa.ArrowException, OSError, EOFError, MemoryError, ValueError, KeyError) as error:
        line = str(error).strip().partition("\n")[0][:200]
        name = "Parquet" if form is Form.PARQUET else "Arrow IPC"
        raise InvalidInput(f"the body is not {name}: {line}", expected=name) from None
    rows = wanted.counted(table.num_rows)
    return [_column(pa, spec, table.column(spec.name), most_bytes) for spec in wanted.specs], rows


def check_available() -> None:
    """Raise UnsupportedMediaType unless pyarrow is installed."""
    if not is_available():
        raise UnsupportedMediaType(
            "Arrow and Parquet need pyarrow, which is not installed here; send and ask for JSON or CSV",
            expected="application/json, text/csv",
            hint='pip install "tidegate[arrow]" on the server adds them',
        )


def _read_ipc(pa: Any, body: bytes, wanted: TableReader, most_bytes: int) -> Any:
    # A file is a stream between a magic word and an index; read in order, it needs no index.
    stream = pa.py_buffer(body)
    if body.startswith(_FILE_MAGIC):
        stream = stream.slice(len(_FILE_MAGIC))
    rows = size = 0
    for message in pa.ipc.MessageReader.open_stream(stream):
        held = batch_size(message.metadata.to_pybytes(), memoryview(message.body or b""))
        rows, size = rows + held.rows, size + held.size
        if rows > 0:
            wanted.counted(rows)
        _check_bytes(size, most_bytes)
    with pa.ipc.open_stream(stream) as reader:
        names = reader.schema.names
        wanted.check_columns(names)
        for spec in wanted.specs:
            _check_type(pa, spec, reader.schema.field(spec.name).type)
        indices = sorted(names.index(spec.name) for spec in wanted.specs)
    options = pa.ipc.IpcReadOptions(included_fields=indices, use_threads=False)
    with pa.ipc.open_stream(stream, options=options) as reader:
        return reader.read_all()


def _read_parquet(pa: Any, body: bytes, wanted: TableReader, most_bytes: int) -> Any:
    chunks = parquet_chunks(memoryview(body))
    wanted.check_columns(list(dict.fromkeys(chunk.name for chunk in chunks)))
    names = {spec.name for spec in wanted.specs}
    flat = [chunk for chunk in chunks if chunk.name in names and not chunk.is_nested]
    spelt_out = _check_chunks(flat, memoryview(body), wanted, most_bytes)
    text = [spec.name for spec in wanted.specs if spec.datatype == "BYTES" and spec.name not in spelt_out]
    source = pa.BufferReader(pa.py_buffer(body))
    with pa.parquet.ParquetFile(source, read_dictionary=text) as file:
        schema = file.schema_arrow
        wanted.check_columns(schema.names)
        for spec in wanted.specs:
            _check_type(pa, spec, schema.field(spec.name).type)
        return file.read(columns=[spec.name for spec in wanted.specs], use_threads=False)


def _check_chunks(chunks: Sequence[Chunk], body: memoryview, wanted: TableReader, most_bytes: int) -> set[str]:
    """Raise unless the pages of these columns become no more rows and bytes than allowed.

    Returns:
        The columns of text that spell out every value, in an encoding of which pyarrow makes no dictionary.
    """
    size = 0
    encodings: dict[str, frozenset[int]] = {}
    rows: dict[str, int] = {}
    for chunk in chunks:
        wanted.counted(max(chunk.rows, 1))
        pages = chunk_pages(body, chunk.start, chunk.length)
        rows[chunk.name] = rows.get(chunk.name, 0) + max(chunk.rows, pages.values)
        wanted.counted(max(rows[chunk.name], 1))
        size += pages.size
        _check_bytes(size, most_bytes)
        if DELTA_BYTE_ARRAY in pages.encodings:
            raise InvalidInput(
                f"column {chunk.name!r} is encoded as DELTA_BYTE_ARRAY, which is not taken; write it plain or with a "
                "dictionary",
                subject=chunk.name,
            )
        encodings[chunk.name] = encodings.get(chunk.name, frozenset()) | pages.encodings
    # Where a dictionary is beside it, only reading it as one keeps a long text from being repeated for each row.
    return {
        name
        for name, found in encodings.items()
        if DELTA_LENGTH_BYTE_ARRAY in found and not found & DICTIONARY_ENCODINGS
    }


def _check_bytes(size: int, most_bytes: int) -> None:
    if size > most_bytes:
        raise TooLarge(
            f"the table holds more than {most_bytes} bytes when it is decompressed",
            expected=f"at most {most_bytes} bytes",
        )


def _check_type(pa: Any, spec: TensorSpec, kind: Any) -> None:
    """Raise InvalidInput unless a column of this type can be what the model takes."""
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    fits = {
        "FLOAT": is_number or types.is_null(kind),
        "INT": is_number,
        "BOOL": types.is_boolean(kind),
        "BYTES": is_text or types.is_null(kind),
    }[family(spec.datatype)]
    if fits:
        return
    expected = _EXPECTED[family(spec.datatype)]
    hint = None
    if types.is_temporal(kind):
        hint = "send what the model was trained on, as a number or as text"
    elif types.is_nested(kind):
        hint = "send one column per value"
    raise InvalidInput(
        f"field {spec.name!r}: expected {expected}, got {str(kind)[:80]}",
        subject=spec.name,
        expected=expected,
        got=str(kind)[:80],
        hint=hint,
    )


def _column(pa: Any, spec: TensorSpec, column: Any, most_bytes: int) -> Array:
    match family(spec.datatype):
        case "BYTES":
            return _text(pa, column, most_bytes)
        case "FLOAT":
            numbers = _plain(pa, column).cast(pa.float64(), safe=False)
            return narrowed(spec, np.array(numbers.to_numpy(zero_copy_only=False), dtype=np.float64))
        case "BOOL":
            _check_complete(spec, column, "true or false")
            return np.array(column.to_numpy(zero_copy_only=False), dtype=np.bool_)
    return _integers(pa, spec, _plain(pa, column))


def _plain(pa: Any, column: Any) -> Any:
    """Return numbers without their dictionary, if they have one."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _integers(pa: Any, spec: TensorSpec, column: Any) -> Array:
    _check_complete(spec, column, "an integer")
    if pa.types.is_integer(column.type):
        return narrowed(spec, column.to_numpy(zero_copy_only=False))
    if pa.types.is_decimal(column.type) and column.type.scale in _CASTABLE_SCALES:
        exact = pa.uint64() if spec.datatype == "UINT64" else pa.int64()
        try:
            return narrowed(spec, column.cast(exact).to_numpy(zero_copy_only=False))
        except pa.ArrowInvalid:
            return narrowed(spec, _whole_decimals(spec, column))
    numbers = np.array(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    whole = (np.floor(numbers) == numbers) & (np.abs(numbers) < _FIRST_INEXACT_FLOAT)
    if not whole.all():
        row = int(np.argmin(whole))
        raise wrong_value(spec, row, numbers[row].item(), "an integer")
    return narrowed(spec, numbers.astype(np.int64))


def _whole_decimals(spec: TensorSpec, column: Any) -> Array:
    """Return decimals as integers. Raises InvalidInput for the first that is none, or is past 64 bits."""
    bounds = np.iinfo(np.uint64 if spec.datatype == "UINT64" else np.int64)
    values = []
    for row, value in enumerate(column.to_pylist()):
        if int(value) != value:
            raise wrong_value(spec, row, value, "an integer")
        if not bounds.min <= value <= bounds.max:
            raise wrong_value(spec, row, value, f"a number that fits {spec.datatype}")
        values.append(int(value))
    return np.array(values, dtype=bounds.dtype)


def _check_complete(spec: TensorSpec, column: Any, expected: str) -> None:
    if column.null_count:
        missing = np.concatenate([chunk.is_null().to_numpy(zero_copy_only=False) for chunk in column.chunks])
        raise wrong_value(spec, int(np.argmax(missing)), None, expected)


def _text(pa: Any, column: Any, most_bytes: int) -> Array:
    parts = [np.array([], dtype=object)]
    for chunk in column.chunks:
        if pa.types.is_dictionary(chunk.type):
            # One more entry, for the rows that have none.
            values = np.array([*_strings(pa, chunk.dictionary, most_bytes), None], dtype=object)
            positions = chunk.indices.cast(pa.int64()).fill_null(len(values) - 1).to_numpy()
            parts.append(values[positions])
        else:
            array = np.empty(len(chunk), dtype=object)
            array[:] = _strings(pa, chunk, most_bytes)
            parts.append(array)
    return np.concatenate(parts)


def _strings(pa: Any, array: Any, most_bytes: int) -> list[str | None]:
    if pa.types.is_string_view(array.type):
        # Views may all show the same text, so what they become together is not what the buffers hold.
        views = np.frombuffer(array.buffers()[1], dtype="<i4")[4 * array.offset :: 4][: len(array)]
        _check_bytes(int(views[np.asarray(array.is_valid())].sum(dtype=np.int64)) if len(array) else 0, most_bytes)
    strings: list[str | None] = array.to_pylist()
    return strings


def write_arrow(table: Table, form: Form, identity: Identity) -> bytes:
    """Return a table in one of Arrow's forms; the schema's metadata name model and revision."""
    pa = _arrow()
    arrays = [_array(pa, column) for column in table.columns]
    metadata = {"tidegate.model": identity.model_name, "tidegate.revision": str(identity.revision)}
    filled = pa.Table.from_arrays(arrays, names=[spec.name for spec in table.specs]).replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    _WRITERS[form](pa, sink, filled)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def _array(pa: Any, column: Array) -> Any:
    if column.dtype.kind in "OU":
        return pa.array(column.tolist(), pa.string())
    return pa.array(np.ascontiguousarray(column))


def _write_stream(pa: Any, sink: Any, table: Any) -> None:
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def _write_file(pa: Any, sink: Any, table: Any) -> None:
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _write_parquet(pa: Any, sink: Any, table: Any) -> None:
    pa.parquet.write_table(table, sink)


_WRITERS: dict[Form, Callable[[Any, Any, Any], None]] = {
    Form.ARROW_STREAM: _write_stream,
    Form.ARROW_FILE: _write_file,
    Form.PARQUET: _write_parquet,
}

ARROW_FORMS: Sequence[Form] = tuple(_WRITERS)
