"""`/docs` and `/openapi.json` describe this model and no other, with its own sample as the example."""

from __future__ import annotations

from html import unescape
from typing import Any

import jsonschema
import pytest

from tests.server.conftest import InProcess
from tidegate.artifact.bundle import Bundle

PATHS = [
    "/predict",
    "/v2/models/flights/infer",
    "/v2/models/flights/versions/3/infer",
    "/v1/models/flights:predict",
    "/v1/models/flights:classify",
    "/v1/models/flights/versions/3:predict",
    "/v1/models/flights/versions/3:classify",
    "/v1/models/flights/labels/latest:predict",
    "/v1/models/flights/labels/latest:classify",
]


@pytest.fixture(params=["flights", "tensors"])
def client(request: pytest.FixtureRequest) -> InProcess:
    found: InProcess = request.getfixturevalue(request.param)
    return found


def operation(client: InProcess, path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    document = client.get("/openapi.json").json()
    return document, document["paths"][path]["post"]


def check(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(value)


@pytest.mark.parametrize("path", PATHS)
def test_the_example_works_and_request_and_answer_fit_their_schemas(client: InProcess, path: str) -> None:
    document, described = operation(client, path)
    body = described["requestBody"]["content"]["application/json"]
    check(document, body["schema"], body["example"])
    answer = client.post(path, json=body["example"])
    assert answer.status_code == 200, answer.text
    check(document, described["responses"]["200"]["content"]["application/json"]["schema"], answer.json())


@pytest.mark.parametrize("path", PATHS)
def test_an_error_fits_its_schema(client: InProcess, path: str) -> None:
    document, described = operation(client, path)
    answer = client.post(path, json={"x": 1})
    check(document, described["responses"]["400"]["content"]["application/json"]["schema"], answer.json())


def test_every_operation_has_a_name_of_its_own(client: InProcess) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    names = [described["operationId"] for methods in paths.values() for described in methods.values()]
    assert len(set(names)) == len(names)
    assert set(PATHS) <= paths.keys()


def test_a_record_without_a_column_does_not_fit_the_schema(flights: InProcess) -> None:
    document, described = operation(flights, "/predict")
    schema = described["requestBody"]["content"]["application/json"]["schema"]
    with pytest.raises(jsonschema.ValidationError):
        check(document, schema, [{"distance": 1.0}])


def test_the_page_shows_inputs_categories_outputs_and_the_sample(flights: InProcess, flights_bundle: Bundle) -> None:
    answer = flights.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    page = unescape(answer.text)
    for spec in (*flights_bundle.signature.inputs, *flights_bundle.signature.outputs):
        assert f"<code>{spec.name}</code>" in page
    assert "AA, DL, UA" in page
    assert '"carrier"' in page
    assert flights_bundle.manifest.digest[:12] in page


def test_the_page_fetches_nothing_from_elsewhere_and_has_only_relative_links(flights: InProcess) -> None:
    page = flights.get("/docs").text
    assert "//" not in page.replace("</", "")
    assert 'href="/' not in page
    assert flights.get("/openapi.json").json()["servers"] == [{"url": "."}]


def test_the_root_leads_to_the_page(flights: InProcess) -> None:
    assert flights.get("/").headers["location"] == "docs"


@pytest.mark.parametrize("path", ["/nowhere", "/v2/", "/v2/models/flights/", "/v1/models"])
def test_an_unknown_path_is_answered_in_json_and_leads_nowhere_else(flights: InProcess, path: str) -> None:
    answer = flights.get(path)
    assert (answer.status_code, answer.json()) == (404, {"error": "Not Found"})


def test_the_csv_of_the_document_works(flights: InProcess) -> None:
    _, described = operation(flights, "/predict")
    example = described["requestBody"]["content"]["text/csv"]["example"]
    answer = flights.post("/predict", content=example, headers={"content-type": "text/csv"})
    assert answer.status_code == 200, answer.text


def test_a_call_that_the_model_cannot_answer_is_not_described(flights: InProcess) -> None:
    assert "/v1/models/flights:regress" not in flights.get("/openapi.json").json()["paths"]
    assert ":regress" not in flights.get("/docs").text
