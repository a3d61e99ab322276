"""A reader for the one part of a UBJSON document that is asked for.

XGBoost's binary models are UBJSON (https://ubjson.org, draft 12) and can be large; of such a model Tidegate needs the
categories and the version, which are small objects behind a known key.
"""

from __future__ import annotations

import struct
from typing import Any

_SCALARS = {b"i": ">b", b"U": ">B", b"I": ">h", b"l": ">i", b"L": ">q", b"d": ">f", b"D": ">d"}
_CONSTANTS = {b"Z": None, b"N": None, b"T": True, b"F": False}
_DEPTH_LIMIT = 64


def find_value(document: bytes | bytearray, key: str, opens: bytes) -> Any:
    """Return the value of the last member called `key` whose value starts with `opens`; None when there is none.

    Args:
        opens: `b"{"` for an object or `b"["` for an array, so that equal texts elsewhere are not taken for the key.

    Raises:
        ValueError: the value is damaged or of a type that the format does not have.
    """
    name = key.encode()
    position = document.rfind(b"L" + struct.pack(">q", len(name)) + name + opens)
    if position < 0:
        return None
    try:
        value, _ = _value(document, position + 9 + len(name), 0)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"damaged UBJSON behind {key!r}") from error
    return value


def _scalar(document: bytes | bytearray, kind: bytes, position: int) -> tuple[Any, int]:
    layout = _SCALARS[kind]
    (value,) = struct.unpack_from(layout, document, position)
    return value, position + struct.calcsize(layout)


def _length(document: bytes | bytearray, position: int) -> tuple[int, int]:
    kind = bytes(document[position : position + 1])
    if kind not in _SCALARS:
        raise ValueError(f"not a length: {kind!r}")
    value, position = _scalar(document, kind, position + 1)
    if not isinstance(value, int) or not 0 <= value <= len(document):
        raise ValueError(f"not a length: {value!r}")
    return value, position


def _text(document: bytes | bytearray, position: int) -> tuple[str, int]:
    size, position = _length(document, position)
    return bytes(document[position : position + size]).decode(), position + size


def _value(document: bytes | bytearray, position: int, depth: int, kind: bytes | None = None) -> tuple[Any, int]:
    if depth > _DEPTH_LIMIT:
        raise ValueError("nested too deeply")
    if kind is None:
        kind, position = bytes(document[position : position + 1]), position + 1
    if kind in _SCALARS:
        return _scalar(document, kind, position)
    if kind in _CONSTANTS:
        return _CONSTANTS[kind], position
    if kind == b"S":
        return _text(document, position)
    if kind in (b"[", b"{"):
        return _container(document, position, depth, is_object=kind == b"{")
    raise ValueError(f"unknown type {kind!r}")


def _container(document: bytes | bytearray, position: int, depth: int, *, is_object: bool) -> tuple[Any, int]:
    kind: bytes | None = None
    count: int | None = None
    if document[position : position + 1] == b"$":
        kind, position = bytes(document[position + 1 : position + 2]), position + 2
    if document[position : position + 1] == b"#":
        count, position = _length(document, position + 1)
    closing = b"}" if is_object else b"]"
    members: dict[str, Any] = {}
    items: list[Any] = []
    while count is None or len(items) < count:
        if count is None and document[position : position + 1] == closing:
            position += 1
            break
        name = ""
        if is_object:
            name, position = _text(document, position)
        value, position = _value(document, position, depth + 1, kind)
        items.append(value)
        if is_object:
            members[name] = value
    # Containers with a count have no closing mark in the format, but XGBoost writes one for objects without a type.
    return (members if is_object else items), position
