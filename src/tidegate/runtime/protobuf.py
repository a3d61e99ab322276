"""Just enough of the protobuf wire format to see what a message holds, without its schema.

Source: https://protobuf.dev/programming-guides/encoding. Fields are stepped over, not read, so a model of gigabytes
costs a few seeks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


class DamagedMessageError(ValueError):
    """The bytes are no protobuf message, or end in the middle of one."""


@dataclass(frozen=True)
class Field:
    """One field of a message.

    Attributes:
        number: the field's number in its schema.
        value: the number of a varint field, None for the others.
        start, end: where the content of a length-delimited field lies in the stream; equal for the others.
    """

    number: int
    value: int | None
    start: int = 0
    end: int = 0


def _varint(stream: BinaryIO) -> int | None:
    """Return the next varint, None at the end of the stream."""
    result = 0
    for shift in range(0, 70, 7):
        octet = stream.read(1)
        if not octet:
            if shift == 0:
                return None
            raise DamagedMessageError("the message ends inside a number")
        result |= (octet[0] & 0x7F) << shift
        if not octet[0] & 0x80:
            return result
    raise DamagedMessageError("a number is longer than any number can be")


def fields(stream: BinaryIO, end: int) -> Iterator[Field]:
    """Yield the fields of the message from the stream's position to `end`; the stream may be moved in between.

    Raises:
        DamagedMessageError: while iterating, at the first thing that cannot be.
    """
    while (position := stream.tell()) < end:
        tag = _varint(stream)
        if tag is None or tag >> 3 == 0:
            raise DamagedMessageError("there is no field where one should be")
        kind = tag & 7
        if kind == _VARINT:
            value = _varint(stream)
            if value is None:
                raise DamagedMessageError("the message ends inside a field")
            position = stream.tell()
            if position > end:
                raise DamagedMessageError("the message ends inside a field")
            yield Field(tag >> 3, value, position, position)
        elif kind == _LENGTH:
            size = _varint(stream)
            position = stream.tell()
            if size is None or position > end or position + size > end:
                raise DamagedMessageError(f"field {tag >> 3} is longer than what is left of the file")
            yield Field(tag >> 3, None, position, position + size)
            position += size
        elif kind in (_FIXED32, _FIXED64):
            position = stream.tell() + (4 if kind == _FIXED32 else 8)
            if position > end:
                raise DamagedMessageError("the message ends inside a field")
            yield Field(tag >> 3, None, position, position)
        else:
            raise DamagedMessageError(f"field {tag >> 3} has the unknown wire type {kind}")
        stream.seek(position)


def content(stream: BinaryIO, found: Field) -> bytes:
    """Return the bytes of a length-delimited field, leaving the stream where it was."""
    before = stream.tell()
    stream.seek(found.start)
    data = stream.read(found.end - found.start)
    stream.seek(before)
    return data
