"""Records become typed inputs, and what does not fit is named by row and column."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import NUMPY_DTYPES, Datatype, Signature, TensorSpec
from tidegate.runtime.rows import inputs_from_rows, made_up_row, rows_from_inputs
from tidegate.runtime.signatures import signature_from_dict

TABLE = (TensorSpec("price", "FP64"), TensorSpec("count", "INT64"), TensorSpec("town", "BYTES"))


def test_a_missing_value_is_nan_in_numbers_and_none_in_text() -> None:
    inputs = inputs_from_rows(TABLE, [{"count": 1}, {"price": None, "count": 2, "town": None}])
    assert all(math.isnan(value) for value in inputs["price"])
    assert inputs["town"].tolist() == [None, None]


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ({"count": None}, "count"),
        ({"count": 1.5}, "count"),
        ({"count": "1"}, "count"),
        ({"count": 1, "price": "cheap"}, "price"),
        ({"count": 1, "price": [1.0]}, "price"),
    ],
)
def test_a_value_that_does_not_fit_is_named(row: dict[str, Any], column: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        inputs_from_rows(TABLE, [{"count": 1}, row])
    assert caught.value.subject == column
    assert "Row 2" in caught.value.message


@pytest.mark.parametrize("value", [[1.0, 2.0], [[1.0, 2.0, 3.0]], None, "text", [1.0, "x", 2.0]])
def test_a_tensor_of_another_shape_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput):
        inputs_from_rows((TensorSpec("input", "FP32", (-1, 3)),), [{"input": value}])


@pytest.mark.parametrize("datatype", list(NUMPY_DTYPES))
@pytest.mark.parametrize("shape", [(-1,), (-1, 3), (-1, -1), (-1, 2, 2)])
def test_a_made_up_row_fits_every_kind_of_input(datatype: Datatype, shape: tuple[int, ...]) -> None:
    spec = TensorSpec("value", datatype, shape)
    inputs = inputs_from_rows((spec,), [made_up_row((spec,))])
    assert inputs["value"].dtype == NUMPY_DTYPES[datatype]
    assert inputs["value"].shape == (1, *(size if size > 0 else 1 for size in shape[1:]))


def test_a_made_up_row_takes_what_the_model_knows() -> None:
    specs = (TensorSpec("town", "BYTES", categories=("Ulm", "Jena")), TensorSpec("price", "FP64"))
    assert made_up_row(specs, {"price": 7.0}) == {"town": "Ulm", "price": 7.0}


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "price": st.none() | st.floats(allow_nan=False),
                "count": st.integers(-(2**63), 2**63 - 1),
                "town": st.none() | st.text(),
            }
        ),
        min_size=1,
        max_size=5,
    )
)
def test_rows_survive_the_way_to_inputs_and_back(rows: list[dict[str, Any]]) -> None:
    inputs = inputs_from_rows(TABLE, rows)
    assert rows_from_inputs(Signature("columns", TABLE, ()), inputs) == rows


def test_numbers_in_a_text_column_become_the_text_that_a_table_shows() -> None:
    inputs = inputs_from_rows((TensorSpec("zip", "BYTES"),), [{"zip": 89073}, {"zip": 7.0}, {"zip": True}])
    assert inputs["zip"].tolist() == ["89073", "7", "True"]
    assert inputs["zip"].dtype == np.dtype(object)


@pytest.mark.parametrize(
    "document", [{}, {"kind": "rows", "inputs": [], "outputs": []}, {"kind": "columns", "inputs": [{}], "outputs": []}]
)
def test_a_damaged_signature_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="signature"):
        signature_from_dict(document)
