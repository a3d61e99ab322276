"""With which types the interpreter calls kernels, as words: `f8`, or `f8:2C`, an array of two dimensions.

A word is a type of NumPy; of an array, a colon, the number of dimensions and the order (C, F, or A for any) follow. An
array that is written to has `!` at the end. `nodes` is the type of XGBoost's nodes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tidegate.runtime.mojo.xgboost_nodes import PACKED

#: (type, dimensions or -1 for a number by itself, order, whether it is written to)
Argument = tuple[np.dtype[Any], int, str, bool]
#: From a kernel, with its module before a dot, to the words of each way in which it is called.
Table = Mapping[str, list[list[str]]]

_NODES = "nodes"
_FILE = Path(__file__).with_name("kernel_signatures.json")


def called() -> Table:
    """Return the ways in which the models that there are call kernels."""
    found: Table = json.loads(_FILE.read_text(encoding="utf-8"))
    return found


def parsed(word: str) -> Argument:
    """Return what a word says."""
    kind, _, array = word.partition(":")
    dtype: np.dtype[Any] = PACKED if kind == _NODES else np.dtype(kind)
    if not array:
        return dtype, -1, "C", False
    return dtype, int(array[0]), array[1], array.endswith("!")


def word_of(dtype: np.dtype[Any], dimensions: int, order: str, writes: bool) -> str:
    """Return the word for an argument."""
    kind = _NODES if dtype == PACKED else dtype.str[1:]
    return kind if dimensions < 0 else f"{kind}:{dimensions}{order}{'!' if writes else ''}"


def described(value: Any) -> str:
    """Return the word for an argument of a call, or its type where it is neither number nor array."""
    if isinstance(value, np.ndarray):
        order = "C" if value.flags.c_contiguous else "F" if value.flags.f_contiguous else "A"
        return word_of(value.dtype, value.ndim, order, value.flags.writeable)
    if isinstance(value, bool | int | float | np.generic):
        return np.asarray(value).dtype.str[1:]
    return type(value).__name__
