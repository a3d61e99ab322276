"""From a request to a plan, and what is said of a plan that cannot work."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.contract.errors import InvalidInput
from tidegate.contract.request import DeploymentRequest, parse_request
from tidegate.controller.planning import (
    answering,
    plan_trial,
    refuse_one_port_for_several,
    refuse_unreachable_cache,
    refuse_unsupported,
    refuse_what_a_command_ignores,
    requests_to_pass,
    too_short_steps,
)


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


def test_a_replica_waits_as_long_as_the_gateway() -> None:
    assert answering(request(traffic={"timeout": "2m"})).timeout_seconds == 120.0


def test_how_to_answer_is_carried_over() -> None:
    asked = answering(
        request(
            batching={"maxRequests": 1, "maxRows": 10},
            cache={"store": "memory", "ttl": "90s", "maxSize": "1Mi"},
            predictionLog={"sink": "jsonl:/log/{revision}-{replica}", "sample": "25%"},
        )
    )
    assert (asked.batch_requests, asked.batch_rows) == (1, 10)
    assert (asked.cache, asked.cache_ttl_seconds, asked.cache_bytes) == ("memory", 90.0, 1024**2)
    assert (asked.prediction_sink, asked.prediction_share) == ("jsonl:/log/{revision}-{replica}", 0.25)


REDIS = "redis://:secret@db:6379/0"


@pytest.mark.parametrize(
    ("url", "has_client", "told"),
    [
        (None, True, "the controller has no TIDEGATE_CACHE_URL"),
        ("", True, "the controller has no TIDEGATE_CACHE_URL"),
        ("http://:secret@db", True, "no URL of Redis"),
        (REDIS, False, "pip install 'tidegate[redis]'"),
    ],
)
def test_a_cache_in_redis_that_replicas_could_not_reach_is_refused(
    url: str | None, has_client: bool, told: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        refuse_unreachable_cache(request(cache={"store": "redis"}), url, has_client=has_client)
    assert told in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_cache_that_replicas_reach_is_not_refused() -> None:
    refuse_unreachable_cache(request(cache={"store": "redis"}), REDIS, has_client=True)
    refuse_unreachable_cache(request(cache={"store": "memory"}), None, has_client=False)


@pytest.mark.parametrize(
    "fields",
    [
        {"batching": {"maxRequests": 16}},
        {"cache": {"store": "memory"}},
        {"predictionLog": {"sink": "jsonl:/log/{revision}-{replica}"}},
    ],
)
def test_a_command_is_not_told_what_it_would_ignore(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        refuse_what_a_command_ignores(request(**fields))
    assert refused.value.subject == next(iter(fields))
    refuse_what_a_command_ignores(request(**{key: {} for key in fields}))


def test_a_command_has_no_workers_of_ours() -> None:
    with pytest.raises(InvalidInput) as refused:
        refuse_what_a_command_ignores(request(infrastructure={"resources": {"workers": 2}}))
    assert refused.value.subject == "infrastructure.resources.workers"


def test_one_port_is_not_for_several_replicas_of_a_command() -> None:
    with pytest.raises(InvalidInput, match="2 replicas") as refused:
        refuse_one_port_for_several(request(), 9000)
    assert refused.value.subject == "modelArtifact.settings.port"
    refuse_one_port_for_several(request(), 0)
    refuse_one_port_for_several(request(infrastructure={"resources": {"replicas": 1}}), 9000)
