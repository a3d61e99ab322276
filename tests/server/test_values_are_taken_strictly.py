"""JSON values become arrays only when they are what the signature says."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import NUMPY_DTYPES, TensorSpec
from tidegate.server.protocols.values import array_of, json_ready, tensor_of


def spec(datatype: Any, shape: tuple[int, ...] = (-1,)) -> TensorSpec:
    return TensorSpec("a", datatype, shape)


@pytest.mark.parametrize("datatype", ["FP64", "FP32", "FP16"])
def test_null_is_nan_in_a_float_column(datatype: str) -> None:
    array = array_of(spec(datatype), [1, None, 2.5])
    assert array.dtype == NUMPY_DTYPES[datatype]
    np.testing.assert_array_equal(array, np.array([1, np.nan, 2.5]))


def test_null_is_none_in_a_text_column() -> None:
    assert array_of(spec("BYTES"), ["x", None]).tolist() == ["x", None]


@pytest.mark.parametrize("datatype", ["INT64", "UINT8", "BOOL"])
def test_null_is_an_error_where_nothing_may_be_missing(datatype: str) -> None:
    with pytest.raises(InvalidInput, match=r"field 'a', row 1: expected .*, got null"):
        array_of(spec(datatype), [1 if datatype != "BOOL" else True, None])


@pytest.mark.parametrize(
    ("datatype", "value", "shown"),
    [
        ("FP64", "1.5", '"1.5"'),
        ("FP64", True, "true"),
        ("FP64", [1], "a list of 1"),
        ("INT32", 1.5, "1.5"),
        ("INT32", "1", '"1"'),
        ("INT32", False, "false"),
        ("BOOL", 1, "1"),
        ("BOOL", "true", '"true"'),
        ("BYTES", 1, "1"),
        ("BYTES", {"b64": ""}, "an object"),
    ],
)
def test_a_value_of_another_kind_is_named_with_field_row_and_value(datatype: str, value: Any, shown: str) -> None:
    good = {"FP64": 1.0, "INT32": 1, "BOOL": True, "BYTES": "x"}[datatype]
    with pytest.raises(InvalidInput) as caught:
        array_of(spec(datatype), [good, good, value])
    assert caught.value.subject == "a[2]"
    assert caught.value.got == shown
    assert "row 2" in caught.value.message


@pytest.mark.parametrize(
    ("datatype", "value"),
    [("UINT8", 256), ("UINT8", -1), ("INT8", -129), ("INT64", 2**63), ("FP32", 1e300), ("FP16", -70000)],
)
def test_a_number_that_does_not_fit_is_an_error_and_not_wrapped_around(datatype: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=rf"row 1: expected a number that fits {datatype}"):
        array_of(spec(datatype), [0, value])


def test_a_whole_float_is_an_integer_as_in_json() -> None:
    assert array_of(spec("INT32"), [3.0, 4]).tolist() == [3, 4]


def test_a_float_too_large_to_be_exact_is_no_integer() -> None:
    with pytest.raises(InvalidInput):
        array_of(spec("INT64"), [2.0**60])


@pytest.mark.parametrize("data", [[1, 2, 3, 4, 5, 6], [[1, 2, 3], [4, 5, 6]]])
def test_a_tensor_may_be_flat_or_nested(data: list[Any]) -> None:
    assert tensor_of(spec("INT32", (-1, 3)), data, (2, 3)).tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("data", [[[1, 2], [3]], [[1, 2], 3], [[1, 2, 3]], [[[1], [2]], [[3], [4]]], [1, 2, 3], [], 4])
def test_a_tensor_nested_otherwise_is_an_error(data: Any) -> None:
    with pytest.raises(InvalidInput):
        tensor_of(spec("FP32", (-1, 2)), data, (2, 2))


def test_a_wrong_value_in_a_tensor_names_its_row() -> None:
    with pytest.raises(InvalidInput, match="row 1"):
        tensor_of(spec("FP32", (-1, 3)), [[1, 2, 3], [4, "x", 6]], (2, 3))


INTEGERS = [name for name in NUMPY_DTYPES if "INT" in name]


@given(st.data())
def test_integers_of_every_width_survive_the_way_through_json(data: st.DataObject) -> None:
    datatype = data.draw(st.sampled_from(INTEGERS))
    limits = np.iinfo(NUMPY_DTYPES[datatype])
    values = data.draw(st.lists(st.integers(int(limits.min), int(limits.max)), min_size=1))
    array = np.array(values, dtype=NUMPY_DTYPES[datatype])
    sent = orjson.loads(orjson.dumps(json_ready(array), option=orjson.OPT_SERIALIZE_NUMPY))
    np.testing.assert_array_equal(array_of(spec(datatype), sent), array)


@given(st.data(), st.sampled_from([(64, "FP64"), (32, "FP32"), (16, "FP16")]))
def test_floats_of_every_width_survive_the_way_through_json(data: st.DataObject, kind: tuple[int, str]) -> None:
    width, datatype = kind
    values = data.draw(st.lists(st.floats(width=width, allow_infinity=False), min_size=1))  # type: ignore[arg-type]
    array = np.array(values, dtype=NUMPY_DTYPES[datatype])
    sent = orjson.loads(orjson.dumps(json_ready(array), option=orjson.OPT_SERIALIZE_NUMPY))
    np.testing.assert_array_equal(array_of(spec(datatype), sent), array)


def test_a_float_that_may_stand_for_another_integer_is_refused() -> None:
    largest = 2.0**53 - 1
    assert array_of(spec("INT64"), [largest, -largest]).tolist() == [2**53 - 1, 1 - 2**53]
    for value in (9007199254740993.0, -9007199254740993.0):
        with pytest.raises(InvalidInput, match="expected an integer"):
            array_of(spec("INT64"), [value])
