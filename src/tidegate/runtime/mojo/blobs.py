"""Entries that are nothing but numbers, big-endian as Java writes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.container import Container
from tidegate.runtime.mojo.errors import MojoFormatError


def doubles_of(container: Container, name: str, rows: int, columns: int) -> NDArray[np.float64]:
    """Return an entry of big-endian doubles, row by row. Raises MojoFormatError where it has another size."""
    return _numbers(container, name, rows, columns, ">f8").astype(np.float64)


def floats_of(container: Container, name: str, rows: int, columns: int) -> NDArray[np.float32]:
    """Return an entry of big-endian floats, row by row. Raises MojoFormatError where it has another size."""
    return _numbers(container, name, rows, columns, ">f4").astype(np.float32)


def _numbers(container: Container, name: str, rows: int, columns: int, kind: str) -> NDArray[np.generic]:
    dtype = np.dtype(kind)
    expected = rows * columns * dtype.itemsize
    size = container.size(name)
    if size != expected:
        raise MojoFormatError(
            name, f"has {size} bytes, and {rows} × {columns} numbers need {expected}", offset=min(size, expected)
        )
    data = container.read(name)
    if len(data) != expected:
        raise MojoFormatError(name, f"has {len(data)} bytes, and {rows} × {columns} numbers need {expected}")
    return np.frombuffer(data, dtype=dtype).reshape(rows, columns)
