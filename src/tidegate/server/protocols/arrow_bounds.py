"""What an Arrow or Parquet body would become, from its metadata alone: rows and bytes, before anything is decoded.

A body of some kilobytes can claim rows by the billion, or decompress to gigabytes. The library that decodes it does as
it is told, so what it will be told is read here first.

Sources: github.com/apache/arrow, format/Message.fbs and docs/source/format/Columnar.rst (each compressed buffer begins
with its decompressed length); github.com/apache/parquet-format, README.md and src/main/thrift/parquet.thrift (each page
begins with a header in Thrift's compact protocol that holds both its sizes), github.com/apache/thrift,
doc/specs/thrift-compact-protocol.md.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from tidegate.contract.errors import InvalidInput


class Size(NamedTuple):
    """Rows, and bytes after decompression."""

    rows: int
    size: int


_RECORD_BATCH, _DICTIONARY_BATCH = 3, 2
_FIELD_HEADER_TYPE, _FIELD_HEADER = 1, 2
_FIELD_LENGTH, _FIELD_BUFFERS, _FIELD_COMPRESSION = 0, 2, 3
_FIELD_DATA = 1

#: The most that the metadata of a Parquet file may take; a thousand columns in ten row groups take this much.
_FOOTER_BYTES = 1024 * 1024


def batch_size(metadata: bytes, body: memoryview) -> Size:
    """Return what one IPC message holds; a dictionary has no rows of its own, a schema has nothing.

    Args:
        metadata: the message's flatbuffer, which the library has verified.
        body: the buffers that follow it.

    Raises:
        InvalidInput: it does not hold together.
    """
    try:
        root = _u32(metadata, 0)
        kind_at, header_at = _field(metadata, root, _FIELD_HEADER_TYPE), _field(metadata, root, _FIELD_HEADER)
        kind = metadata[kind_at] if kind_at else 0
        if kind not in (_RECORD_BATCH, _DICTIONARY_BATCH) or not header_at:
            return Size(0, 0)
        batch = header_at + _u32(metadata, header_at)
        if kind == _DICTIONARY_BATCH:
            data = _field(metadata, batch, _FIELD_DATA)
            batch = data + _u32(metadata, data)
        length_at = _field(metadata, batch, _FIELD_LENGTH)
        rows = _i64(metadata, length_at) if length_at else 0
        if rows < 0:
            raise _damaged("a batch with a negative number of rows")
        size = _buffers_size(metadata, batch, body)
    except (struct.error, IndexError):
        raise _damaged("a message that points past its end") from None
    return Size(rows if kind == _RECORD_BATCH else 0, size)


def _buffers_size(metadata: bytes, batch: int, body: memoryview) -> int:
    at = _field(metadata, batch, _FIELD_BUFFERS)
    if not at:
        return 0
    is_compressed = bool(_field(metadata, batch, _FIELD_COMPRESSION))
    vector = at + _u32(metadata, at)
    total = 0
    for index in range(_u32(metadata, vector)):
        offset, length = struct.unpack_from("<qq", metadata, vector + 4 + 16 * index)
        if length < 0 or offset < 0 or offset + length > len(body):
            raise _damaged("a buffer outside its message")
        if is_compressed and length >= 8:
            claimed = _i64(body, offset)
            if claimed < -1:
                raise _damaged("a buffer with a negative size")
            total += length if claimed == -1 else claimed
        else:
            total += length
    return total


def _field(buffer: bytes, table: int, index: int) -> int:
    """Return the position of a field of a flatbuffer's table, 0 when the table does not have it."""
    vtable = table - struct.unpack_from("<i", buffer, table)[0]
    if vtable < 0:
        raise IndexError(vtable)
    (size,) = struct.unpack_from("<H", buffer, vtable)
    entry = 4 + 2 * index
    if entry + 2 > size:
        return 0
    offset: int = struct.unpack_from("<H", buffer, vtable + entry)[0]
    return table + offset if offset else 0


def _u32(buffer: bytes | memoryview, at: int) -> int:
    value: int = struct.unpack_from("<I", buffer, at)[0]
    return value


def _i64(buffer: bytes | memoryview, at: int) -> int:
    value: int = struct.unpack_from("<q", buffer, at)[0]
    return value


class Pages(NamedTuple):
    """The pages of one column chunk together.

    Attributes:
        values: in data pages, nulls included.
        size: bytes after decompression.
        encodings: of the values of data pages, as Parquet numbers them.
    """

    values: int
    size: int
    encodings: frozenset[int]


class Chunk(NamedTuple):
    """One column of one row group, by the file's metadata: its name, where its pages are, and how many rows it has."""

    name: str
    start: int
    length: int
    rows: int
    is_nested: bool


def parquet_chunks(body: memoryview) -> list[Chunk]:
    """Return the column chunks of a Parquet file, those of a nested column by the name of the whole.

    The file's metadata is read here and not asked of the library: it ends the process over some that are damaged.

    Raises:
        InvalidInput: they do not hold together.
    """
    if len(body) < 12 or bytes(body[:4]) != b"PAR1" or bytes(body[-4:]) != b"PAR1":
        raise _damaged("it does not begin and end as Parquet does")
    length = _u32(body, len(body) - 8)
    if length > min(len(body) - 12, _FOOTER_BYTES):
        raise _damaged(f"a footer of {length} bytes")
    footer, _ = _thrift_struct(body[len(body) - 8 - length : len(body) - 8], 0)
    chunks = []
    for group in _structs(footer.get(4)):
        rows = group.get(3)
        for column in _structs(group.get(1)):
            facts = column.get(3)
            if not isinstance(facts, dict) or column.get(1) is not None:
                raise _damaged("a column without its place in this file")
            path, start, size = facts.get(3), facts.get(9), facts.get(7)
            dictionary = facts.get(11)
            if not (isinstance(path, list) and path and all(isinstance(part, bytes) for part in path)):
                raise _damaged("a column without a name")
            if not (isinstance(rows, int) and isinstance(start, int) and isinstance(size, int) and rows >= 0):
                raise _damaged("a column without its sizes")
            if isinstance(dictionary, int) and 0 < dictionary < start:
                start = dictionary
            chunks.append(Chunk(path[0].decode("utf-8", "replace"), start, size, rows, len(path) > 1))
    return chunks


def _structs(value: Any) -> list[dict[int, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _damaged("a file without row groups")
    return value


#: Parquet's number of the encoding in which a few bytes can say to repeat a long prefix.
DELTA_BYTE_ARRAY = 7
#: Of the one that writes texts one after the other, their lengths before them.
DELTA_LENGTH_BYTE_ARRAY = 6
#: Of the two that refer to a dictionary.
DICTIONARY_ENCODINGS = frozenset({2, 8})

_DATA_PAGE, _DATA_PAGE_V2 = 0, 3


def chunk_pages(body: memoryview, start: int, length: int) -> Pages:
    """Walk the pages of a column chunk as a reader does.

    Args:
        start, length: where the chunk is in the body, by the file's metadata.

    Raises:
        InvalidInput: the pages do not hold together.
    """
    values = size = 0
    encodings = set()
    end = start + length
    if start < 0 or length < 0 or end > len(body):
        raise _damaged("a column outside the file")
    while start < end:
        header, start = _thrift_struct(body, start)
        kind, unpacked, packed = header.get(1), header.get(2), header.get(3)
        if not (isinstance(unpacked, int) and isinstance(packed, int) and unpacked >= 0 and packed >= 0):
            raise _damaged("a page without its sizes")
        size += unpacked
        detail = header.get(5 if kind == _DATA_PAGE else 8 if kind == _DATA_PAGE_V2 else -1)
        if isinstance(detail, dict):
            count, encoding = detail.get(1, 0), detail.get(4 if kind == _DATA_PAGE_V2 else 2, 0)
            if not (isinstance(count, int) and isinstance(encoding, int) and count >= 0):
                raise _damaged("a page without its number of values")
            values += count
            encodings.add(encoding)
        start += packed
    return Pages(values, size, frozenset(encodings))


_DEEPEST = 16


def _thrift_struct(buffer: memoryview, at: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """Return the fields of a struct by their ids, and where it ends; binaries are bytes, doubles None."""
    if depth > _DEEPEST:
        raise _damaged("metadata nested too deeply")
    fields: dict[int, Any] = {}
    number = 0
    try:
        while buffer[at]:
            kind, delta = buffer[at] & 15, buffer[at] >> 4
            at += 1
            if delta:
                number += delta
            else:
                number, at = _zigzag(buffer, at)
            if kind in (1, 2):
                fields[number] = kind == 1
            else:
                fields[number], at = _thrift_value(buffer, at, kind, depth)
    except IndexError:
        raise _damaged("metadata that do not end") from None
    return fields, at + 1


def _thrift_value(buffer: memoryview, at: int, kind: int, depth: int) -> tuple[Any, int]:
    match kind:
        case 1 | 2 | 3:
            return buffer[at], at + 1
        case 4 | 5 | 6:
            return _zigzag(buffer, at)
        case 7:
            return None, at + 8
        case 8:
            length, at = _varint(buffer, at)
            return bytes(buffer[at : at + length]), at + length
        case 9:
            return _thrift_list(buffer, at, depth + 1)
        case 12:
            return _thrift_struct(buffer, at, depth + 1)
    raise _damaged("metadata of an unknown form")


def _thrift_list(buffer: memoryview, at: int, depth: int) -> tuple[list[Any], int]:
    if depth > _DEEPEST:
        raise _damaged("metadata nested too deeply")
    count, kind = buffer[at] >> 4, buffer[at] & 15
    at += 1
    if count == 15:
        count, at = _varint(buffer, at)
    if count > len(buffer) - at:
        raise _damaged("a list that does not end")
    items = []
    for _ in range(count):
        item, at = _thrift_value(buffer, at, kind, depth)
        items.append(item)
    return items, at


def _varint(buffer: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = buffer[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise _damaged("a number that does not end")


def _zigzag(buffer: memoryview, at: int) -> tuple[int, int]:
    value, at = _varint(buffer, at)
    return (value >> 1) ^ -(value & 1), at


def _damaged(what: str) -> InvalidInput:
    return InvalidInput(f"the body is damaged: {what}", expected="Arrow IPC or Parquet")
