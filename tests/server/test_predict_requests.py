"""`/predict`: the forms of a request, the answer, and errors that say what to change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.conftest import InProcess
from tidegate.artifact.bundle import Bundle, load_model
from tidegate.runtime.rows import inputs_from_rows

ROW = {"distance": 400.0, "hour": 18, "month": 7, "carrier": "UA"}
OTHER = {"distance": 2000.0, "hour": 6, "month": 1, "carrier": "AA"}


def columns(*rows: dict[str, Any]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


@pytest.mark.parametrize(
    "body",
    [[ROW, OTHER], {"records": [ROW, OTHER]}, {"columns": columns(ROW, OTHER)}],
    ids=["list", "records", "columns"],
)
def test_every_form_of_the_same_rows_gets_the_same_answer(
    flights: InProcess, flights_bundle: Bundle, body: Any
) -> None:
    answer = flights.post("/predict", json=body).json()
    expected = load_model(flights_bundle, threads=1).predict(
        inputs_from_rows(flights_bundle.signature.inputs, [ROW, OTHER])
    )
    assert answer["model"] == "flights"
    assert answer["revision"] == 3
    assert [row["prediction"] for row in answer["predictions"]] == expected["prediction"].tolist()
    for row, (late, on_time) in zip(answer["predictions"], expected["probabilities"].tolist(), strict=True):
        assert row["probabilities"] == {"late": late, "on time": on_time}


def test_one_record_is_one_row(flights: InProcess) -> None:
    assert len(flights.post("/predict", json=ROW).json()["predictions"]) == 1


def test_null_is_a_missing_value(flights: InProcess) -> None:
    answer = flights.post("/predict", json={**ROW, "distance": None, "carrier": None})
    assert answer.status_code == 200


def test_an_unseen_category_reaches_the_model(flights: InProcess) -> None:
    assert flights.post("/predict", json={**ROW, "carrier": "ZZ"}).status_code == 200


def test_keys_that_the_model_does_not_take_are_ignored(flights: InProcess) -> None:
    assert flights.post("/predict", json=[{**ROW, "tail": "N1"}]).json() == flights.post("/predict", json=[ROW]).json()


def test_an_absent_column_is_named_with_the_key_that_looks_like_it(flights: InProcess) -> None:
    row = {"distnace" if name == "distance" else name: value for name, value in ROW.items()}
    answer = flights.post("/predict", json=[ROW, row])
    assert answer.status_code == 400
    assert answer.json()["field"] == "distance"
    assert "row 1 lacks 'distance'" in answer.json()["error"]
    assert "'distnace'" in answer.json()["error"]


@pytest.mark.parametrize("body", [{}, {"instances": [ROW]}, {"dataframe_split": {"columns": list(ROW)}}])
def test_a_form_of_another_server_is_answered_with_the_forms_that_are_taken(flights: InProcess, body: Any) -> None:
    answer = flights.post("/predict", json=body)
    assert answer.status_code == 400
    assert '{"records": […]}' in answer.json()["hint"]


def test_an_absent_column_is_named_in_the_columns_form_too(flights: InProcess) -> None:
    given = columns(ROW)
    del given["hour"]
    answer = flights.post("/predict", json={"columns": given})
    assert answer.status_code == 400
    assert answer.json()["field"] == "hour"


def test_a_value_of_another_type_is_named_with_field_row_expected_and_got(flights: InProcess) -> None:
    answer = flights.post("/predict", json=[ROW, {**ROW, "hour": "noon"}])
    assert answer.status_code == 400
    assert answer.json() == {
        "error": "field 'hour', row 1: expected a number or null, got \"noon\"",
        "field": "hour[1]",
        "expected": "a number or null",
        "got": '"noon"',
    }


def test_columns_of_different_lengths_are_an_error(flights: InProcess) -> None:
    given = columns(ROW, OTHER)
    given["month"].pop()
    answer = flights.post("/predict", json={"columns": given})
    assert answer.status_code == 400
    assert answer.json()["field"] == "month"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"7", b'"x"', b"[]", b"{}", b"[[]]", b"[null]", b'[{"hour": NaN}]', b"\xff\xfe", b"[" * 2000],
)
def test_what_is_no_request_is_refused_with_a_sentence(flights: InProcess, body: bytes) -> None:
    answer = flights.post("/predict", content=body)
    assert answer.status_code == 400
    assert len(answer.json()["error"]) > 10


def test_nan_is_refused_with_the_hint_to_send_null(flights: InProcess) -> None:
    assert "null" in flights.post("/predict", content=b'[{"hour": NaN}]').json()["hint"]


@pytest.mark.parametrize(
    "body",
    [
        [[18.0, 7.0, 400.0], [6.0, 1.0, 2000.0]],
        [{"input": [18.0, 7.0, 400.0]}, {"input": [6, 1, 2000]}],
        {"columns": {"input": [[18.0, 7.0, 400.0], [6.0, 1.0, 2000.0]]}},
    ],
)
def test_rows_of_a_tensor_are_lists(tensors: InProcess, body: Any) -> None:
    answer = tensors.post("/predict", json=body)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["predictions"]) == 2
    assert set(answer.json()["predictions"][0]["probabilities"]) == {"0", "1"}


@pytest.mark.parametrize(
    "body", [[1, 2, 3], [[1, 2]], [[1, 2, 3], [1, 2]], [[[1, 2, 3]]], [{"input": 4}], [["a", 1, 2]]]
)
def test_rows_of_another_shape_than_the_tensor_are_refused(tensors: InProcess, body: Any) -> None:
    assert tensors.post("/predict", json=body).status_code == 400


def test_more_rows_than_allowed_are_refused(flights: InProcess) -> None:
    answer = flights.post("/predict", json={"columns": columns(*[ROW] * 1001)})
    assert answer.status_code == 413
    assert "1000" in answer.json()["error"]


def test_a_larger_body_than_allowed_is_refused(flights: InProcess) -> None:
    answer = flights.post("/predict", content=b" " * 200_001)
    assert answer.status_code == 413
    assert "200000" in answer.json()["error"]


def in_two_parts() -> Iterator[bytes]:
    yield b" " * 150_000
    yield b" " * 150_000


def test_a_larger_body_is_refused_when_its_length_was_not_declared(flights: InProcess) -> None:
    answer = flights.post("/predict", content=in_two_parts())
    assert answer.status_code == 413


def test_only_post_is_answered(flights: InProcess) -> None:
    answer = flights.get("/predict")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


def test_a_number_with_which_the_model_cannot_compute_is_named(tensors: InProcess) -> None:
    answer = tensors.post("/predict", json=[[1, 2, 3], [1, -4.7e132, 3]])
    assert answer.status_code == 400
    assert answer.json()["field"] == "input[1]"
    assert "FP32" in answer.json()["expected"]


def test_only_a_body_that_is_no_json_is_asked_whether_it_was_meant_to_be(flights: InProcess) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    csv = flights.post("/predict", content=b"distance,hour\n400,18", headers=headers)
    assert "not meant to be JSON" in csv.text
    wrong = flights.post("/predict", json=[{**ROW, "hour": "noon"}], headers=headers)
    assert wrong.status_code == 400
    assert "not meant to be JSON" not in wrong.text
