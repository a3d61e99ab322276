"""What a rehearsal decides before it begins."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contract.errors import InvalidInput, NotReady
from tidegate.contract.faults import FaultKind
from tidegate.contract.quantities import Throughput
from tidegate.contract.request import DeploymentRequest, parse_request
from tidegate.rehearsal import script

BUNDLE = PurePosixPath("/home/bundles/abc")


def request(**fields: Any) -> DeploymentRequest:
    document = {
        "name": "churn",
        "modelArtifact": {"path": "/models/churn.skops", "trust": True, "sample": "/models/rows.csv"},
        "servingRequirements": {"latencyP99": "50ms", "throughput": "80rps"},
        **fields,
    }
    return parse_request(document)


def test_without_words_every_kind_of_fault_is_rehearsed_once() -> None:
    faults = script.faults_of((), request())
    assert [fault.kind for fault in faults] == list(FaultKind)
    assert next(fault for fault in faults if fault.kind is FaultKind.LATENCY).text == "latency=+100ms"
    assert [fault.text for fault in script.faults_of(("crash=5", "errors=1%"), request())] == ["crash=5", "errors=1%"]
    with pytest.raises(InvalidInput, match="--fault"):
        script.faults_of(("flood",), request())


def test_a_copy_keeps_how_it_is_tried_and_tells_nobody() -> None:
    original = request(
        steps=[{"shadow": 20}, 10, 100],
        analysis={
            "disagreement": "1%",
            "margin": "3%",
            "outcomes": {"bad": "5%"},
            "metrics": [
                {
                    "name": "revenue",
                    "http": {"url": "http://127.0.0.1:1/{{candidate}}"},
                    "failureCondition": "result < 1",
                }
            ],
        },
        predictionLog={"sink": "jsonl:/var/log/{revision}.{replica}.jsonl"},
        drift={"reference": "/reference.json"},
        cache={"store": "redis"},
        infrastructure={"resources": {"replicas": 3, "workers": 2}},
        healthChecks={"maxRestarts": 1},
        gates={"golden": "/models/golden.json", "vulnerabilities": {"database": "/osv"}},
    )
    copy = script.copy_of(original, BUNDLE, 2)
    assert (copy.steps, copy.health_checks) == (original.steps, original.health_checks)
    assert copy.analysis == original.analysis.model_copy(update={"metrics": (), "outcomes": None})
    assert (copy.infrastructure, copy.traffic) == (original.infrastructure, original.traffic)
    assert copy.gates.golden == "/models/golden.json"
    assert copy.gates.vulnerabilities is None
    assert copy.model_artifact.path == str(BUNDLE)
    assert copy.cache.store == "off"
    assert copy.prediction_log.sink is None
    assert copy.drift is None
    assert (copy.notifications, copy.hooks) == ((), ())
    assert copy.model_artifact.version != script.copy_of(original, BUNDLE, 3).model_artifact.version
    assert parse_request(copy.as_document()) == copy
    told = " ".join(script.left_out(original))
    assert "not logged" in told
    assert "nobody watches for drift" in told
    assert "analysis.metrics" in told
    assert "outcomes" in told
    assert "not cached" in told
    assert script.left_out(request()) == ()


def test_a_test_of_several_challengers_is_rehearsed_with_one_that_has_the_weight_of_all() -> None:
    arms = [{"modelArtifact": {"path": f"/models/{name}"}, "name": name, "weight": 20} for name in ("one", "two")]
    original = request(deploymentStrategy="ab-test", abTest={"arms": arms})
    copy = script.copy_of(original, BUNDLE, 1)
    assert (copy.ab_test.arms, copy.ab_test.weight) == ((), 40)
    assert parse_request(copy.as_document()) == copy
    assert "one challenger" in script.left_out(original)[0]


def test_wrong_answers_are_seen_where_answers_or_their_distribution_are_held_to_stable_and_nowhere_else() -> None:
    limited = {"disagreement": "1%"}
    shadowed = {"steps": [{"shadow": 20}, 100]}
    assert script.sees_wrong_answers(request(gates={"golden": "/g.json"}))
    assert script.sees_wrong_answers(request(**shadowed, analysis=limited))
    assert script.sees_wrong_answers(request(healthChecks={"readiness": {"golden": "/g.json"}}))
    held = {"tolerance": "10%", "critical": True}
    assert script.sees_wrong_answers(request(steps=[25, 100], analysis={"predictions": held}))
    exchange = {"deploymentStrategy": "rolling", "infrastructure": {"resources": {"replicas": 2}}}
    assert script.sees_wrong_answers(request(**exchange, analysis={"predictions": held}))
    blind = [
        request(),
        request(deploymentStrategy="blue-green", analysis={"predictions": held}),
        request(steps=[25, 100], analysis={"predictions": {**held, "critical": False}}),
        request(steps=[25, 100], analysis={"predictions": {**held, "dryRun": True}}),
        request(steps=[25, 100], analysis={"predictions": {"critical": True}}),
        request(steps=[100], analysis={"predictions": held}),
        request(**shadowed),
        request(analysis=limited),
        request(healthChecks={"custom": [{"name": "told", "golden": "/g.json", "affects": "nothing"}]}),
        request(**shadowed, analysis={**limited, "signals": {"disagreement": {"dryRun": True}}}),
        request(**shadowed, analysis={**limited, "signals": {"disagreement": {"critical": False}}}),
    ]
    for one in blind:
        assert not script.sees_wrong_answers(one)
        advice = script.blind_spots(one, list(FaultKind))[FaultKind.WRONG_ANSWERS]
        assert "golden" in advice[0]
        assert "shadow" in advice[1]
        assert "analysis.predictions" in advice[2]
    assert script.blind_spots(request(), [FaultKind.ERRORS]) == {}


@given(answer_seconds=st.floats(0, 100), cores=st.integers(1, 512))
def test_the_rate_is_what_was_asked_else_the_throughput_within_what_the_machine_bears(
    answer_seconds: float, cores: int
) -> None:
    asked, why = script.rate(Throughput.parse("700rps"), request(), answer_seconds, cores)
    assert (asked, why) == (700.0, "700rps, as asked")
    rate, why = script.rate(None, request(), answer_seconds, cores)
    assert 0 < rate <= 80
    assert ("the deployment's throughput is 80rps" in why) == (rate < 80)


def test_too_little_memory_for_both_copies_is_refused() -> None:
    mib = 1024**2
    two = request(infrastructure={"resources": {"replicas": 2}})
    script.refuse_too_little_memory(two, 100 * mib, 0, 4096 * mib)
    with pytest.raises(NotReady, match="copies of stable and candidate"):
        script.refuse_too_little_memory(two, 100 * mib, 0, 400 * mib)
    script.refuse_too_little_memory(two, 100 * mib, 0, 900 * mib)
    with pytest.raises(NotReady):
        script.refuse_too_little_memory(two, 100 * mib, 256 * mib, 900 * mib)
