"""From a request to a plan, and what is said of a plan that cannot work."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.contract.errors import InvalidInput
from tidegate.contract.request import DeploymentRequest, parse_request
from tidegate.controller.planning import plan_trial, refuse_unsupported, requests_to_pass, too_short_steps


def request(**fields: Any) -> DeploymentRequest:
    return parse_request({"modelArtifact": {"path": "/m.onnx"}, "servingRequirements": {}, **fields})


def test_the_defaults_give_every_step_enough_requests_for_a_verdict() -> None:
    assert too_short_steps(request()) == ()


def test_a_step_that_the_throughput_gives_too_few_requests_is_warned_of_with_the_numbers() -> None:
    slow = request(servingRequirements={"throughput": "2rps"}, steps=[5, 100], analysis={"stepDuration": "2m"})
    needed = requests_to_pass(slow)
    (warning,) = too_short_steps(slow)
    assert f"2m with 5 % brings about 12 requests, and a pass takes {needed} at least" in warning


def test_a_wider_margin_needs_fewer_requests() -> None:
    assert requests_to_pass(request(analysis={"margin": "10%"})) < requests_to_pass(request())


def test_a_first_revision_has_no_trial() -> None:
    plan = plan_trial(request(), None, 1)
    assert (plan.steps, plan.stable, plan.stable_replicas) == ((), None, 0)


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("deploymentStrategy", {"deploymentStrategy": "blue-green"}),
        ("infrastructure.platform", {"infrastructure": {"platform": "kubernetes"}}),
    ],
)
def test_what_this_version_cannot_do_is_refused_by_name(field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        refuse_unsupported(request(**fields))
    assert refused.value.subject == field
