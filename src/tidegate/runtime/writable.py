"""Inputs for code that is not ours, which may well work in place."""

from __future__ import annotations

from tidegate.runtime.base import Array


def writable(array: Array) -> Array:
    """Return the array, or a copy where it lies in memory that must not change (numbers read in place in a request)."""
    return array if array.flags.writeable else array.copy()
