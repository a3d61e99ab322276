"""From a request to a plan, and what is said of a plan that cannot work."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tidegate.contract.errors import InvalidInput
from tidegate.contract.request import DeploymentRequest, parse_request
from tidegate.controller.planning import (
    answering,
    arms,
    forced,
    never_measured_limits,
    plan_return,
    plan_trial,
    refuse_one_port_for_several,
    refuse_unreachable_cache,
    refuse_unsupported,
    refuse_what_a_command_ignores,
    refuse_what_containers_cannot,
    requests_to_pass,
    sticky,
    too_short_steps,
)
from tidegate.gateway.base import Forced, Sticky
from tidegate.rollout import Arm, Phase, Rollout, Step
from tidegate.store import RevisionRow
from tidegate.trial.steps import trial_steps

NOW = datetime(2026, 3, 1, tzinfo=UTC)


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


def test_predictions_that_are_limited_take_more_requests_and_those_that_are_shown_none() -> None:
    limited = {"tolerance": "5%", "margin": "5%"}
    assert requests_to_pass(request(analysis={"predictions": {"margin": "5%"}})) == requests_to_pass(request())
    assert requests_to_pass(request(analysis={"predictions": limited})) > 2 * requests_to_pass(request())
    assert requests_to_pass(request(analysis={"predictions": {**limited, "dryRun": True}})) == requests_to_pass(
        request()
    )


def warned(**fields: Any) -> tuple[str, ...]:
    """Return what is said of guards that are not measured in a rollout from a revision with two replicas."""
    return never_measured_limits(request(**fields), RevisionRow(1, 3, "a" * 64, request().as_document(), NOW))


LIMITED: dict[str, Any] = {"predictions": {"tolerance": "10%", "critical": True}}
TOLD: dict[str, Any] = {"outcomes": {"bad": "5%", "window": "10s"}}


@pytest.mark.parametrize(
    ("fields", "names", "way"),
    [
        ({"analysis": {"disagreement": "1%"}}, ["disagreement"], "add a step {shadow: 20} before the first weight"),
        ({"deploymentStrategy": "blue-green", "analysis": LIMITED}, ["predictions"], "blue-green has none here"),
        ({"steps": [100], "analysis": LIMITED}, ["predictions"], "add a step with a weight between 0 and 100"),
        ({"deploymentStrategy": "shadow", "analysis": LIMITED}, ["predictions"], "add a step with a weight between"),
        ({"deploymentStrategy": "shadow", "analysis": TOLD}, ["outcomes"], "add a step with a weight"),
        ({"steps": [100], "analysis": {"inputs": {"tolerance": "1%"}}}, ["inputs"], "between 0 and 100"),
        (
            {"deploymentStrategy": "ab-test", "analysis": {**LIMITED, "disagreement": "1%"}},
            ["disagreement"],
            "deploymentStrategy canary can have a step {shadow: 20}",
        ),
        (
            {
                "deploymentStrategy": "rolling",
                "infrastructure": {"resources": {"replicas": 1}},
                "analysis": {**LIMITED, "disagreement": "1%"},
            },
            ["disagreement", "predictions"],
            "rolling has none here",
        ),
    ],
)
def test_a_guard_that_no_step_measures_is_warned_of_with_what_measures_it(
    fields: dict[str, Any], names: list[str], way: str
) -> None:
    warnings = warned(**fields)
    assert [warning.partition(" ")[0] for warning in warnings] == [f"analysis.{name}" for name in names]
    assert all("is set, and no step measures it" in warning and way in warning for warning in warnings[:1])


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"analysis": {**LIMITED, **TOLD, "stepDuration": "1m"}},
        {"steps": [{"shadow": 20}, 5, 100], "analysis": {**LIMITED, "disagreement": "1%"}},
        {"deploymentStrategy": "shadow", "analysis": {"disagreement": "1%"}},
        {"deploymentStrategy": "rolling", "analysis": LIMITED},
        {"deploymentStrategy": "ab-test", "analysis": LIMITED},
        {"deploymentStrategy": "blue-green", "analysis": TOLD},
        {"deploymentStrategy": "blue-green", "analysis": {"predictions": {"critical": True}}},
        {"deploymentStrategy": "blue-green", "analysis": {"inputs": {"compare": False}}},
    ],
)
def test_a_guard_that_a_step_measures_is_not_warned_of_nor_one_that_nobody_asked_for(fields: dict[str, Any]) -> None:
    assert warned(**fields) == ()


def test_settings_of_a_signal_that_is_not_judged_are_warned_of() -> None:
    signals = {"signals": {"disagreement": {"objective": "1%"}, "outcomes": {"critical": False}}}
    (one, other) = warned(analysis=signals)
    assert "analysis.signals.disagreement is set, and disagreement is not judged without analysis.disagreement" in one
    assert "not judged without analysis.outcomes" in other
    assert warned(steps=[{"shadow": 20}, 5, 100], analysis={**signals, **TOLD, "disagreement": "2%"}) == ()


def test_what_no_step_measures_asks_for_no_requests() -> None:
    limited = {"predictions": {"tolerance": "5%", "margin": "5%"}}
    assert requests_to_pass(request(steps=[100], analysis=limited)) == requests_to_pass(request())


def test_a_first_revision_has_no_trial() -> None:
    plan = plan_trial(request(), None, 1)
    assert (plan.steps, plan.stable, plan.stable_replicas) == ((), None, 0)


def test_holding_steps_keep_what_the_step_before_had() -> None:
    asked = [
        {"shadow": 20, "replicas": 1},
        {"pause": "1m"},
        {"weight": 5, "replicas": 1},
        {"pause": "person"},
        100,
        {"bake": "1h"},
    ]
    assert trial_steps(request(steps=asked), 2) == (
        Step(0, 300.0, mirror=20, replicas=1),
        Step(0, 60.0, "time", mirror=20, replicas=1),
        Step(5, 300.0, replicas=1),
        Step(5, 0.0, "person", replicas=1),
        Step(100, 300.0),
        Step(100, 3600.0, "time"),
    )


def test_every_strategy_has_its_steps() -> None:
    switch = request(deploymentStrategy="blue-green", blueGreen={"preview": "0s", "switch": "person", "bake": "1m"})
    assert trial_steps(switch, 2) == (Step(0, 0.0, "person"), Step(100, 60.0, "time"))
    exchange = trial_steps(request(deploymentStrategy="rolling"), 3)
    assert [(step.weight, step.replicas, step.stable_replicas) for step in exchange] == [(50, 1, 2), (100, 2, 0)]
    assert trial_steps(request(deploymentStrategy="ab-test", abTest={"weight": 33.3}), 2) == (
        Step(33.3, 0.0, "person"),
    )
    assert trial_steps(request(deploymentStrategy="shadow"), 2) == (
        Step(0, 300.0, mirror=10),
        Step(0, 0.0, "person", mirror=10),
    )


def test_a_platform_that_this_version_does_not_know_is_refused_by_name() -> None:
    field, fields = "infrastructure.platform", {"infrastructure": {"platform": "kubernetes"}}
    with pytest.raises(InvalidInput) as refused:
        refuse_unsupported(request(**fields))
    assert refused.value.subject == field


COMPOSE: dict[str, Any] = {"infrastructure": {"platform": "compose"}}
AGENT = {"TIDEGATE_AGENT": "/run/tidegate-agent/agent.sock"}
POSTGRESQL = "postgresql://replica@postgres/tidegate"


def test_containers_need_an_agent_and_processes_do_not() -> None:
    with pytest.raises(InvalidInput, match="no agent") as refused:
        refuse_what_containers_cannot(request(**COMPOSE), {}, POSTGRESQL)
    assert refused.value.subject == "infrastructure.platform"
    refuse_what_containers_cannot(request(**COMPOSE), AGENT, "")
    refuse_what_containers_cannot(request(), {}, "")


@pytest.mark.parametrize(
    ("fields", "store", "subject"),
    [
        ({"analysis": {"resources": {"memory": {}}}}, POSTGRESQL, "analysis.resources"),
        ({"predictionLog": {"sink": "jsonl:/logs/{revision}.{replica}.jsonl"}}, POSTGRESQL, "predictionLog.sink"),
        (
            {"predictionLog": {"sink": "store:", "personal": {"hash": ["a"], "keyFile": "/k"}}},
            POSTGRESQL,
            "predictionLog.personal.keyFile",
        ),
        ({"predictionLog": {"sink": "store:"}}, "/home/tidegate.db", "predictionLog.sink"),
        ({"features": {"view": "customers", "entity": "id"}}, "/home/tidegate.db", "features"),
    ],
)
def test_what_a_container_could_not_do_is_refused_and_a_process_does_it(
    fields: dict[str, Any], store: str, subject: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        refuse_what_containers_cannot(request(**COMPOSE, **fields), AGENT, store)
    assert refused.value.subject == subject
    refuse_what_containers_cannot(request(**fields), AGENT, store)


def test_a_container_logs_to_postgresql() -> None:
    fields = {"predictionLog": {"sink": "store:"}, "features": {"view": "customers", "entity": "id"}}
    refuse_what_containers_cannot(request(**COMPOSE, **fields), AGENT, POSTGRESQL)


def test_a_replica_waits_as_long_as_the_gateway() -> None:
    assert answering(request(traffic={"timeout": "2m"})).timeout_seconds == 120.0


def test_how_to_answer_is_carried_over() -> None:
    asked = answering(
        request(
            batching={"maxRequests": 1, "maxRows": 10},
            cache={"store": "memory", "ttl": "90s", "maxSize": "1Mi"},
            predictionLog={
                "sink": "jsonl:/log/{revision}-{replica}",
                "sample": "25%",
                "personal": {"drop": ["email"], "hash": ["customer"], "keyFile": "/etc/key"},
            },
        )
    )
    assert (asked.prediction_dropped, asked.prediction_hashed) == (("email",), ("customer",))
    assert asked.prediction_key_file == "/etc/key"
    assert (asked.batch_requests, asked.batch_rows) == (1, 10)
    assert (asked.cache, asked.cache_ttl_seconds, asked.cache_bytes) == ("memory", 90.0, 1024**2)
    assert (asked.prediction_sink, asked.prediction_share) == ("jsonl:/log/{revision}-{replica}", 0.25)


def test_from_where_rows_are_completed_is_carried_over() -> None:
    assert answering(request()).features_view is None
    asked = answering(request(features={"view": "planes", "entity": "plane", "maxAge": "2m"}))
    assert (asked.features_view, asked.features_entity, asked.features_max_age_seconds) == ("planes", "plane", 120.0)
    with pytest.raises(InvalidInput, match="features cannot be set"):
        refuse_what_a_command_ignores(request(features={"view": "planes", "entity": "plane"}))


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
        {"drift": {"reference": "/reference.json"}},
    ],
)
def test_a_command_is_not_told_what_it_would_ignore(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        refuse_what_a_command_ignores(request(**fields))
    assert refused.value.subject == next(iter(fields))
    refuse_what_a_command_ignores(request(**{key: {} for key in fields if key != "drift"}))


def test_a_command_has_no_workers_of_ours() -> None:
    with pytest.raises(InvalidInput) as refused:
        refuse_what_a_command_ignores(request(infrastructure={"resources": {"workers": 2}}))
    assert refused.value.subject == "infrastructure.resources.workers"


def test_users_are_told_apart_by_what_the_request_says() -> None:
    assert sticky(request()) is None
    assert sticky(request(traffic={"stickyBy": {"cookie": "visitor"}})) == Sticky(cookie="visitor")


def test_one_port_is_not_for_several_replicas_of_a_command() -> None:
    with pytest.raises(InvalidInput, match="2 replicas") as refused:
        refuse_one_port_for_several(request(), 9000)
    assert refused.value.subject == "modelArtifact.settings.port"
    refuse_one_port_for_several(request(), 0)
    refuse_one_port_for_several(request(infrastructure={"resources": {"replicas": 1}}), 9000)


def ab_test() -> DeploymentRequest:
    arms = [
        {"modelArtifact": {"path": "/b.onnx"}, "weight": 20, "match": {"header": "x-group", "value": "beta"}},
        {"modelArtifact": {"path": "/c.onnx"}, "weight": 5.5, "match": {"cookie": "group", "value": "c"}},
    ]
    return request(deploymentStrategy="ab-test", abTest={"arms": arms})


def test_a_reason_is_demanded_where_the_request_says_so_and_never_on_the_way_back() -> None:
    asked = request(gates={"requireReason": True})
    stable = RevisionRow(1, 3, "a" * 64, asked.as_document(), NOW)
    assert plan_trial(asked, stable, 4).reason_required
    assert plan_trial(asked, None, 1).reason_required
    assert not plan_trial(request(), stable, 4).reason_required, "the candidate's request decides"
    assert not plan_return(asked, stable, 2).reason_required


def test_the_challengers_of_an_ab_test_are_revisions_from_the_candidate_on() -> None:
    assert arms(ab_test(), 4) == (Arm(4, 20, "b"), Arm(5, 5.5, "c"))
    assert arms(request(deploymentStrategy="ab-test"), 4) == (Arm(4, 50, "candidate"),)
    assert arms(request(), 4) == ()
    assert trial_steps(ab_test(), 2) == (Step(25.5, 0.0, "person"),)


def test_requests_are_forced_on_the_arms_that_take_part_in_the_split() -> None:
    stable = RevisionRow(1, 3, "a" * 64, request().as_document(), NOW)
    rollout = Rollout.begin(plan_trial(ab_test(), stable, 4), NOW)
    assert forced(ab_test(), rollout) == ()
    split = rollout.evolve(phase=Phase.PAUSED, step=0)
    assert forced(ab_test(), split) == (Forced(4, "beta", header="x-group"), Forced(5, "c", cookie="group"))
    left = split.evolve(arms=split.arms[1:])
    assert forced(ab_test(), left) == (Forced(5, "c", cookie="group"),)
