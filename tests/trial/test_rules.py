"""What the judge is held to, from what a request says of all signals and of single ones."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.contract.errors import InvalidInput
from tidegate.contract.request import parse_request
from tidegate.trial.rules import DISAGREEMENT, comparison_rules, rules


def policies(**analysis: Any) -> dict[str, Any]:
    steps = [{"shadow": 20}, 5, 100]
    document = {"modelArtifact": {"path": "m"}, "servingRequirements": {}, "steps": steps, "analysis": analysis}
    return {signal.name: signal for signal in rules(parse_request(document)).signals}


def test_signals_are_judged_alike_where_nothing_is_said_of_one() -> None:
    found = policies(margin="3%", minRequests=70)
    assert list(found) == ["errors", "latency", "rejections"]
    assert {(signal.margin, signal.min_requests, signal.is_critical) for signal in found.values()} == {(0.03, 70, True)}


def test_what_is_said_of_one_signal_holds_for_it_alone() -> None:
    settings = {"objective": "5%", "margin": "1%", "minRequests": 9, "weight": 3, "critical": False, "dryRun": True}
    found = policies(signals={"rejections": settings})
    one = found["rejections"]
    assert (one.objective, one.margin, one.min_requests) == (0.05, 0.01, 9)
    assert (one.weight, one.is_critical, one.is_dry_run) == (3, False, True)
    assert found["errors"].objective == 0.001


def test_disagreement_is_judged_where_it_is_limited_and_measured() -> None:
    assert policies(disagreement="2%")[DISAGREEMENT].objective == 0.02
    document = {"modelArtifact": {"path": "m"}, "servingRequirements": {}, "analysis": {"disagreement": "2%"}}
    assert DISAGREEMENT not in [signal.name for signal in rules(parse_request(document)).signals]


def test_the_arms_of_an_ab_test_divide_alpha_and_what_is_said_of_them_together_has_all_of_it() -> None:
    arms = [{"modelArtifact": {"path": f"{name}.onnx"}, "weight": 20} for name in "bcd"]
    document = {
        "modelArtifact": {"path": "m"},
        "servingRequirements": {},
        "deploymentStrategy": "ab-test",
        "abTest": {"arms": arms},
        "analysis": {"alpha": "3%"},
    }
    request = parse_request(document)
    assert rules(request).alpha == pytest.approx(0.01)
    assert comparison_rules(request).alpha == pytest.approx(0.03)
    assert [signal.name for signal in comparison_rules(request).signals] == ["errors", "latency", "rejections"]


def test_arms_are_compared_by_outcomes_as_well_where_they_are_told_and_by_no_metric_of_its_own() -> None:
    counted = {"bad": "bad", "total": "all", "objective": "1%"}
    metric = {"name": "useless", "http": {"url": "http://127.0.0.1:9/{{revision}}"}, "counted": counted}
    document = {
        "modelArtifact": {"path": "m"},
        "servingRequirements": {},
        "deploymentStrategy": "ab-test",
        "analysis": {"outcomes": {"bad": "5%", "window": "1m"}, "metrics": [metric]},
    }
    compared = comparison_rules(parse_request(document))
    assert [signal.name for signal in compared.signals] == ["errors", "latency", "rejections", "outcomes"]
    assert (compared.metrics, compared.shifts, compared.mix) == ((), (), None)


def rules_with(**analysis):
    return rules(parse_request({"modelArtifact": {"path": "m"}, "servingRequirements": {}, "analysis": analysis}))


def test_predictions_are_shown_and_take_nothing_from_alpha_until_they_are_limited():
    usual = rules_with()
    (shown,) = usual.shifts
    assert (shown.name, shown.is_dry_run) == ("predictions", True)
    assert usual.mix is not None
    assert sum(usual.alpha_of(signal) for signal in usual.signals) == pytest.approx(usual.alpha)
    limited = rules_with(predictions={"tolerance": "10%", "critical": True})
    judged = (*limited.signals, *limited.shifts)
    assert sum(limited.alpha_of(held) for held in judged) == pytest.approx(limited.alpha)
    assert limited.alpha_of(limited.signals[0]) < usual.alpha_of(usual.signals[0])


def test_other_inputs_excuse_predictions_and_outcomes_and_nothing_else():
    held = rules_with(outcomes={"bad": "5%", "window": "1m"}, predictions={"tolerance": "10%"})
    assert [one.name for one in (*held.signals, *held.shifts) if one.depends_on_inputs] == ["outcomes", "predictions"]


def test_distributions_are_of_one_candidate_and_a_test_of_several_arms_cannot_limit_them():
    arms = [{"modelArtifact": {"path": f"{name}.onnx"}, "weight": 20} for name in "bc"]
    test = {"deploymentStrategy": "ab-test", "abTest": {"arms": arms}}
    document = {"modelArtifact": {"path": "m"}, "servingRequirements": {}, **test}
    held = rules(parse_request(document))
    assert (held.shifts, held.mix) == ((), None)
    with pytest.raises(InvalidInput, match=r"no tolerance beside abTest\.arms"):
        parse_request({**document, "analysis": {"predictions": {"tolerance": "10%"}}})
