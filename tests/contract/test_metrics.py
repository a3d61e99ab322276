"""Metrics of a request document: what may be asked, and what is refused before anything is."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import pytest

from tidegate.contract.errors import InvalidInput
from tidegate.contract.metrics import TAKEN, filled
from tidegate.contract.request import DeploymentRequest, parse_request
from tidegate.trial.rules import rules

PROMETHEUS = {"address": "http://127.0.0.1:9090", "query": 'sum(rate(late{revision="{{revision}}"}[1m]))'}
HTTP = {"url": "http://127.0.0.1:1/{{revision}}"}
PYTHON = {"path": "ours.py", "trust": True}
COMPARE = {"tolerance": {"relative": 0.2}}
COUNTED = {"bad": "seen.bad", "total": "seen.all", "objective": "1%"}
ABOVE = {"failureCondition": "result > 1"}


def request(*metrics: dict[str, Any]) -> DeploymentRequest:
    named = [{"name": f"m{number}", **metric} for number, metric in enumerate(metrics)]
    return parse_request(
        {"modelArtifact": {"path": "m.onnx"}, "servingRequirements": {}, "analysis": {"metrics": named}}
    )


@pytest.mark.parametrize("provider", [{"http": HTTP}, {"python": PYTHON}, {"prometheus": PROMETHEUS}])
@pytest.mark.parametrize("judged", [ABOVE, {"compare": COMPARE}, {"successCondition": "result < 1"}])
def test_every_provider_is_judged_in_every_way(provider: dict[str, Any], judged: dict[str, Any]) -> None:
    parsed = request({**provider, **judged, "failureLimit": 2, "count": 3, "critical": False})
    (policy,) = rules(parsed).metrics
    assert (policy.name, policy.failure_limit, policy.successes, policy.is_critical) == ("m0", 2, 3, False)
    assert (policy.inconclusive_limit, policy.consecutive_error_limit) == (0, 4)
    assert parse_request(parsed.as_document()) == parsed


def test_counted_metrics_are_judged_like_the_other_signals_and_share_alpha() -> None:
    queries = {"bad": 'b{r="{{revision}}"}', "total": 't{r="{{revision}}"}', "objective": "2%", "minRequests": 9}
    parsed = request(
        {"http": HTTP, "counted": COUNTED},
        {"prometheus": {"address": "http://p:1"}, "counted": queries, "dryRun": True},
    )
    policy = rules(parsed)
    assert policy.metrics == ()
    first, second = policy.signals[-2:]
    assert (first.name, first.objective, first.min_requests, first.margin) == ("m0", 0.01, 50, 0.02)
    assert (second.objective, second.min_requests, second.is_dry_run) == (0.02, 9, True)
    spent = sum(policy.alpha_of(signal) for signal in policy.signals if signal.fails_candidates)
    assert spent == pytest.approx(policy.alpha)
    assert (first.fails_candidates, second.fails_candidates) == (True, False)


def test_the_path_of_a_function_counts_from_the_documents_folder() -> None:
    anchored = request({"python": PYTHON, **ABOVE}).anchored(PurePath("/etc/churn"))
    (metric,) = anchored.analysis.metrics
    assert metric.python is not None
    assert metric.python.path == "/etc/churn/ours.py"


@pytest.mark.parametrize(
    ("metric", "why"),
    [
        ({**ABOVE}, "exactly one of prometheus, http, python"),
        ({"http": HTTP, "python": PYTHON, **ABOVE}, "exactly one of prometheus, http, python"),
        ({"http": HTTP}, "exactly one of conditions"),
        ({"http": HTTP, **ABOVE, "compare": COMPARE}, "exactly one of conditions"),
        ({"http": HTTP, "compare": COMPARE, "counted": COUNTED}, "exactly one of conditions"),
        ({"http": HTTP, "failureCondition": "import os"}, "a condition on result"),
        ({"http": HTTP, "failureCondition": "value > 1"}, "unknown name value"),
        ({"http": {"url": "http://127.0.0.1:1/"}, "compare": COMPARE}, "{{revision}}"),
        ({"prometheus": {**PROMETHEUS, "query": "up"}, "compare": COMPARE}, "{{revision}}"),
        ({"prometheus": {**PROMETHEUS, "query": "up{r='{{canary}}'}"}, **ABOVE}, "placeholders out of"),
        ({"prometheus": PROMETHEUS, "counted": COUNTED}, "prometheus.query, or the two of counted"),
        ({"prometheus": {"address": "http://p:1"}, **ABOVE}, "prometheus.query, or the two of counted"),
        ({"http": HTTP, "counted": {**COUNTED, "bad": "sum(x)"}}, "paths in counted"),
        ({"http": {**HTTP, "url": "file:///etc/passwd"}, **ABOVE}, "an http:// or https:// URL"),
        ({"http": {**HTTP, "url": "http://u:s3cr3t@h/"}, **ABOVE}, "valueFromEnv"),
        ({"http": {**HTTP, "url": "http://h/?api_key=s3cr3t"}, **ABOVE}, "a URL without a secret"),
        ({"http": {**HTTP, "url": "http://{{deployment}}/"}, **ABOVE}, "an http:// or https:// URL"),
        ({"http": {**HTTP, "headers": {"Authorization": {"value": "s3cr3t"}}}, **ABOVE}, "valueFromEnv"),
        ({"http": {**HTTP, "headers": {"x-a": {"value": "1\r\nx: 2"}}}, **ABOVE}, "a value on one line"),
        ({"http": {**HTTP, "headers": {"x-a": {"valueFromEnv": "HOME"}}}, **ABOVE}, "begins with TIDEGATE_"),
        ({"http": {**HTTP, "headers": {"x-a": {}}}, **ABOVE}, "exactly one of value and valueFromEnv"),
        ({"http": {**HTTP, "body": {}}, **ABOVE}, "no body for GET"),
        ({"http": {**HTTP, "path": "a[*]"}, **ABOVE}, "a path such as"),
        ({"python": {"path": "a.py"}, **ABOVE}, "trust: true"),
        ({"python": {**PYTHON, "function": "a.b"}, **ABOVE}, "the name of a function"),
        ({"http": HTTP, **ABOVE, "interval": "100ms"}, "500ms"),
        ({"http": HTTP, **ABOVE, "failureLimit": -1}, "expected 0 or more"),
        ({"http": HTTP, **ABOVE, "name": "Bad Name"}, "a name of lower-case letters"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_what_was_expected(metric: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        request(metric)
    assert why in str(refused.value)
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize("name", TAKEN)
def test_names_of_the_judges_own_signals_are_taken(name: str) -> None:
    with pytest.raises(InvalidInput, match="no signal of the judge's own"):
        request({"http": HTTP, **ABOVE, "name": name})


def test_a_name_is_used_once() -> None:
    with pytest.raises(InvalidInput, match="each name once"):
        request({"http": HTTP, **ABOVE, "name": "twice"}, {"http": HTTP, **ABOVE, "name": "twice"})


def test_what_stands_for_a_placeholder_is_not_searched_for_others() -> None:
    assert (
        filled("a{{deployment}}b{{ revision }}", {"deployment": "{{revision}}", "revision": "7"}) == "a{{revision}}b7"
    )
