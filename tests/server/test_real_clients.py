"""Triton's own client libraries against the server, over HTTP and gRPC, as their users write it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from tests.server import bundles
from tests.server.conftest import InProcess, Serve
from tests.server.grpc_service import grpc_port_beside
from tidegate.artifact.bundle import Bundle
from tidegate.runtime.base import NUMPY_DTYPES

LIBRARIES = {"http": tritonclient.http, "grpc": tritonclient.grpc}


@pytest.fixture(scope="module", params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def connect(library: str, serve: Serve, bundle: Bundle) -> Iterator[Any]:
    replica, server = serve(bundle)
    with grpc_port_beside(replica, server) as grpc_port:
        port = grpc_port if library == "grpc" else server.address[1]
        client = LIBRARIES[library].InferenceServerClient(f"127.0.0.1:{port}")
        yield client
        client.close()


@pytest.fixture(scope="module")
def echo_client(library: str, serve: Serve, echo_bundle: Bundle) -> Iterator[Any]:
    yield from connect(library, serve, echo_bundle)


@pytest.fixture(scope="module")
def flights_client(library: str, serve: Serve, flights_bundle: Bundle) -> Iterator[Any]:
    yield from connect(library, serve, flights_bundle)


def as_dict(answer: Any) -> Any:
    """Return what a client answers as plain objects: the gRPC one gives messages."""
    if not hasattr(answer, "DESCRIPTOR"):
        return answer
    from google.protobuf import json_format

    return json_format.MessageToDict(answer, preserving_proto_field_name=True)


def test_the_server_and_its_model_are_found(flights_client: Any) -> None:
    assert flights_client.is_server_live()
    assert flights_client.is_server_ready()
    assert flights_client.is_model_ready("flights")
    assert flights_client.is_model_ready("flights", "3")
    assert as_dict(flights_client.get_server_metadata())["name"] == "tidegate"
    metadata = as_dict(flights_client.get_model_metadata("flights", "3"))
    assert metadata["name"] == "flights"
    assert [tensor["name"] for tensor in metadata["inputs"]] == ["distance", "hour", "month", "carrier"]
    index = as_dict(flights_client.get_model_repository_index())
    (model,) = index["models"] if isinstance(index, dict) else index
    assert (model["name"], model["version"], model["state"]) == ("flights", "3", "READY")


def values_of(library: str, datatype: str, values: Any) -> Any:
    """Return values as both libraries want them: BYTES as objects of bytes."""
    if datatype != "BYTES":
        return values
    return np.array([text.encode() for text in values.ravel()], object).reshape(values.shape)


@pytest.mark.parametrize("datatype", NUMPY_DTYPES)
def test_every_datatype_survives(library: str, echo_client: Any, datatype: str) -> None:
    module: Any = LIBRARIES[library]
    inputs = []
    for name in NUMPY_DTYPES:
        values = bundles.echo_values(name, 5)
        tensor = module.InferInput(f"in_{name}", list(values.shape), name)
        inputs.append(tensor.set_data_from_numpy(values_of(library, name, values)))
    wanted = [module.InferRequestedOutput(f"out_{datatype}")]
    answer = echo_client.infer("flights", inputs, outputs=wanted, request_id="t-1")
    expected = values_of(library, datatype, bundles.echo_values(datatype, 5))
    found = answer.as_numpy(f"out_{datatype}")
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    response = as_dict(answer.get_response())
    assert response["id"] == "t-1"
    assert [output["name"] for output in response["outputs"]] == [f"out_{datatype}"]


def flights_inputs(module: Any, **options: Any) -> list[Any]:
    columns = {
        "distance": ("FP64", np.array([400.0, 700.0])),
        "hour": ("FP32", np.array([18, 6], np.float32)),
        "month": ("INT64", np.array([7, 1])),
        "carrier": ("BYTES", np.array([b"UA", b"AA"], object)),
    }
    return [
        module.InferInput(name, [2], datatype).set_data_from_numpy(values, **options)
        for name, (datatype, values) in columns.items()
    ]


def expected_answer(flights: InProcess) -> tuple[list[str], list[list[float]]]:
    rows = [
        {"distance": 400.0, "hour": 18, "month": 7, "carrier": "UA"},
        {"distance": 700.0, "hour": 6, "month": 1, "carrier": "AA"},
    ]
    predictions = flights.post("/predict", json=rows).json()["predictions"]
    return [row["prediction"] for row in predictions], [[*row["probabilities"].values()] for row in predictions]


def test_a_table_is_answered_as_predict_answers_it(library: str, flights_client: Any, flights: InProcess) -> None:
    answer = flights_client.infer("flights", flights_inputs(LIBRARIES[library]), model_version="3")
    labels, probabilities = expected_answer(flights)
    assert [label.decode() for label in answer.as_numpy("prediction")] == labels
    assert answer.as_numpy("probabilities").tolist() == probabilities


@pytest.mark.parametrize("inputs_as_bytes", [True, False])
@pytest.mark.parametrize("outputs_as_bytes", [True, False])
def test_json_and_bytes_mix_over_http(
    serve: Serve, flights_bundle: Bundle, flights: InProcess, *, inputs_as_bytes: bool, outputs_as_bytes: bool
) -> None:
    wanted = [
        tritonclient.http.InferRequestedOutput("prediction", binary_data=outputs_as_bytes),
        tritonclient.http.InferRequestedOutput("probabilities", binary_data=not outputs_as_bytes),
    ]
    inputs = flights_inputs(tritonclient.http, binary_data=inputs_as_bytes)
    inputs[0].set_data_from_numpy(np.array([400.0, 700.0]), binary_data=not inputs_as_bytes)
    with tritonclient.http.InferenceServerClient("{}:{}".format(*flights.address)) as client:
        answer = client.infer("flights", inputs, outputs=wanted)
    labels, probabilities = expected_answer(flights)
    found = answer.as_numpy("prediction").tolist()
    assert [label.decode() if isinstance(label, bytes) else label for label in found] == labels
    assert answer.as_numpy("probabilities").tolist() == probabilities


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_requests_may_come_compressed(library: str, flights_client: Any, flights: InProcess, algorithm: str) -> None:
    option = "request_compression_algorithm" if library == "http" else "compression_algorithm"
    answer = flights_client.infer("flights", flights_inputs(LIBRARIES[library]), **{option: algorithm})
    assert answer.as_numpy("probabilities").tolist() == expected_answer(flights)[1]


def test_an_error_arrives_as_a_sentence(library: str, flights_client: Any) -> None:
    with pytest.raises(InferenceServerException, match="lacks the input 'distance'"):
        flights_client.infer("flights", flights_inputs(LIBRARIES[library])[1:])
    with pytest.raises(InferenceServerException, match="this replica serves 'flights'"):
        flights_client.infer("planes", flights_inputs(LIBRARIES[library]))


def test_many_requests_at_once_each_get_their_own_answer(
    library: str, serve: Serve, flights_bundle: Bundle, flights: InProcess
) -> None:
    replica, server = serve(flights_bundle, latency_objective_seconds=30.0, queue_limit=100)
    module: Any = LIBRARIES[library]
    rows = [
        {"distance": 300.0 * n, "hour": 5 + n, "month": n, "carrier": ("AA", "DL", "UA")[n % 3]} for n in range(1, 8)
    ]
    expected = [row["probabilities"] for row in flights.post("/predict", json=rows).json()["predictions"]]
    with grpc_port_beside(replica, server) as grpc_port:
        port = grpc_port if library == "grpc" else server.address[1]
        options = {"concurrency": 8} if library == "http" else {}
        with module.InferenceServerClient(f"127.0.0.1:{port}", **options) as client:
            answers = [ask_later(library, client, rows[index % len(rows)]) for index in range(30)]
            for index, answer in enumerate(answers):
                found = answer().as_numpy("probabilities")[0].tolist()
                assert found == pytest.approx([*expected[index % len(rows)].values()])


def ask_later(library: str, client: Any, row: Any) -> Any:
    """Begin a request for one row; return a function that waits for its answer."""
    module: Any = LIBRARIES[library]
    inputs = []
    for name, value in row.items():
        is_text = isinstance(value, str)
        array = np.array([value.encode()], object) if is_text else np.array([value], np.float64)
        inputs.append(module.InferInput(name, [1], "BYTES" if is_text else "FP64").set_data_from_numpy(array))
    if library == "http":
        return client.async_infer("flights", inputs).get_result
    from queue import SimpleQueue

    answers: SimpleQueue[Any] = SimpleQueue()
    client.async_infer("flights", inputs, callback=lambda result, error: answers.put(error or result))
    return lambda: answers.get(timeout=30)
