"""TensorFlow Serving's REST API: forms of requests and answers as its own documentation has them."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from tests.server.conftest import InProcess, Serve
from tidegate.artifact.bundle import Bundle

ROW = {"distance": 400.0, "hour": 18, "month": 7, "carrier": "UA"}
OTHER = {"distance": 2000.0, "hour": 6, "month": 1, "carrier": "AA"}
MODEL = "/v1/models/flights"
VERSIONS = ["", "/versions/3", "/labels/latest"]


def people(client: InProcess, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what `/predict` answers for the same rows."""
    predictions: list[dict[str, Any]] = client.post("/predict", json=list(rows)).json()["predictions"]
    return predictions


@pytest.mark.parametrize("version", VERSIONS)
def test_rows_as_objects_get_objects_when_there_are_several_outputs(flights: InProcess, version: str) -> None:
    answer = flights.post(f"{MODEL}{version}:predict", json={"instances": [ROW, OTHER]})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "predictions": [
            {"prediction": row["prediction"], "probabilities": list(row["probabilities"].values())}
            for row in people(flights, ROW, OTHER)
        ]
    }


def test_columns_get_columns(flights: InProcess) -> None:
    inputs = {name: [ROW[name], OTHER[name]] for name in ROW}
    answer = flights.post(f"{MODEL}:predict", json={"signature_name": "serving_default", "inputs": inputs})
    expected = people(flights, ROW, OTHER)
    assert answer.json() == {
        "outputs": {
            "prediction": [row["prediction"] for row in expected],
            "probabilities": [list(row["probabilities"].values()) for row in expected],
        }
    }


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [[18.0, 7.0, 400.0], [6.0, 1.0, 2000.0]]},
        {"instances": [{"input": [18.0, 7.0, 400.0]}, {"input": [6.0, 1.0, 2000.0]}]},
        {"inputs": [[18.0, 7.0, 400.0], [6.0, 1.0, 2000.0]]},
        {"inputs": {"input": [[18.0, 7.0, 400.0], [6.0, 1.0, 2000.0]]}},
    ],
)
def test_the_one_input_of_a_model_needs_no_name(tensors: InProcess, body: Any) -> None:
    answer = tensors.post(f"{MODEL}:predict", json=body)
    assert answer.status_code == 200, answer.text
    rows = tensors.post("/predict", json=[[18.0, 7.0, 400.0], [6.0, 1.0, 2000.0]]).json()["predictions"]
    if "instances" in body:
        assert [row["prediction"] for row in answer.json()["predictions"]] == [row["prediction"] for row in rows]
    else:
        assert answer.json()["outputs"]["prediction"] == [row["prediction"] for row in rows]


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [{name: [value] for name, value in row.items()} for row in (ROW, OTHER)]},
        {"instances": [ROW, {**OTHER, "hour": [6]}]},
        {"inputs": {name: [[ROW[name]], [OTHER[name]]] for name in ROW}},
    ],
    ids=["rows", "one value", "columns"],
)
def test_values_of_columns_may_stand_in_lists_of_one(flights: InProcess, body: Any) -> None:
    """As a client sends them that was written for TensorFlow's own model, whose inputs are `[-1, 1]`."""
    plain: Any = {"instances": [ROW, OTHER]}
    if "inputs" in body:
        plain = {"inputs": {name: [ROW[name], OTHER[name]] for name in ROW}}
    answer = flights.post(f"{MODEL}:predict", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json() == flights.post(f"{MODEL}:predict", json=plain).json()


@pytest.mark.parametrize(
    ("value", "got"), [(["noon"], '"noon"'), ([1, 2], "a list of 2"), ([], "a list of 0"), ([[1]], "a list of 1")]
)
def test_another_value_in_a_list_is_named(flights: InProcess, value: Any, got: str) -> None:
    answer = flights.post(f"{MODEL}:predict", json={"instances": [ROW, {**ROW, "hour": value}]})
    assert answer.status_code == 400
    assert answer.json()["error"] == f"field 'hour', row 1: expected a number or null, got {got}"


def test_one_output_is_answered_without_its_name(serve: Serve, slow_bundle: Bundle) -> None:
    client = serve(slow_bundle)[1]
    row = {spec.name: 0.5 for spec in slow_bundle.signature.inputs}
    expected = people(client, row)[0]["prediction"]
    assert client.post(f"{MODEL}:predict", json={"instances": [row]}).json() == {"predictions": [expected]}
    columns = {name: [value] for name, value in row.items()}
    assert client.post(f"{MODEL}:predict", json={"inputs": columns}).json() == {"outputs": [expected]}
    assert client.post(f"{MODEL}:regress", json={"examples": [row]}).json() == {"results": [expected]}
    assert client.post(f"{MODEL}:classify", json={"examples": [row]}).status_code == 400


def test_classify_answers_every_class_with_its_score(flights: InProcess) -> None:
    answer = flights.post(f"{MODEL}:classify", json={"signature_name": "classify", "examples": [ROW, OTHER]})
    expected = [[list(pair) for pair in row["probabilities"].items()] for row in people(flights, ROW, OTHER)]
    assert answer.json() == {"results": expected}


def test_features_of_the_context_belong_to_every_example_and_may_be_lists_of_one(flights: InProcess) -> None:
    body = {
        "context": {"month": [7], "carrier": "UA", "airline": "unused"},
        "examples": [{"distance": [400.0], "hour": 18}, {"distance": 401.0, "hour": 18}],
    }
    answer = flights.post(f"{MODEL}:classify", json=body)
    expected = flights.post(f"{MODEL}:classify", json={"examples": [ROW, {**ROW, "distance": 401.0}]})
    assert answer.status_code == 200, answer.text
    assert answer.json() == expected.json()


def test_a_feature_in_context_and_example_is_an_error(flights: InProcess) -> None:
    answer = flights.post(f"{MODEL}:classify", json={"context": {"hour": 1}, "examples": [ROW]})
    assert answer.status_code == 400
    assert "'hour'" in answer.json()["error"]


def test_a_classifier_does_not_regress(flights: InProcess) -> None:
    answer = flights.post(f"{MODEL}:regress", json={"examples": [ROW]})
    assert answer.status_code == 400
    assert "classifier" in answer.json()["error"]


def test_text_may_come_as_base64(flights: InProcess) -> None:
    encoded = {**ROW, "carrier": {"b64": b64encode(b"UA").decode()}}
    answer = flights.post(f"{MODEL}:predict", json={"instances": [encoded]})
    assert answer.json() == flights.post(f"{MODEL}:predict", json={"instances": [ROW]}).json()


@pytest.mark.parametrize(("encoded", "word"), [("!", "base64"), (b64encode(b"\xff\xfe").decode(), "UTF-8")])
def test_base64_that_holds_no_text_is_refused(flights: InProcess, encoded: str, word: str) -> None:
    answer = flights.post(f"{MODEL}:predict", json={"instances": [{**ROW, "carrier": {"b64": encoded}}]})
    assert answer.status_code == 400
    assert word in answer.json()["error"]


def test_null_and_the_literal_nan_both_say_that_a_value_is_missing(flights: InProcess) -> None:
    bodies = [json.dumps({"instances": [{**ROW, "distance": value}]}) for value in (None, float("nan"))]
    answers = [flights.post(f"{MODEL}:predict", content=body) for body in bodies]
    assert answers[0].status_code == 200
    assert answers[0].json() == answers[1].json()


@pytest.mark.parametrize("value", ["Infinity", "-Infinity", "1e999"])
def test_infinity_is_refused(flights: InProcess, value: str) -> None:
    body = json.dumps({"instances": [{**ROW, "distance": "?", "month": float("nan")}]}).replace('"?"', value)
    assert flights.post(f"{MODEL}:predict", content=body).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"instances": []},
        {"instances": {}},
        {"instances": [ROW], "inputs": {}},
        {"instances": [ROW], "signature_name": "other"},
        {"instances": [ROW], "signature_name": 7},
        {"instances": [ROW, 7]},
        {"instances": [ROW, {**ROW, "hour": "noon"}]},
        {"inputs": [1, 2]},
        {"inputs": {"distance": 1}},
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(flights: InProcess, body: Any) -> None:
    answer = flights.post(f"{MODEL}:predict", json=body)
    assert answer.status_code == 400
    assert answer.json().keys() == {"error"}
    assert len(answer.json()["error"]) > 10


@pytest.mark.parametrize("version", VERSIONS)
def test_the_state_of_the_model(flights: InProcess, version: str) -> None:
    status = {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert flights.get(f"{MODEL}{version}").json() == {"model_version_status": [status]}


def test_the_state_while_the_model_is_being_loaded(serve: Serve, flights_bundle: Bundle) -> None:
    client = serve(flights_bundle, warm=False)[1]
    assert client.get(MODEL).json()["model_version_status"][0]["state"] == "LOADING"
    assert client.post(f"{MODEL}:predict", json={"instances": [ROW]}).status_code == 503


@pytest.mark.parametrize("version", VERSIONS)
def test_the_metadata_hold_the_signature(flights: InProcess, version: str) -> None:
    document = flights.get(f"{MODEL}{version}/metadata").json()
    assert document["model_spec"] == {"name": "flights", "signature_name": "", "version": "3"}
    signature = document["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["carrier"] == {
        "dtype": "DT_STRING",
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
        "name": "carrier:0",
    }
    assert signature["outputs"].keys() == {"prediction", "probabilities"}
    assert signature["method_name"] == "tensorflow/serving/predict"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/other",
        "/v1/models/flights/versions/4",
        "/v1/models/flights/labels/canary",
        "/v1/models/other/metadata",
        "/v1/models/flights/labels/canary/metadata",
    ],
)
def test_another_model_version_or_label_is_not_found(flights: InProcess, path: str) -> None:
    for answer in (flights.get(path), flights.post(f"{path}:predict", json={"instances": [ROW]})):
        assert answer.status_code == 404
        assert answer.json().keys() == {"error"}


def test_another_method_is_not_found_and_get_is_not_allowed(flights: InProcess) -> None:
    assert flights.post(f"{MODEL}:explain", json={}).status_code == 404
    assert flights.get(f"{MODEL}:predict").status_code == 405


@pytest.mark.parametrize(
    "body",
    [
        rb'{"instances": [{"distance": NaN, "hour": 18, "month": 7, "carrier": "\ud800"}]}',
        rb'{"instances": [{"distance": NaN, "hour": "\ud800", "month": 7, "carrier": "UA"}]}',
        rb'{"signature_name": "\ud800", "instances": [{"distance": NaN, "hour": 18, "month": 7, "carrier": "UA"}]}',
        b'{"instances": [{"distance": NaN, "hour": 18, "month": 7, "carrier": "\xed\xa0\x80"}]}',
    ],
    ids=["value", "wrong kind", "name", "bytes"],
)
def test_half_of_a_surrogate_pair_beside_nan_is_refused(flights: InProcess, body: bytes) -> None:
    answer = flights.post(f"{MODEL}:predict", content=body)
    assert answer.status_code == 400, answer.text
    assert "not JSON" in answer.json()["error"]


def test_a_whole_surrogate_pair_beside_nan_is_a_character(flights: InProcess) -> None:
    body = rb'{"instances": [{"distance": NaN, "hour": 18, "month": 7, "carrier": "\ud83d\ude00"}]}'
    assert flights.post(f"{MODEL}:predict", content=body).status_code == 200
