"""The Open Inference Protocol v2 over gRPC."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from tests.server import bundles
from tests.server.conftest import InProcess, Serve
from tests.server.grpc_service import CONTENTS, MESSAGES, Client, grpc_beside, request
from tests.server.processes import DEADLINE_SECONDS, replica, spawn, wait_until
from tidegate import __version__
from tidegate.artifact.bundle import Bundle
from tidegate.contract.errors import InvalidInput, NotFound, TidegateError, Unavailable
from tidegate.runtime.base import NUMPY_DTYPES
from tidegate.server.grpc.messages import HEALTH, build
from tidegate.server.grpc.statuses import code_of, code_of_status, shortened
from tidegate.server.protocols.base import DeadlineExceeded, ModelFailed, NotReady, Overloaded, TooLarge

Code = grpc.StatusCode
HEALTH_MESSAGES = build("grpc.health.v1", HEALTH)

ROWS = {
    "distance": ("FP64", np.array([400.0, np.nan])),
    "hour": ("FP64", np.array([18.0, 6.0])),
    "month": ("INT32", np.array([7, 1], np.int32)),
    "carrier": ("BYTES", np.array(["UA", "AA"], object)),
}


@pytest.fixture(scope="module")
def client(serve: Serve, flights_bundle: Bundle) -> Iterator[Client]:
    with grpc_beside(*serve(flights_bundle)) as client:
        yield client


@pytest.fixture(scope="module")
def echo_client(serve: Serve, echo_bundle: Bundle) -> Iterator[Client]:
    with grpc_beside(*serve(echo_bundle)) as client:
        yield client


# -- messages --------------------------------------------------------------------------------------------------------


def described(descriptor: Any) -> dict[str, tuple[Any, ...]]:
    return {
        field.name: (
            field.number,
            field.type,
            field.is_repeated,
            field.message_type.full_name if field.message_type else None,
            field.containing_oneof.name if field.containing_oneof else None,
            bool(field.message_type and field.message_type.GetOptions().map_entry),
        )
        for field in descriptor.fields
    }


@pytest.mark.parametrize("name", MESSAGES)
def test_the_messages_are_those_that_tritons_client_has(name: str) -> None:
    theirs = service_pb2.DESCRIPTOR.pool.FindMessageTypeByName(f"inference.{name}")
    assert described(MESSAGES[name].DESCRIPTOR) == described(theirs)


# -- what a server says about itself ---------------------------------------------------------------------------------


def test_server_and_model_say_that_they_are_there(client: Client) -> None:
    assert client.ask("ServerLive").live
    assert client.ask("ServerReady").ready
    assert client.ask("ModelReady", name="flights").ready
    assert client.ask("ModelReady", name="flights", version="3").ready


def test_metadata_is_that_of_rest(client: Client, flights: InProcess) -> None:
    server = client.ask("ServerMetadata")
    assert (server.name, server.version) == ("tidegate", __version__)
    assert [*server.extensions] == flights.get("/v2").json()["extensions"]
    model, same = client.ask("ModelMetadata", name="flights"), flights.get("/v2/models/flights").json()
    assert (model.name, [*model.versions], model.platform) == (same["name"], same["versions"], same["platform"])
    for key in ("inputs", "outputs"):
        tensors = [{"name": t.name, "datatype": t.datatype, "shape": [*t.shape]} for t in getattr(model, key)]
        assert tensors == [{name: t[name] for name in ("name", "datatype", "shape")} for t in same[key]]


def test_the_index_names_the_model_and_its_state(client: Client) -> None:
    for ready in (False, True):
        (model,) = client.ask("RepositoryIndex", ready=ready).models
        assert (model.name, model.version, model.state, model.reason) == ("flights", "3", "READY", "")


@pytest.mark.parametrize("method", ["ModelReady", "ModelMetadata"])
def test_another_model_or_version_is_not_found(client: Client, method: str) -> None:
    for fields in ({"name": "planes"}, {"name": "flights", "version": "2"}, {}):
        with pytest.raises(grpc.RpcError) as failed:
            client.ask(method, **fields)
        assert failed.value.code() is Code.NOT_FOUND
        assert "this replica serves 'flights'" in failed.value.details()


def test_before_the_model_is_loaded_the_server_lives_and_is_not_ready(serve: Serve, flights_bundle: Bundle) -> None:
    loading, server = serve(flights_bundle, warm=False)
    with grpc_beside(loading, server) as client:
        assert client.ask("ServerLive").live
        assert not client.ask("ServerReady").ready
        assert not client.ask("ModelReady", name="flights").ready
        assert client.ask("RepositoryIndex").models[0].state == "LOADING"
        assert not client.ask("RepositoryIndex", ready=True).models
        assert client.refusal(request(ROWS).SerializeToString())[0] is Code.UNAVAILABLE
        assert health(client, "") == 2


@pytest.mark.parametrize("method", ["RepositoryModelLoad", "RepositoryModelUnload"])
def test_a_replica_without_a_repository_loads_nothing(client: Client, method: str) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        client.ask(method, model_name="flights", parameters={"version": {"string_param": "4"}})
    assert failed.value.code() is Code.PERMISSION_DENIED
    assert "was not started with --repository" in failed.value.details()
    with pytest.raises(grpc.RpcError) as failed:
        client.method(method)(b"\xff", timeout=30)
    assert failed.value.code() is Code.INVALID_ARGUMENT


def test_an_unknown_method_is_unimplemented(client: Client) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        client.method("ModelStatistics")(b"", timeout=30)
    assert failed.value.code() is Code.UNIMPLEMENTED


# -- inference -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [True, False])
def test_the_answer_is_that_of_rest_in_the_form_of_the_request(
    client: Client, flights: InProcess, *, raw: bool
) -> None:
    answer = MESSAGES["ModelInferResponse"].FromString(
        client.method("ModelInfer")(request(ROWS, raw=raw, id="g-1").SerializeToString(), timeout=30)
    )
    columns = {"distance": [400.0, None], "hour": [18, 6], "month": [7, 1], "carrier": ["UA", "AA"]}
    inputs = [
        {"name": name, "shape": [2], "datatype": "BYTES" if name == "carrier" else "FP64", "data": data}
        for name, data in columns.items()
    ]
    same = flights.post("/v2/models/flights/infer", json={"inputs": inputs}).json()["outputs"]
    assert (answer.model_name, answer.model_version, answer.id) == ("flights", "3", "g-1")
    assert [(o.name, o.datatype, [*o.shape]) for o in answer.outputs] == [
        (o["name"], o["datatype"], o["shape"]) for o in same
    ]
    labels = [label.encode() for label in same[0]["data"]]
    if raw:
        assert answer.raw_output_contents[0] == b"".join(len(x).to_bytes(4, "little") + x for x in labels)
        assert np.frombuffer(answer.raw_output_contents[1]).tolist() == same[1]["data"]
        assert not any(output.HasField("contents") for output in answer.outputs)
    else:
        assert [*answer.outputs[0].contents.bytes_contents] == labels
        assert [*answer.outputs[1].contents.fp64_contents] == same[1]["data"]
        assert not answer.raw_output_contents


def echo_tensors() -> dict[str, Any]:
    return {f"in_{name}": (name, bundles.echo_values(name, 3)) for name in NUMPY_DTYPES}


def test_every_datatype_survives_raw(echo_client: Client) -> None:
    asked = request(echo_tensors())
    answer = MESSAGES["ModelInferResponse"].FromString(
        echo_client.method("ModelInfer")(asked.SerializeToString(), timeout=30)
    )
    assert [*answer.raw_output_contents] == [*asked.raw_input_contents]
    assert [[*output.shape] for output in answer.outputs] == [[3, 2]] * len(NUMPY_DTYPES)


def test_every_datatype_but_fp16_survives_typed(echo_client: Client) -> None:
    # FP16 has no typed form of its own and is declared as FP32 here, which the model's datatype may be.
    tensors = echo_tensors() | {"in_FP16": ("FP32", bundles.echo_values("FP16", 3).astype(np.float32))}
    wanted = tuple(f"out_{name}" for name in CONTENTS)
    asked = request(tensors, raw=False, outputs=wanted)
    answer = echo_client.method("ModelInfer")(asked.SerializeToString(), timeout=30)
    given = {tensor.name: tensor.contents for tensor in asked.inputs}
    outputs = MESSAGES["ModelInferResponse"].FromString(answer).outputs
    assert [output.name for output in outputs] == [*wanted]
    for output in outputs:
        assert output.contents == given[output.name.replace("out_", "in_")]
    with_fp16 = MESSAGES["ModelInferResponse"].FromString(
        echo_client.method("ModelInfer")(request(tensors, raw=False).SerializeToString(), timeout=30)
    )
    assert len(with_fp16.raw_output_contents) == len(NUMPY_DTYPES)


def changed(**changes: Any) -> Any:
    return request({**ROWS, **changes})


def with_extra(message: Any, **fields: Any) -> Any:
    message.MergeFrom(MESSAGES["ModelInferRequest"](**fields))
    return message


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (changed(distance=("FP64", np.zeros(3))), "differ in their first dimension"),
        (changed(distance=("BOOL", np.zeros(2, bool))), "distance.datatype: expected FP64, got"),
        (changed(distance=("FP64", np.zeros((2, 2)))), "has shape [2, 2]"),
        (changed(distance=("FP64", np.array([1.0, np.inf]))), "row 1: expected a finite number"),
        (with_extra(request(ROWS), raw_input_contents=[b""]), "4 inputs and 5 raw_input_contents"),
        (with_extra(request(ROWS), outputs=[{"name": "predictoin"}]), "did you mean 'prediction'?"),
        (with_extra(request(ROWS), outputs=[{"name": "prediction"}] * 2), "stands there twice"),
        (with_extra(request(ROWS), inputs=[{"name": "hour"}], raw_input_contents=[b""]), "stands there twice"),
        (
            with_extra(
                request(ROWS),
                inputs=[{"name": "x", "contents": {"bool_contents": [True]}}],
                raw_input_contents=[b""],
            ),
            "contents beside raw_input_contents",
        ),
        (
            with_extra(request(ROWS), outputs=[{"name": "prediction", "parameters": {"classification": {}}}]),
            "classification is not offered",
        ),
        (with_extra(request({}, raw=False), inputs=[{"name": "hour"}]), "lacks the input 'distance'"),
    ],
)
def test_a_request_that_does_not_fit_is_an_invalid_argument(client: Client, message: Any, says: str) -> None:
    code, details = client.refusal(message.SerializeToString())
    assert code is Code.INVALID_ARGUMENT
    assert says in details


@pytest.mark.parametrize(
    ("name", "contents", "says"),
    [
        (
            "in_FP32",
            {"fp32_contents": [1.0] * 5},
            "fp32_contents of 'in_FP32' holds 5 values where shape [3, 2] asks for 6",
        ),
        ("in_FP32", {"fp64_contents": [1.0] * 6}, "holds 0 values"),
        ("in_INT8", {"int_contents": [0, 0, 0, 0, 300, 0]}, "row 2: expected a number that fits INT8, got 300"),
        ("in_BYTES", {"bytes_contents": [b"a", b"b", b"\xff", b"", b"", b""]}, "row 1: expected text in UTF-8"),
        ("in_FP16", {"fp32_contents": [1.0] * 6}, "FP16 has no typed contents"),
    ],
)
def test_typed_values_that_do_not_fit_are_named_by_field_and_row(
    echo_client: Client, name: str, contents: dict[str, Any], says: str
) -> None:
    tensors = echo_tensors() | {"in_FP16": ("FP32", np.ones((3, 2), np.float32))}
    message = request(tensors, raw=False)
    (tensor,) = (tensor for tensor in message.inputs if tensor.name == name)
    tensor.contents.Clear()
    tensor.contents.MergeFrom(MESSAGES["InferTensorContents"](**contents))
    tensor.datatype = name.removeprefix("in_")
    code, details = echo_client.refusal(message.SerializeToString())
    assert code is Code.INVALID_ARGUMENT
    assert says in details


@pytest.mark.parametrize(("datatype", "value"), [("INT8", 300), ("INT16", 40_000), ("INT8", -129)])
def test_a_typed_value_is_one_of_the_datatype_that_is_declared(client: Client, datatype: str, value: int) -> None:
    message = request(ROWS, raw=False)
    hour = message.inputs[1]
    hour.datatype = datatype
    hour.contents.Clear()
    hour.contents.int_contents.extend([9, value])
    code, details = client.refusal(message.SerializeToString())
    assert code is Code.INVALID_ARGUMENT
    assert f"field 'hour', row 1: expected a value of {datatype}, as declared" in details


@pytest.mark.parametrize("fields", [{"model_name": "planes"}, {"model_version": "2"}, {"model_name": ""}])
def test_inference_by_another_model_is_not_found(client: Client, fields: dict[str, str]) -> None:
    assert client.refusal(request(ROWS, **fields).SerializeToString())[0] is Code.NOT_FOUND


def test_a_model_that_raises_is_an_internal_error(serve: Serve, fragile_bundle: Bundle) -> None:
    with grpc_beside(*serve(fragile_bundle)) as client:
        rows = {"distance": ("FP64", np.array([-1.0])), "hour": ("FP64", np.array([1.0]))}
        code, details = client.refusal(request(rows).SerializeToString())
        assert code is Code.INTERNAL
        assert "the model failed" in details


def test_a_message_beyond_the_body_limit_is_refused_before_it_is_read(client: Client) -> None:
    many = {"distance": ("FP64", np.zeros(30_000))}
    assert client.refusal(request({**ROWS, **many}).SerializeToString())[0] is Code.RESOURCE_EXHAUSTED


def test_rows_beyond_the_limit_are_an_invalid_argument(client: Client) -> None:
    code, details = client.refusal(changed(distance=("FP64", np.zeros(1001))).SerializeToString())
    assert code is Code.INVALID_ARGUMENT
    assert "1001 rows" in details


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidInput("x"), Code.INVALID_ARGUMENT),
        (TooLarge("x"), Code.INVALID_ARGUMENT),
        (NotFound("x"), Code.NOT_FOUND),
        (NotReady("x"), Code.UNAVAILABLE),
        (Overloaded("x"), Code.UNAVAILABLE),
        (Unavailable("x"), Code.UNAVAILABLE),
        (DeadlineExceeded("x"), Code.DEADLINE_EXCEEDED),
        (ModelFailed("x"), Code.INTERNAL),
        (TidegateError("x"), Code.INTERNAL),
    ],
)
def test_every_error_has_its_code(error: TidegateError, code: grpc.StatusCode) -> None:
    assert code_of(error) is code


def test_a_status_without_a_code_of_its_own_still_says_whose_fault_it_is() -> None:
    assert code_of_status(418) is Code.INVALID_ARGUMENT
    assert code_of_status(507) is Code.INTERNAL


def test_a_long_sentence_is_cut_to_what_a_header_may_hold() -> None:
    assert len(shortened("x" * 10_000)) <= 2000


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_the_clients_fault(client: Client, body: bytes) -> None:
    assert client.refusal(body)[0] in (Code.INVALID_ARGUMENT, Code.NOT_FOUND)


@settings(max_examples=150, deadline=None)
@given(flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=3))
def test_a_right_request_with_changed_bytes_is_answered_or_the_clients_fault(
    echo_client: Client, flips: list[tuple[int, int]]
) -> None:
    body = bytearray(request(echo_tensors()).SerializeToString())
    for position, value in flips:
        body[position % len(body)] = value
    call = echo_client.method("ModelInfer").future(bytes(body), timeout=30)
    assert call.code() in (Code.OK, Code.INVALID_ARGUMENT, Code.NOT_FOUND), call.details()


# -- time, load, the end ---------------------------------------------------------------------------------------------


def slow_body(rows: int) -> bytes:
    columns = {name: ("FP64", np.full(rows, 0.5)) for name in bundles.SLOW_COLUMNS}
    body: bytes = request(columns).SerializeToString()
    return body


def count_of(server: InProcess, protocol: str, code: int) -> float:
    for line in server.get("/metrics").text.splitlines():
        if line.startswith("tidegate_server_requests_total") and f'"{protocol}"' in line and f'code="{code}"' in line:
            return float(line.rpartition(" ")[2])
    return 0


def test_an_id_is_echoed_and_requests_are_counted(serve: Serve, flights_bundle: Bundle) -> None:
    counted, server = serve(flights_bundle)
    with grpc_beside(counted, server) as client:
        body = request(ROWS).SerializeToString()
        _, call = client.method("ModelInfer").with_call(body, metadata=[("x-request-id", "r-1")], timeout=30)
        assert dict(call.trailing_metadata())["x-request-id"] == "r-1"
        with pytest.raises(grpc.RpcError) as failed:
            client.method("ModelInfer").with_call(b"\xff", metadata=[("x-request-id", "r-2")], timeout=30)
        assert dict(failed.value.trailing_metadata())["x-request-id"] == "r-2"
        assert count_of(server, "oip_grpc", 200) == 1
        assert count_of(server, "oip_grpc", 400) == 1
        assert counted.metrics.in_flight == 0
        assert "tidegate_server_rows_total" in server.get("/metrics").text


def test_a_deadline_ends_the_wait_and_the_work(serve: Serve, slow_bundle: Bundle) -> None:
    busy, server = serve(slow_bundle, latency_objective_seconds=60.0)
    with grpc_beside(busy, server) as client:
        with pytest.raises(grpc.RpcError) as failed:
            client.method("ModelInfer")(slow_body(1000), timeout=0.01)
        assert failed.value.code() is Code.DEADLINE_EXCEEDED
        wait_until(lambda: busy.pending == 0 and busy.metrics.in_flight == 0, "the request is let go")
        wait_until(lambda: count_of(server, "oip_grpc", 504) == 1, "it is counted as too late")


def test_the_servers_own_time_limit_holds_for_calls_without_a_deadline(serve: Serve, slow_bundle: Bundle) -> None:
    with grpc_beside(*serve(slow_bundle, timeout_seconds=0.01)) as client:
        with pytest.raises(grpc.RpcError) as failed:
            client.method("ModelInfer")(slow_body(1000))
        assert failed.value.code() is Code.DEADLINE_EXCEEDED
        assert "time was over" in failed.value.details()


def test_a_call_that_its_client_cancels_leaves_the_queue(serve: Serve, slow_bundle: Bundle) -> None:
    busy, server = serve(slow_bundle, latency_objective_seconds=60.0)
    with grpc_beside(busy, server) as client:
        infer = client.method("ModelInfer")
        first, second = infer.future(slow_body(1000)), infer.future(slow_body(1000))
        wait_until(lambda: busy.pending == 2, "one is answered and one waits")
        second.cancel()
        wait_until(lambda: busy.pending < 2, "the one that waits is let go")
        assert first.result(timeout=30)
        wait_until(lambda: count_of(server, "oip_grpc", 499) == 1, "it is counted as gone")
        assert busy.metrics.in_flight == 0


def test_what_is_too_much_is_told_to_come_later(serve: Serve, slow_bundle: Bundle) -> None:
    with grpc_beside(*serve(slow_bundle, queue_limit=2, latency_objective_seconds=60.0)) as client:
        infer = client.method("ModelInfer")
        calls = [infer.future(slow_body(300), timeout=60) for _ in range(12)]
        codes = [call.code() for call in calls]
        assert set(codes) == {Code.OK, Code.UNAVAILABLE}
        assert all("busy" in call.details() for call in calls if call.code() is Code.UNAVAILABLE)


def health(client: Client, service: str) -> int:
    message = HEALTH_MESSAGES["HealthCheckRequest"](service=service).SerializeToString()
    answer = client.method("Check", "grpc.health.v1.Health")(message, timeout=30)
    status: int = HEALTH_MESSAGES["HealthCheckResponse"].FromString(answer).status
    return status


def test_health_is_answered_for_the_server_the_service_and_the_model(client: Client) -> None:
    assert [health(client, name) for name in ("", "inference.GRPCInferenceService", "flights")] == [1, 1, 1]
    with pytest.raises(grpc.RpcError) as failed:
        health(client, "planes")
    assert failed.value.code() is Code.NOT_FOUND


def test_who_watches_health_is_told_of_changes(serve: Serve, flights_bundle: Bundle) -> None:
    watched, server = serve(flights_bundle)
    with grpc_beside(watched, server) as client:
        watch = client.channel.unary_stream("/grpc.health.v1.Health/Watch")
        answers = watch(b"", timeout=30)
        told = (HEALTH_MESSAGES["HealthCheckResponse"].FromString(answer).status for answer in answers)
        assert next(told) == 1
        watched.phase = type(watched.phase).DRAINING
        assert next(told) == 2
        unknown = watch(HEALTH_MESSAGES["HealthCheckRequest"](service="x").SerializeToString(), timeout=30)
        assert HEALTH_MESSAGES["HealthCheckResponse"].FromString(next(unknown)).status == 3


# -- the process -----------------------------------------------------------------------------------------------------


def test_a_process_tells_its_port_and_finishes_what_is_in_flight_when_it_ends(
    slow_bundle: Bundle, tmp_path: Path
) -> None:
    options = ("--grpc-port", "0", "--drain-seconds", "0", "--latency-objective-ms", "60000")
    with replica(slow_bundle.folder, tmp_path, *options) as running:
        port = json.loads((tmp_path / "state.json").read_bytes())["grpc_port"]
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            client = Client(channel)
            assert client.ask("ModelReady", name="flights").ready
            in_flight = client.method("ModelInfer").future(slow_body(3000))
            pending = "tidegate_server_requests_in_flight{"
            wait_until(
                lambda: any(
                    line.startswith(pending) and line.endswith(" 1.0")
                    for line in running.client.get("/metrics").text.splitlines()
                ),
                "the request is being answered",
            )
            ending = threading.Thread(target=running.process.terminate)
            ending.start()
            assert in_flight.result(timeout=DEADLINE_SECONDS)
            ending.join()
        assert running.process.wait(DEADLINE_SECONDS) == 0


def test_without_the_option_there_is_no_grpc(quick_bundle: Bundle, tmp_path: Path) -> None:
    with replica(quick_bundle.folder, tmp_path):
        assert "grpc_port" not in json.loads((tmp_path / "state.json").read_bytes())


def test_a_port_that_is_taken_ends_the_process_with_one_sentence(quick_bundle: Bundle, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = spawn(quick_bundle.folder, tmp_path, "--grpc-port", str(port))
        assert process.wait(DEADLINE_SECONDS) == 69
    assert f"cannot listen for gRPC on 127.0.0.1:{port}" in (tmp_path / "log").read_text()


def test_asking_for_grpc_where_it_is_not_installed_names_the_extra(
    quick_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Python looks here first, so this is what it finds where the package is absent.
    (tmp_path / "grpc.py").write_text("raise ImportError(\"No module named 'grpc'\")\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    process = spawn(quick_bundle.folder, tmp_path / "run", "--grpc-port", "0")
    assert process.wait(DEADLINE_SECONDS) == 78
    (line,) = (json.loads(line) for line in (tmp_path / "run" / "log").read_text().splitlines())
    assert "--grpc-port needs the package grpc" in line["message"]
    assert line["hint"] == "pip install 'tidegate[grpc]'"
