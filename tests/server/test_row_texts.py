"""Answers in rows are the same bytes whichever way they are written, and say what the arrays hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.runtime.base import NUMPY_DTYPES, Array, TensorSpec
from tidegate.server.protocols.row_texts import json_rows

NUMBERS = [name for name in NUMPY_DTYPES if name != "BYTES"]
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


def row_by_row(outputs: list[tuple[TensorSpec, Array]]) -> bytes:
    """Write each row by itself: small answers are written in the plain way."""
    rows = len(outputs[0][1])
    each = [json_rows([(spec, array[row : row + 1]) for spec, array in outputs])[1:-1] for row in range(rows)]
    return b"[" + b",".join(each) + b"]"


@st.composite
def answers(draw: st.DrawFn) -> list[tuple[TensorSpec, Array]]:
    rows = draw(st.integers(1, 9))
    names = draw(st.lists(texts, min_size=1, max_size=3, unique=True))
    return [draw(outputs_of(name, rows)) for name in names]


@st.composite
def outputs_of(draw: st.DrawFn, name: str, rows: int) -> tuple[TensorSpec, Array]:
    if draw(st.integers(0, 3)) == 0:
        array: Array = np.empty(rows, dtype=object)
        array[:] = draw(st.lists(st.none() | texts, min_size=rows, max_size=rows))
        return TensorSpec(name, "BYTES"), array
    datatype: Any = draw(st.sampled_from(NUMBERS))
    shape = (rows, *draw(st.lists(st.integers(1, 3), max_size=2)))
    dtype = NUMPY_DTYPES[datatype]
    values = draw(
        st.binary(min_size=int(np.prod(shape)) * dtype.itemsize, max_size=int(np.prod(shape)) * dtype.itemsize)
    )
    raw = np.frombuffer(values, np.uint8) & 1 if datatype == "BOOL" else np.frombuffer(values, dtype)
    array = raw.astype(dtype).reshape(shape)
    labels = None
    if len(shape) == 2 and draw(st.booleans()):
        labels = tuple(draw(st.lists(texts, min_size=shape[1], max_size=shape[1])))
    if draw(st.booleans()):
        array = np.asfortranarray(array)
    return TensorSpec(name, datatype, (-1, *shape[1:]), labels=labels), array


@settings(deadline=None)
@given(answers())
def test_many_rows_are_written_as_each_of_them_by_itself(outputs: list[tuple[TensorSpec, Array]]) -> None:
    assert json_rows(outputs) == row_by_row(outputs)


def test_what_is_missing_is_null_and_narrow_floats_keep_their_digits() -> None:
    numbers = np.array([0.1, np.nan, np.inf, -0.0, 1e-7, 3.0], dtype=np.float32)
    written = json_rows([(TensorSpec("a", "FP32"), numbers)])
    assert written == b'[{"a":0.1},{"a":null},{"a":null},{"a":-0.0},{"a":1e-7},{"a":3.0}]'


def test_probabilities_stand_by_their_labels() -> None:
    specs = (TensorSpec("class", "BYTES"), TensorSpec("p", "FP64", (-1, 2), labels=("no", 'y"es')))
    arrays = (np.array(["no", "a,b"] * 3, dtype=object), np.array([[0.75, 0.25]] * 6))
    written = orjson.loads(json_rows(list(zip(specs, arrays, strict=True))))
    assert written == [{"class": value, "p": {"no": 0.75, 'y"es': 0.25}} for value in ("no", "a,b")] * 3


@pytest.mark.parametrize("rows", [1, 8])
def test_outputs_that_fit_neither_each_other_nor_their_labels_are_errors(rows: int) -> None:
    one = (TensorSpec("a", "FP64"), np.zeros(rows))
    with pytest.raises(ValueError, match="longer"):
        json_rows([one, (TensorSpec("b", "FP64"), np.zeros(rows + 1))])
    with pytest.raises(ValueError, match="longer"):
        json_rows([one, (TensorSpec("b", "FP64", (-1, 2), labels=("x",)), np.zeros((rows, 2)))])


@pytest.mark.parametrize("rows", [1, 8])
def test_values_of_several_types_keep_theirs(rows: int) -> None:
    array = np.empty(rows, dtype=object)
    array[:] = [True, 1, 1.0, "1", None, 2, "2", False][:rows]
    written = json_rows([(TensorSpec("a", "BYTES"), array)])
    assert [row["a"] for row in orjson.loads(written)] == array.tolist()
    assert (b"true" in written) == (array[0] is True)
