"""Tensors as bytes over REST: the binary tensor data extension, mixed with JSON, and everything that may be wrong."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.server import bundles
from tests.server.conftest import IDENTITY, LIMITS, InProcess
from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import NUMPY_DTYPES, Array, Signature, TensorSpec
from tidegate.server.protocols.base import Message
from tidegate.server.protocols.oip import OipCodec

INFER = "/v2/models/flights/infer"
MAX = 2**63 - 1


def framed(texts: list[Any]) -> bytes:
    return b"".join(
        len(raw).to_bytes(4, "little") + raw for raw in (t if isinstance(t, bytes) else t.encode() for t in texts)
    )


def as_bytes(array: Array) -> bytes:
    return framed(array.ravel().tolist()) if array.dtype.kind == "O" else array.tobytes()


def body_of(
    tensors: Mapping[str, tuple[str, Any]], *, shapes: dict[str, Any] | None = None, **document: Any
) -> tuple[bytes, int]:
    """Return a request with every tensor in bytes, and the length of its JSON."""
    inputs, parts = [], []
    for name, (datatype, values) in tensors.items():
        part = values if isinstance(values, bytes) else as_bytes(values)
        shape = list(values.shape) if not isinstance(values, bytes) else None
        shape = (shapes or {}).get(name, shape)
        tensor = {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(part)}}
        inputs.append(tensor)
        parts.append(part)
    head = orjson.dumps({"inputs": inputs, **document})
    return head + b"".join(parts), len(head)


def post(client: InProcess, body: bytes, json_length: int | str) -> httpx.Response:
    headers = {"inference-header-content-length": str(json_length), "content-type": "application/octet-stream"}
    return client.post(INFER, content=body, headers=headers)


def outputs_of(answer: httpx.Response) -> dict[str, Any]:
    """Return each output's values, from bytes or JSON, after checking that all bytes are accounted for."""
    length = int(answer.headers.get("inference-header-content-length", len(answer.content)))
    tail, found = answer.content[length:], {}
    for tensor in orjson.loads(answer.content[:length])["outputs"]:
        if "data" in tensor:
            found[tensor["name"]] = tensor["data"]
            continue
        size = tensor["parameters"]["binary_data_size"]
        part, tail = tail[:size], tail[size:]
        found[tensor["name"]] = (
            texts_of(part) if tensor["datatype"] == "BYTES" else
            np.frombuffer(part, NUMPY_DTYPES[tensor["datatype"]]).reshape(tensor["shape"])
        )  # fmt: skip
    assert tail == b""
    return found


def texts_of(data: bytes) -> list[str]:
    texts = []
    while data:
        size = 4 + int.from_bytes(data[:4], "little")
        texts.append(data[4:size].decode())
        data = data[size:]
    return texts


def echo_request(rows: int = 3) -> dict[str, tuple[str, Array]]:
    return {f"in_{name}": (name, bundles.echo_values(name, rows)) for name in NUMPY_DTYPES}


def test_every_datatype_goes_in_and_comes_out_as_bytes(echo: InProcess) -> None:
    request = echo_request()
    answer = post(echo, *body_of(request, id="b-1", parameters={"binary_data_output": True}))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/octet-stream"
    found = outputs_of(answer)
    for name, (datatype, values) in request.items():
        given_back = found[name.replace("in_", "out_")]
        if datatype == "BYTES":
            assert given_back == values.ravel().tolist()
        else:
            assert given_back.dtype == values.dtype
            np.testing.assert_array_equal(given_back, values)


def test_an_answer_without_bytes_is_plain_json(echo: InProcess) -> None:
    answer = post(echo, *body_of(echo_request(), outputs=[{"name": "out_INT8"}]))
    assert answer.headers["content-type"] == "application/json"
    assert "inference-header-content-length" not in answer.headers
    assert answer.json()["outputs"][0]["data"] == bundles.echo_values("INT8", 3).ravel().tolist()


def test_each_output_may_say_for_itself_whether_it_comes_as_bytes(echo: InProcess) -> None:
    wanted = [
        {"name": "out_FP32", "parameters": {"binary_data": False}},
        {"name": "out_INT16"},
        {"name": "out_BYTES", "parameters": {"binary_data": True}},
    ]
    body = body_of(echo_request(), outputs=wanted, parameters={"binary_data_output": True})
    answer = post(echo, *body)
    found = outputs_of(answer)
    assert isinstance(found["out_FP32"], list)
    assert isinstance(found["out_INT16"], np.ndarray)
    assert found["out_BYTES"] == bundles.echo_values("BYTES", 3).ravel().tolist()
    assert [*found] == ["out_FP32", "out_INT16", "out_BYTES"]


def test_json_and_bytes_may_be_mixed_and_tensors_that_the_model_does_not_take_lie_between(flights: InProcess) -> None:
    inputs = [
        {"name": "carrier", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": 12}},
        {"name": "hour", "datatype": "FP64", "shape": [2], "data": [18, 6]},
        {"name": "unknown", "datatype": "FP64", "shape": [1], "parameters": {"binary_data_size": 3}},
        {"name": "distance", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": 8}},
        {"name": "month", "datatype": "INT8", "shape": [2, 1], "parameters": {"binary_data_size": 2}},
    ]
    head = orjson.dumps({"inputs": inputs})
    tail = framed(["UA", "AA"]) + b"xyz" + np.array([400.0, np.nan], "<f4").tobytes() + b"\x07\x01"
    answer = post(flights, head + tail, len(head))
    plain = {
        "inputs": [
            {"name": "carrier", "datatype": "BYTES", "shape": [2], "data": ["UA", "AA"]},
            {"name": "hour", "datatype": "FP64", "shape": [2], "data": [18, 6]},
            {"name": "distance", "datatype": "FP64", "shape": [2], "data": [400.0, None]},
            {"name": "month", "datatype": "INT64", "shape": [2], "data": [7, 1]},
        ]
    }
    assert answer.status_code == 200, answer.text
    assert answer.json() == flights.post(INFER, json=plain).json()


def test_a_body_without_json_is_the_rows_of_the_only_input(tensors: InProcess) -> None:
    rows = np.array([[18, 7, 400], [6, 1, 2000]], "<f8")
    answer = post(tensors, rows.tobytes(), 0)
    assert answer.status_code == 200, answer.text
    tensor = {"name": "input", "shape": [2, 3], "datatype": "FP64", "data": rows.ravel().tolist()}
    plain = tensors.post(INFER, json={"inputs": [tensor]}).json()
    assert outputs_of(answer)["probabilities"].ravel().tolist() == plain["outputs"][1]["data"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"in_FP32": ("FP32", b"\0" * 23)}, "holds 23 bytes where shape [3, 2] of FP32 asks for 24"),
        ({"in_FP32": ("FP32", b"")}, "holds 0 bytes"),
        ({"in_FP32": ("FP64", b"\0" * 24)}, "asks for 48"),
        ({"in_FP32": ("FP64", np.full((3, 2), 1e300))}, "row 0: expected a number that fits FP32, got 1e+300"),
        ({"in_FP16": ("FP32", np.array([[1, 1], [1, 7e4], [1, 1]], "<f4"))}, "row 1: expected a number that fits FP16"),
        ({"in_FP64": ("FP64", np.array([[0, 0], [0, 0], [-np.inf, 0]]))}, "row 2: expected a finite number"),
        (
            {"in_INT8": ("INT16", np.array([[0, 0], [0, 128], [0, 0]], "<i2"))},
            "row 1: expected a number that fits INT8",
        ),
        ({"in_UINT64": ("INT8", np.array([[0, 0], [0, 0], [-1, 0]], "i1"))}, "row 2: expected a number that fits UINT"),
        ({"in_INT64": ("UINT64", np.full((3, 2), 2**63, "<u8"))}, "fits INT64"),
        ({"in_INT64": ("FP64", np.zeros((3, 2)))}, "in_INT64.datatype: expected INT64"),
        ({"in_BOOL": ("BOOL", b"\0\0\1\2\0\1")}, "'in_BOOL', row 1: expected a byte 0 or 1, got 2"),
        ({"in_BYTES": ("BYTES", framed(["a", "b", "c", b"\xff\xfe", "e", "f"]))}, "row 1: expected text in UTF-8, got"),
        ({"in_BYTES": ("BYTES", framed(["a"] * 5))}, "reaches beyond its end"),
        ({"in_BYTES": ("BYTES", framed(["a"] * 7))}, "6 values end after 30"),
        ({"in_BYTES": ("BYTES", framed(["a"] * 6)[:-1])}, "row 2 reaches beyond"),
        ({"in_BYTES": ("BYTES", b"\xff\xff\xff\xff" + b"\0" * 30)}, "row 0 reaches beyond"),
        ({"in_BYTES": ("BYTES", b"")}, "24 bytes for their lengths alone"),
    ],
)
def test_bytes_that_are_no_such_tensor_are_refused_by_field_and_row(
    echo: InProcess, changes: dict[str, Any], says: str
) -> None:
    request: dict[str, Any] = {**echo_request(), **changes}
    answer = post(echo, *body_of(request, shapes={name: [3, 2] for name in changes}))
    assert answer.status_code == 400
    assert says in answer.json()["error"]


@pytest.mark.parametrize("shape", [[MAX, MAX], [MAX, 2], [2**32] * 2, [1000, 2], [3, 2, 1], [6], [0, 2], [-3, -2], []])
@pytest.mark.parametrize("datatype", ["FP32", "BYTES"])
def test_a_shape_that_the_bytes_do_not_fill_is_refused(echo: InProcess, shape: list[int], datatype: str) -> None:
    answer = post(echo, *body_of(echo_request(), shapes={f"in_{datatype}": shape}))
    assert answer.status_code in (400, 413)
    assert "error" in answer.json()


def change_sizes(*sizes: Any) -> tuple[bytes, int]:
    inputs = [
        {"name": f"x{index}", "datatype": "FP64", "shape": [1], "parameters": {"binary_data_size": size}}
        for index, size in enumerate(sizes)
    ]
    head = orjson.dumps({"inputs": inputs})
    return head + b"\0" * 16, len(head)


@pytest.mark.parametrize(
    ("body", "length", "says"),
    [
        (*change_sizes(8, 9), "the body holds 8 bytes more"),
        (*change_sizes(8, 7), "holds 16 bytes behind the JSON, its tensors say 15"),
        (*change_sizes(MAX, MAX), "the body holds 16 bytes more"),
        (*change_sizes(-8, 24), "expected a number of bytes"),
        (*change_sizes(8.0, 8), "expected a number of bytes"),
        (*change_sizes(True, 8), "expected a number of bytes"),
        (b'{"inputs": []}', 15, "the body holds 14 bytes"),
        (b'{"inputs": []}', 13, "not JSON"),
        (b'{"inputs": []}', 10**18, "the body holds 14 bytes"),
        (b'{"inputs": []}x', 14, "holds 1 bytes behind"),
        (b"\0" * 16, 0, "one input of numbers"),
        (b"", 0, "one input of numbers"),
    ],
)
def test_lengths_that_contradict_each_other_are_refused(
    flights: InProcess, body: bytes, length: int, says: str
) -> None:
    answer = post(flights, body, length)
    assert answer.status_code == 400
    assert says in answer.json()["error"]


@pytest.mark.parametrize("length", ["-1", "x", "1" * 5000, "", "1.5"])
def test_a_length_that_is_no_number_is_refused(flights: InProcess, length: str) -> None:
    assert post(flights, *change_sizes(8, 8)[:1], length).status_code == 400


@pytest.mark.parametrize("size", [0, 23, 25])
def test_a_body_without_json_holds_whole_rows(tensors: InProcess, size: int) -> None:
    assert post(tensors, b"\0" * size, 0).status_code == 400


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"parameters": {"binary_data_output": 1}}, "parameters.binary_data_output: expected true or false"),
        (
            {"outputs": [{"name": "out_BOOL", "parameters": {"binary_data": "yes"}}]},
            "outputs[0].parameters.binary_data",
        ),
        ({"outputs": [{"name": "out_FP32", "parameters": {"classification": 2}}]}, "classification is not offered"),
        ({"outputs": [{"name": "out_FP32", "parameters": {"shared_memory_region": "r"}}]}, "shared memory is not"),
    ],
)
def test_parameters_that_change_the_answer_are_never_overlooked(
    echo: InProcess, document: dict[str, Any], says: str
) -> None:
    answer = post(echo, *body_of(echo_request(), **document))
    assert answer.status_code == 400
    assert says in answer.json()["error"]


def test_data_in_both_forms_is_refused(tensors: InProcess) -> None:
    parameters = {"binary_data_size": 24}
    tensor = {"name": "input", "shape": [1, 3], "datatype": "FP64", "data": [1, 2, 3], "parameters": parameters}
    head = orjson.dumps({"inputs": [tensor]})
    answer = post(tensors, head + b"\0" * 24, len(head))
    assert "both data and binary_data_size" in answer.json()["error"]


# -- one tensor for a whole table ------------------------------------------------------------------------------------


def columns_request(values: Array) -> dict[str, Any]:
    names = bundles.SLOW_COLUMNS
    inputs = [
        {"name": name, "shape": [len(values)], "datatype": "FP64", "data": values[:, index].tolist()}
        for index, name in enumerate(names)
    ]
    return {"inputs": inputs}


@pytest.mark.parametrize("as_json", [True, False])
def test_one_tensor_stands_for_all_columns_of_one_datatype(matrix: InProcess, *, as_json: bool) -> None:
    values = np.random.default_rng(1).uniform(size=(5, 8))
    if as_json:
        content_type = {"content_type": "pd"}
        tensor = {"name": "predict", "shape": [5, 8], "datatype": "FP64", "data": values.tolist()}
        answer = matrix.post(
            INFER, json={"inputs": [{**tensor, "parameters": content_type}], "parameters": content_type}
        )
    else:
        answer = post(matrix, *body_of({"predict": ("FP64", values)}))
    assert answer.status_code == 200, answer.text
    assert answer.json() == matrix.post(INFER, json=columns_request(values)).json()


@pytest.mark.parametrize(
    "tensor",
    [
        {"name": "predict", "shape": [1, 7], "datatype": "FP64", "data": [0.0] * 7},
        {"name": "predict", "shape": [8], "datatype": "FP64", "data": [0.0] * 8},
        {"name": "predict", "shape": "8", "datatype": "FP64", "data": [0.0] * 8},
        {"name": "predict", "shape": [0, 8], "datatype": "FP64", "data": []},
        {"name": "predict", "shape": [1, 8], "datatype": "BYTES", "data": ["a"] * 8},
        {"name": "x0", "shape": [1, 8], "datatype": "FP64", "data": [0.0] * 8},
    ],
)
def test_a_tensor_that_does_not_stand_for_all_columns_is_refused(matrix: InProcess, tensor: dict[str, Any]) -> None:
    answer = matrix.post(INFER, json={"inputs": [tensor]})
    assert answer.status_code == 400
    two = matrix.post(INFER, json={"inputs": [{**tensor, "shape": [1, 8]}, {**tensor, "name": "other"}]})
    assert two.status_code == 400


def test_columns_of_several_datatypes_are_not_taken_as_one_tensor(flights: InProcess) -> None:
    tensor = {"name": "predict", "shape": [1, 4], "datatype": "FP64", "data": [0.0] * 4}
    answer = flights.post(INFER, json={"inputs": [tensor]})
    assert "lacks the input 'distance', 'hour'" in answer.json()["error"]


# -- for all values --------------------------------------------------------------------------------------------------

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def arrays(datatype: str) -> st.SearchStrategy[Array]:
    shape = st.tuples(st.integers(1, 5), st.integers(1, 3))
    if datatype == "BYTES":
        text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
        return hnp.arrays(np.dtype(object), shape, elements=text)
    if datatype.startswith("FP"):
        width = {"FP16": 16, "FP32": 32, "FP64": 64}[datatype]
        return hnp.arrays(NUMPY_DTYPES[datatype], shape, elements=st.floats(width=width, allow_infinity=False))  # type: ignore[arg-type]
    return hnp.arrays(NUMPY_DTYPES[datatype], shape)


@pytest.mark.parametrize("datatype", NUMPY_DTYPES)
@pytest.mark.parametrize("binary", [True, False])
@quick
@given(data=st.data())
def test_values_survive_the_way_in_and_out_bit_by_bit(datatype: Any, data: st.DataObject, *, binary: bool) -> None:
    values = data.draw(arrays(datatype))
    spec = TensorSpec("x", datatype, (-1, -1))
    codec = OipCodec(Signature("tensors", (spec,), (spec,)), IDENTITY, LIMITS)
    if binary:
        body, length = body_of({"x": (datatype, values)}, parameters={"binary_data_output": True})
        message = Message(body, json_length=length)
    else:
        listed = [None if value != value else value for value in values.ravel().tolist()]  # noqa: PLR0124 (NaN)
        document = {"name": "x", "datatype": datatype, "shape": list(values.shape), "data": listed}
        message = Message(orjson.dumps({"inputs": [document]}))
    call = codec.decode(message)
    np.testing.assert_array_equal(call.inputs["x"], values)
    assert call.inputs["x"].dtype == values.dtype
    assert call.inputs["x"].flags.aligned
    encoded = codec.encode(call, {"x": call.inputs["x"]})
    answer = httpx.Response(200, content=encoded.body, headers=encoded.headers)
    found = outputs_of(answer)["x"]
    if binary:
        assert found == values.ravel().tolist() if datatype == "BYTES" else found.tobytes() == values.tobytes()
    else:
        back = [float("nan") if value is None else value for value in found]
        np.testing.assert_array_equal(np.array(back, values.dtype).reshape(values.shape), values)


junk = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(string.ascii_letters), inner, max_size=3),
    max_leaves=8,
)
#: Requests that are right in most places, so that what comes later is reached, too.
loose = st.fixed_dictionaries(
    {
        "name": st.sampled_from([*(f"in_{name}" for name in NUMPY_DTYPES), "x"]) | junk,
        "datatype": st.sampled_from([*NUMPY_DTYPES]) | junk,
        "shape": st.just([1, 2]) | st.lists(st.integers(-1, 3) | st.integers(2**31, MAX), max_size=3) | junk,
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(-1, 20) | st.integers(0, MAX)}) | junk,
    },
    optional={"data": junk},
)


@quick
@given(
    document=st.fixed_dictionaries({"inputs": st.lists(loose, max_size=14), "outputs": junk, "parameters": junk}),
    tail=st.binary(max_size=200),
    shift=st.integers(-3, 3) | st.integers(0, MAX),
)
def test_whatever_comes_with_bytes_is_answered_with_4xx_or_200(
    echo: InProcess, document: Any, tail: bytes, shift: int
) -> None:
    head = orjson.dumps(document)
    answer = post(echo, head + tail, max(0, len(head) + shift))
    assert answer.status_code in (200, 400, 413), answer.text
    assert isinstance(answer.json()["error"], str)


@quick
@given(cut=st.none() | st.integers(0, 4000), flip=st.integers(0, 4000), value=st.integers(0, 255))
def test_a_right_request_cut_short_or_with_one_byte_changed_is_answered(
    echo: InProcess, cut: int | None, flip: int, value: int
) -> None:
    body, length = body_of(echo_request(), parameters={"binary_data_output": True})
    changed = bytearray(body)
    changed[flip % len(body)] = value
    if cut is not None:
        changed = changed[: cut % len(body)]
    answer = post(echo, bytes(changed), length)
    assert answer.status_code in (200, 400), answer.text


def test_a_value_that_is_no_text_is_the_models_fault_and_no_crash() -> None:
    spec = TensorSpec("x", "BYTES")
    codec = OipCodec(Signature("columns", (spec,), (spec,)), IDENTITY, LIMITS)
    body, length = body_of({"x": ("BYTES", np.array(["a"], object))}, parameters={"binary_data_output": True})
    call = codec.decode(Message(body, json_length=length))
    with pytest.raises(TypeError, match="holds int where text belongs"):
        codec.encode(call, {"x": np.array([1], object)})
    assert codec.encode(call, {"x": np.array([None], object)}).body.endswith(b"\0\0\0\0")
    with pytest.raises(InvalidInput):
        codec.decode(Message(body[:-1], json_length=length))
