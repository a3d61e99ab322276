"""The result document: camelCase out, the fields that the design requires, null where there is no image."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.contract.examples import RESULT
from tidegate.contract.result import DeploymentResult


def test_a_result_round_trips() -> None:
    result = DeploymentResult.model_validate(RESULT)
    assert result.as_document() == RESULT
    assert DeploymentResult.model_validate(result.as_document()) == result


def test_a_process_has_no_image_and_the_document_says_so() -> None:
    result = DeploymentResult.model_validate(RESULT)
    assert result.deployment_config.container_image is None
    assert result.as_document()["deploymentConfig"]["containerImage"] is None


@pytest.mark.parametrize("field", ["name", "revision", "deploymentConfig", "servingEndpoint", "monitoring"])
def test_the_required_fields_are_required(field: str) -> None:
    short: dict[str, Any] = {key: value for key, value in RESULT.items() if key != field}
    with pytest.raises(ValidationError):
        DeploymentResult.model_validate(short)


@pytest.mark.parametrize("field", ["trafficConfig", "rollout"])
def test_the_optional_fields_may_be_absent_and_are_then_left_out(field: str) -> None:
    short: dict[str, Any] = {key: value for key, value in RESULT.items() if key != field}
    assert DeploymentResult.model_validate(short).as_document() == short
