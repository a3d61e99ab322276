"""Whatever bytes come, the answer is a 4xx with a sentence (or a 200), never a 5xx and never silence."""

from __future__ import annotations

import json
import string
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.conftest import InProcess, Serve
from tidegate.artifact.bundle import Bundle
from tidegate.contract.errors import InvalidInput
from tidegate.server.endpoint import Head, InferenceEndpoint

ROW = {"distance": 400.0, "hour": 18, "month": 7, "carrier": "UA"}
PATHS = ["/predict", "/v2/models/flights/infer"]

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text()
documents = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(string.ascii_letters), inner), max_leaves=20
)
tensors = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from([*ROW, "x"]) | scalars,
        "shape": st.lists(st.integers(-2, 5) | st.integers(2**31, 2**70) | scalars, max_size=3) | scalars,
        "datatype": st.sampled_from(["FP64", "INT64", "BYTES", "BOOL"]) | scalars,
        "data": documents,
        "parameters": documents,
    },
)
requests = st.fixed_dictionaries(
    {"inputs": st.lists(tensors, max_size=5)}, optional={"id": scalars, "outputs": documents, "parameters": documents}
)


def check(client: InProcess, path: str, body: bytes) -> None:
    answer = client.post(path, content=body)
    assert answer.status_code in (200, 400, 413), (answer.status_code, answer.text)
    assert answer.status_code == 200 or isinstance(answer.json()["error"], str)


def dumped(document: Any) -> bytes:
    try:
        return orjson.dumps(document)
    except TypeError:  # an integer beyond 64 bits
        return str(document).encode()


quick = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("path", PATHS)
@quick
@given(body=st.binary(max_size=200))
def test_bytes(flights: InProcess, path: str, body: bytes) -> None:
    check(flights, path, body)


@pytest.mark.parametrize("path", PATHS)
@quick
@given(document=documents)
def test_json_of_any_form(flights: InProcess, path: str, document: Any) -> None:
    check(flights, path, dumped(document))


@quick
@given(values=st.fixed_dictionaries(dict.fromkeys(ROW, documents)), form=st.sampled_from(["record", "columns"]))
def test_records_with_any_values(flights: InProcess, values: dict[str, Any], form: str) -> None:
    check(flights, "/predict", dumped(values if form == "record" else {"columns": values}))


@quick
@given(document=documents)
def test_tensor_rows_of_any_form(tensors: InProcess, document: Any) -> None:
    check(tensors, "/predict", dumped({"records": document}))


@quick
@given(document=requests)
def test_inference_requests_with_any_tensors(flights: InProcess, document: Any) -> None:
    check(flights, "/v2/models/flights/infer", dumped(document))


@quick
@given(
    cut=st.integers(0, 400),
    name=st.sampled_from(PATHS),
)
def test_a_request_cut_short(flights: InProcess, cut: int, name: str) -> None:
    body = orjson.dumps([ROW] * 5)
    check(flights, name, body[: min(cut, len(body) - 1)])


@quick
@given(value=st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_categories=["Cc"]), max_size=200))
def test_request_ids_of_any_form(flights: InProcess, value: str) -> None:
    answer = flights.post("/predict", json=[ROW], headers={"x-request-id": value.encode("latin-1")})
    assert answer.status_code == 200
    answer.headers.encoding = "latin-1"  # else the client guesses
    echoed = answer.headers["x-request-id"]
    assert echoed.isprintable()
    assert 0 < len(echoed) <= 128


def test_an_error_that_no_json_can_hold_is_answered_all_the_same(serve: Serve, flights_bundle: Bundle) -> None:
    replica, _ = serve(flights_bundle)
    for codec in (replica.predict, replica.oip):
        status, headers, body = InferenceEndpoint(replica, codec).failure(InvalidInput("got \ud800"), Head([]))
        assert status == 500
        assert b"content-type: application/json\r\n" in headers
        assert "could not be written" in json.loads(body)["error"]
