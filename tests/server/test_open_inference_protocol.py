"""The Open Inference Protocol v2 over REST."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.server.conftest import InProcess
from tidegate import __version__
from tidegate.artifact.bundle import Bundle, load_model
from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Signature, TensorSpec
from tidegate.runtime.rows import inputs_from_rows
from tidegate.server.protocols.base import Identity, Limits, Message
from tidegate.server.protocols.oip import OipCodec
from tidegate.server.protocols.oip_tensors import Given, InputReader

INFER = "/v2/models/flights/infer"


def request(**changes: Any) -> dict[str, Any]:
    tensors: dict[str, dict[str, Any]] = {
        "distance": {"shape": [2], "datatype": "FP64", "data": [400.0, None]},
        "hour": {"shape": [2], "datatype": "FP64", "data": [18, 6]},
        "month": {"shape": [2], "datatype": "INT32", "data": [7, 1]},
        "carrier": {"shape": [2, 1], "datatype": "BYTES", "data": [["UA"], ["AA"]]},
    }
    for name, change in changes.items():
        tensors[name] |= change
    return {"inputs": [{"name": name, **tensor} for name, tensor in tensors.items()]}


def test_an_answer_has_the_models_values_shapes_and_datatypes(flights: InProcess, flights_bundle: Bundle) -> None:
    answer = flights.post(INFER, json={**request(), "id": "a-1", "parameters": {"x": 1}})
    assert answer.status_code == 200, answer.text
    rows = [
        {"distance": 400.0, "hour": 18, "month": 7, "carrier": "UA"},
        {"distance": None, "hour": 6, "month": 1, "carrier": "AA"},
    ]
    expected = load_model(flights_bundle, threads=1).predict(inputs_from_rows(flights_bundle.signature.inputs, rows))
    assert answer.json() == {
        "model_name": "flights",
        "model_version": "3",
        "id": "a-1",
        "outputs": [
            {"name": "prediction", "shape": [2], "datatype": "BYTES", "data": expected["prediction"].tolist()},
            {
                "name": "probabilities",
                "shape": [2, 2],
                "datatype": "FP64",
                "data": expected["probabilities"].ravel().tolist(),
            },
        ],
    }


def test_the_version_may_be_named(flights: InProcess) -> None:
    assert flights.post("/v2/models/flights/versions/3/infer", json=request()).status_code == 200


def test_an_id_is_not_made_up(flights: InProcess) -> None:
    assert "id" not in flights.post(INFER, json=request()).json()


def test_only_the_requested_outputs_come_in_the_requested_order(flights: InProcess) -> None:
    wanted = [{"name": "probabilities", "parameters": {}}]
    answer = flights.post(INFER, json={**request(), "outputs": wanted}).json()
    assert [output["name"] for output in answer["outputs"]] == ["probabilities"]
    both = [{"name": "probabilities"}, {"name": "prediction"}]
    answer = flights.post(INFER, json={**request(), "outputs": both}).json()
    assert [output["name"] for output in answer["outputs"]] == ["probabilities", "prediction"]


@pytest.mark.parametrize("data", [[18, 7, 400, 6, 1, 2000], [[18, 7, 400], [6, 1, 2000]]])
def test_tensor_data_may_be_flat_or_nested(tensors: InProcess, data: list[Any]) -> None:
    tensor = {"name": "input", "shape": [2, 3], "datatype": "FP32", "data": data}
    answer = tensors.post(INFER, json={"inputs": [tensor]})
    assert answer.status_code == 200
    assert np.shape(answer.json()["outputs"][0]["data"]) == (2,)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (request(distance={"datatype": "BYTES"}), "distance.datatype: expected FP64"),
        (request(distance={"datatype": "FP128"}), "distance.datatype: expected one of"),
        (request(distance={"shape": [3]}), "holds 2 values"),
        (request(distance={"shape": [2, 2]}), "has shape [2, 2]"),
        (request(distance={"shape": "2"}), "distance.shape: expected a list of sizes"),
        (request(distance={"shape": [-2]}), "distance.shape"),
        (request(distance={"shape": [True]}), "distance.shape"),
        (request(distance={"shape": [0], "data": []}), "holds no value"),
        (request(distance={"shape": [1], "data": [1.0]}), "differ in their first dimension"),
        (request(distance={"data": None}), "must be a list"),
        (request(distance={"data": [1.0, "x"]}), "row 1"),
        (request(distance={"parameters": 3}), "parameters"),
        (request(distance={"name": "distanse"}), "did you mean 'distance' where the request says 'distanse'?"),
        ({**request(), "outputs": [{"name": "predictoin"}]}, "did you mean 'prediction'?"),
        ({**request(), "outputs": "prediction"}, "outputs: expected a list"),
        ({**request(), "outputs": [{"name": "prediction"}] * 2}, "twice"),
        ({**request(), "id": 7}, "id: expected a string"),
        ({"inputs": {}}, "inputs: expected a list"),
        ({"inputs": [[]]}, "inputs[0]"),
        ({}, "inputs"),
        ([], "an object"),
    ],
)
def test_a_request_that_does_not_fit_is_answered_400_with_one_error_string(
    flights: InProcess, body: Any, says: str
) -> None:
    answer = flights.post(INFER, json=body)
    assert answer.status_code == 400
    assert answer.json().keys() == {"error"}
    assert says in answer.json()["error"]


def test_rows_beyond_the_limit_are_refused(tensors: InProcess) -> None:
    tensor = {"name": "input", "shape": [1001, 3], "datatype": "FP64", "data": [0] * 3003}
    assert tensors.post(INFER, json={"inputs": [tensor]}).status_code == 413


@pytest.mark.parametrize("path", ["/v2/models/planes", "/v2/models/flights/versions/2"])
def test_another_model_or_version_is_not_here(flights: InProcess, path: str) -> None:
    for answer in (flights.get(path), flights.get(f"{path}/ready"), flights.post(f"{path}/infer", json=request())):
        assert answer.status_code == 404
        assert "this replica serves" in answer.json()["error"]


def test_server_metadata(flights: InProcess) -> None:
    assert flights.get("/v2").json() == {
        "name": "tidegate",
        "version": __version__,
        "extensions": ["binary_tensor_data", "model_repository"],
    }


@pytest.mark.parametrize("path", ["/v2/models/flights", "/v2/models/flights/versions/3"])
def test_model_metadata_names_inputs_outputs_categories_and_labels(flights: InProcess, path: str) -> None:
    document = flights.get(path).json()
    assert document["name"] == "flights"
    assert document["versions"] == ["3"]
    assert document["platform"] == "sklearn_skops"
    assert document["inputs"][0] == {"name": "distance", "datatype": "FP64", "shape": [-1]}
    assert document["inputs"][3]["parameters"] == {"categories": ["AA", "DL", "UA"]}
    assert document["outputs"][1]["parameters"] == {"labels": ["late", "on time"]}


def test_health_is_yes_for_a_warm_model(flights: InProcess) -> None:
    assert flights.get("/v2/health/live").json() == {"live": True}
    assert flights.get("/v2/health/ready").json()["ready"] is True
    for path in ("/v2/models/flights/ready", "/v2/models/flights/versions/3/ready"):
        assert flights.get(path).json()["ready"] is True
        assert flights.get(path).status_code == 200


def test_names_too_long_to_be_any_are_not_compared(flights: InProcess) -> None:
    longest = "probabilities" * 10_000
    answer = flights.post(INFER, json={**request(), "outputs": [{"name": longest}]})
    assert answer.status_code == 400
    assert len(answer.content) < 500
    near = flights.post(INFER, json={**request(), "outputs": [{"name": "probabilitis"}]})
    assert "did you mean 'probabilities'?" in near.json()["error"]


def test_absent_inputs_are_looked_up_and_not_searched_for() -> None:
    class Counted(str):
        compared = 0
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            Counted.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    specs = tuple(TensorSpec(f"c{number}", "FP64") for number in range(100))
    reader = InputReader(Signature("columns", specs, (TensorSpec("y", "FP64"),)), Limits())
    names = [Counted(f"z{number:x}" + "-" * 200) for number in range(1000)]
    given: dict[str, Given] = {name: Given(name, "FP64", [1], [1.0], lambda *_: np.zeros(1)) for name in names}
    with pytest.raises(InvalidInput, match="lacks the input 'c0'"):
        reader.read(given)
    assert Counted.compared < 5000


@pytest.mark.parametrize(
    ("field", "datatype", "data", "got"),
    [
        ("INT64", "INT8", [300], "300"),
        ("INT64", "UINT8", [-1], "-1"),
        ("FP64", "INT32", [1.5], "1.5"),
        ("FP64", "FP16", [1e5], "100000.0"),
        ("FP32", "UINT8", [-1], "-1"),
        ("UINT64", "INT64", [2**63], str(2**63)),
        ("INT64", "UINT64", [-1], "-1"),
    ],
)
@pytest.mark.parametrize("parameters", [{}, {"parameters": {"x": 1}}], ids=["plain", "with parameters"])
def test_values_beyond_the_declared_datatype_are_refused(
    field: Any, datatype: str, data: list[Any], got: str, parameters: dict[str, Any]
) -> None:
    codec = OipCodec(
        Signature("columns", (TensorSpec("a", field),), (TensorSpec("y", "FP64"),)),
        Identity("m", "1", "m", 1),
        Limits(),
    )

    def decode(values: list[Any]) -> Any:
        tensor = {"name": "a", "shape": [2], "datatype": datatype, "data": values, **parameters}
        return codec.decode(Message(json.dumps({"inputs": [tensor]}).encode()))

    assert decode([1, 2]).inputs["a"].tolist() == [1, 2]
    with pytest.raises(InvalidInput, match=f"'a', row 1: expected a value of {datatype}, as declared, got {got}"):
        decode([1, *data])


@pytest.mark.parametrize("shape", [[2, True], [2, 1.0], [2.0], [True]])
def test_sizes_that_are_no_integers_are_refused(flights: InProcess, shape: list[Any]) -> None:
    answer = flights.post(INFER, json=request(hour={"shape": shape}))
    assert answer.status_code == 400
    assert "hour.shape: expected a list of sizes" in answer.json()["error"]
