"""The published JSON Schemas: as generated, valid, and of one mind with the models."""

from __future__ import annotations

import copy
import json
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from scripts.generate import GENERATED, ROOT, difference, schema_text
from tests.contract.examples import CONTRADICTORY_REQUESTS, INVALID_REQUESTS, INVALID_RESULTS, RESULT, VALID_REQUESTS
from tidegate.contract.errors import InvalidInput
from tidegate.contract.request import parse_request
from tidegate.contract.result import DeploymentResult
from tidegate.contract.schema import SchemaName, build_schema, shipped_schema_text

SCHEMAS: tuple[SchemaName, ...] = get_args(SchemaName)


@pytest.fixture(scope="module")
def request_schema() -> Draft202012Validator:
    return Draft202012Validator(json.loads(shipped_schema_text("deployment-request")))


@pytest.fixture(scope="module")
def result_schema() -> Draft202012Validator:
    return Draft202012Validator(json.loads(shipped_schema_text("deployment-result")))


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_shipped_schema_is_the_generated_one(name: SchemaName) -> None:
    assert shipped_schema_text(name) == schema_text(name)


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schema_is_a_valid_schema(name: SchemaName) -> None:
    schema = build_schema(name)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_field_is_described(name: SchemaName) -> None:
    schema = build_schema(name)
    for part in [schema, *schema["$defs"].values()]:
        for choice in part.get("anyOf", [part]):
            for field, value in choice.get("properties", {}).items():
                assert "description" in value or "$ref" in value, field


@pytest.mark.parametrize("document", VALID_REQUESTS.values(), ids=VALID_REQUESTS)
def test_schema_and_model_accept_a_right_request(
    request_schema: Draft202012Validator, document: dict[str, Any]
) -> None:
    request_schema.validate(document)
    request_schema.validate(parse_request(document).as_document())


@pytest.mark.parametrize("document", INVALID_REQUESTS.values(), ids=INVALID_REQUESTS)
def test_schema_and_model_refuse_a_wrong_request(request_schema: Draft202012Validator, document: Any) -> None:
    assert not request_schema.is_valid(document)
    with pytest.raises(InvalidInput):
        parse_request(document)


@pytest.mark.parametrize("document", CONTRADICTORY_REQUESTS.values(), ids=CONTRADICTORY_REQUESTS)
def test_the_model_refuses_what_a_schema_cannot_express(
    request_schema: Draft202012Validator, document: dict[str, Any]
) -> None:
    request_schema.validate(document)
    with pytest.raises(InvalidInput):
        parse_request(document)


def test_schema_and_model_accept_a_right_result(result_schema: Draft202012Validator) -> None:
    result_schema.validate(RESULT)
    result_schema.validate(DeploymentResult.model_validate(RESULT).as_document())


@pytest.mark.parametrize(("path", "value"), INVALID_RESULTS.values(), ids=INVALID_RESULTS)
def test_schema_and_model_refuse_a_wrong_result(
    result_schema: Draft202012Validator, path: tuple[str, ...], value: Any
) -> None:
    document = copy.deepcopy(RESULT)
    part = document
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    assert not result_schema.is_valid(document)
    with pytest.raises(ValidationError):
        DeploymentResult.model_validate(document)


def test_defaults_in_the_schema_are_written_as_people_write_them() -> None:
    requirements = build_schema("deployment-request")["$defs"]["ServingRequirements"]["properties"]
    assert {name: value["default"] for name, value in requirements.items()} == {
        "latencyP99": "100ms",
        "throughput": "50rps",
        "availability": "99.9%",
    }


def test_a_stale_generated_file_is_noticed() -> None:
    name, make = GENERATED[0]
    assert difference(ROOT / name, make()) == ""
    assert "+stale" in difference(ROOT / name, make() + "stale\n")
    assert "+all" in difference(ROOT / "docs" / "no-such-page.md", "all of it\n")
