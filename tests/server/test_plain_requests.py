"""What is plainly right is read in a quick way, and gives the same arrays and errors as the thorough one."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import NUMPY_DTYPES, Signature, TensorSpec
from tidegate.server.protocols.base import Identity, Limits, Message
from tidegate.server.protocols.flat_arrays import are_of, flat_array
from tidegate.server.protocols.oip import OipCodec
from tidegate.server.protocols.rows import RowReader, column_of
from tidegate.server.protocols.values import ACCEPTED_KINDS, family

DATATYPES = sorted(NUMPY_DTYPES)
LIMITS = Limits(rows=100)
OUTPUT = TensorSpec("y", "FP64", (-1,))

NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-200, 200)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "BOOL": st.booleans(),
    "BYTES": st.none() | st.text(max_size=3),
    "FLOAT": st.none() | st.floats(-60000, 60000) | st.integers(-60000, 60000),
    "INT": st.integers(0, 127),
}
ANYTHING: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.text(max_size=2) | NUMBERS | st.just([1.0]) | st.just({})
)


def values(datatype: str, count: int, *, wrong: bool) -> st.SearchStrategy[list[Any]]:
    good = st.lists(VALUES[family(datatype)], min_size=count, max_size=count)
    if not wrong:
        return good
    return st.tuples(good, st.integers(0, count - 1), ANYTHING).map(lambda drawn: replaced(*drawn))


def replaced(given_values: list[Any], position: int, value: Any) -> list[Any]:
    return [*given_values[:position], value, *given_values[position + 1 :]]


@st.composite
def tables(draw: st.DrawFn) -> tuple[Signature, dict[str, list[Any]], int]:
    """Columns of a model and their values, of which some may be wrong; on either side of where the way changes."""
    datatypes = draw(st.lists(st.sampled_from(DATATYPES), min_size=1, max_size=5))
    rows = draw(st.sampled_from([1, 1, 2, 3, 70]))
    specs = tuple(TensorSpec(f"c{position}", datatype, (-1,)) for position, datatype in enumerate(datatypes))  # type: ignore[arg-type]
    wrong = draw(st.integers(-1, len(specs) - 1))
    columns = {
        spec.name: draw(values(spec.datatype, rows, wrong=position == wrong)) for position, spec in enumerate(specs)
    }
    return Signature("columns", specs, (OUTPUT,)), columns, rows


def outcome(read: Any) -> Any:
    """Return names, dtypes, shapes and values, or the error with all that it says."""
    try:
        inputs, rows = read()
    except InvalidInput as error:
        return type(error), error.message, error.subject, error.expected, error.got, error.hint
    return rows, [(name, array.dtype, array.shape, repr(array.tolist())) for name, array in inputs.items()]


def one_by_one(signature: Signature, columns: dict[str, list[Any]], rows: int) -> Any:
    return {spec.name: column_of(spec, columns[spec.name]) for spec in signature.inputs}, rows


@given(tables())
def test_records_give_what_their_columns_give_one_by_one(table: tuple[Signature, dict[str, list[Any]], int]) -> None:
    signature, columns, rows = table
    reader = RowReader(signature, LIMITS, "records")
    records = [{name: column[row] for name, column in columns.items()} for row in range(rows)]
    assert outcome(lambda: reader.from_records(records)) == outcome(lambda: one_by_one(signature, columns, rows))


@given(tables())
def test_columns_together_give_what_they_give_one_by_one(table: tuple[Signature, dict[str, list[Any]], int]) -> None:
    signature, columns, rows = table
    reader = RowReader(signature, LIMITS, "columns")
    assert outcome(lambda: reader.from_columns(columns)) == outcome(lambda: one_by_one(signature, columns, rows))


@pytest.mark.parametrize("datatype", DATATYPES)
@given(data=st.data())
def test_a_flat_array_is_what_numpy_makes_of_the_values(datatype: str, data: st.DataObject) -> None:
    kinds, dtype = ACCEPTED_KINDS[family(datatype)], NUMPY_DTYPES[datatype]
    count = data.draw(st.sampled_from([1, 2, 70]))
    drawn = data.draw(values(datatype, count, wrong=True))
    if not are_of(kinds, drawn):
        assert any(type(value) not in kinds for value in drawn)
        return
    assert all(type(value) in kinds for value in drawn)
    try:
        with np.errstate(over="ignore"):
            expected: Any = np.array(drawn, dtype=dtype)
        expected = None if dtype.kind == "f" and np.isinf(expected).any() else expected
    except OverflowError:
        expected = None
    array = flat_array(dtype, drawn)
    assert (array is None) == (expected is None)
    if array is not None:
        assert (array.dtype, array.shape, repr(array.tolist())) == (dtype, (count,), repr(expected.tolist()))
        assert array.flags.writeable


PARAMETERS = st.sampled_from(
    [{}, {}, {"content_type": "str"}, {"binary_data_size": 3}, {"classification": 1}, {"binary_data_output": True}]
)


@st.composite
def tensor_requests(draw: st.DrawFn) -> tuple[Signature, list[dict[str, Any]]]:
    """Tensors for a model of columns, or of one tensor, that are right or wrong in one or another place."""
    if draw(st.booleans()):
        signature, columns, rows = draw(tables())
    else:
        datatype: Any = draw(st.sampled_from(DATATYPES))
        width, rows = draw(st.sampled_from([(2, 1), (2, 3), (35, 2)]))
        signature = Signature("tensors", (TensorSpec("c0", datatype, (-1, width)),), (OUTPUT,))
        columns = {"c0": draw(values(datatype, width * rows, wrong=draw(st.booleans())))}
    tensors = []
    for spec in signature.inputs:
        right = [rows, *spec.shape[1:]]
        shapes = [right, right, [*right, 1], [float(rows), *spec.shape[1:]], [rows + 1], [True], [], None, "ab"]
        tensor: dict[str, Any] = {
            "name": draw(st.sampled_from([spec.name] * 20 + ["c1", "x", None])),
            "shape": draw(st.sampled_from(shapes)) if draw(st.integers(0, 9)) == 0 else right,
            "datatype": draw(st.sampled_from([*DATATYPES, None])) if draw(st.booleans()) else spec.datatype,
            "data": columns[spec.name],
        }
        if draw(st.booleans()):
            tensor["parameters"] = draw(PARAMETERS) if draw(st.booleans()) else draw(st.sampled_from([None, {}, 1]))
        if draw(st.integers(0, 19)) == 0:
            del tensor[draw(st.sampled_from(["shape", "datatype", "data"]))]
        tensors.append(tensor)
    return signature, tensors


def decoded(codec: OipCodec, tensors: list[dict[str, Any]]) -> Any:
    call = codec.decode(Message(json.dumps({"inputs": tensors}).encode()))
    return call.inputs, call.rows


@settings(max_examples=500)
@given(tensor_requests())
def test_tensors_give_the_same_beside_one_that_the_model_ignores(
    request_: tuple[Signature, list[dict[str, Any]]],
) -> None:
    """A tensor that the model does not take means nothing, and has a request read tensor by tensor."""
    signature, tensors = request_
    codec = OipCodec(signature, Identity("m", "1", "d", 1), LIMITS)
    ignored = {"name": "ignored", "shape": [1], "datatype": "FP64", "data": [1]}
    thorough = outcome(lambda: decoded(codec, [*tensors, ignored]))
    if isinstance(thorough[0], type) and "lacks the input" in thorough[1]:
        # That the only tensor stands for all columns is said when there is no other; a hint may name the other.
        assert outcome(lambda: decoded(codec, tensors))[0] in (thorough[0], 1, 2, 3, 70)
        return
    assert outcome(lambda: decoded(codec, tensors)) == thorough


def test_more_rows_than_allowed_are_refused_before_they_are_read() -> None:
    for shape in ((-1,), (-1, 1)):
        signature = Signature("columns", (TensorSpec("a", "FP64", shape),), (OUTPUT,))
        codec = OipCodec(signature, Identity("m", "1", "d", 1), Limits(rows=2))
        tensor = {"name": "a", "shape": [3, *shape[1:]], "datatype": "FP64", "data": [1.0, 2.0, "x"]}
        with pytest.raises(InvalidInput, match="3 rows, more than 2"):
            decoded(codec, [tensor])
