"""The forecast of a request: its settings are the request's, and its suggestions help."""

from __future__ import annotations

import json

import pytest

from tidegate.contract.errors import InvalidInput
from tidegate.trial.forecast import forecast, parsed_baseline_rates


def request(**changes):
    usual = {"modelArtifact": {"path": "/models/churn.skops"}, "servingRequirements": {"availability": "99%"}}
    return usual | {"steps": [50, 100], "analysis": {"stepDuration": "2m"}} | changes


@pytest.fixture(scope="module")
def told():
    return forecast(request(), traffic="40rps")


def test_a_forecast_is_plain_json_with_a_step_for_each_of_the_request(told):
    assert json.loads(json.dumps(told)) == told
    assert [step["share"] for step in told["steps"]] == [0.5, 1.0]
    assert {step["seconds"] for step in told["steps"]} == {120.0}
    assert told["settings"]["traffic"] == "40rps"
    assert told["settings"]["baseline_rates"] == {"errors": 0.01, "latency": 0.01, "rejections": 0.01}


def test_a_step_that_is_passed_before_harm_shows_gets_a_suggestion_that_helps():
    rash = request(analysis={"stepDuration": "10m", "margin": "40%"})
    told = forecast(rash, traffic="40rps")
    assert min(signal["regressions"][2]["caught"] for signal in told["steps"][0]["signals"]) < 0.5
    sentence = next(text for text in told["suggestions"] if "minRequests" in text)
    asked = int(sentence.partition("minRequests ")[2].partition(")")[0])
    after = forecast(request(analysis={**rash["analysis"], "minRequests": asked}), traffic="40rps")
    assert min(signal["regressions"][2]["caught"] for signal in after["steps"][0]["signals"]) >= 0.5


def test_a_step_that_is_too_short_gets_a_suggestion_that_helps():
    told = forecast(request(analysis={"stepDuration": "5s"}), traffic="4rps")
    text = told["suggestions"][0]
    assert "step 1 (50 %) ends before" in text
    longer = text.partition("longer step (")[2].partition(";")[0]
    after = forecast(request(analysis={"stepDuration": longer, "minRequests": 5_000}), traffic="4rps")
    assert min(signal["regressions"][2]["caught"] for signal in after["steps"][0]["signals"]) >= 0.5


def test_a_baseline_far_inside_the_objective_is_told_to_be_no_harm():
    told = forecast(request(), traffic="40rps", baseline_rates={"all": "0.01%"})
    assert any("is still within the objective" in text for text in told["suggestions"])


@pytest.mark.parametrize(
    ("changes", "subject"),
    [
        ({"traffic": "50"}, "traffic"),
        ({"baseline_rates": {"errors": "much"}}, "baselineRate"),
        ({"baseline_rates": {"eror": "1%"}}, "baselineRate"),
    ],
)
def test_what_is_wrong_is_named(changes, subject):
    with pytest.raises(InvalidInput) as refused:
        forecast(request(), **changes)
    assert subject in str(refused.value.subject)


def test_rates_of_a_command_line_are_of_one_signal_or_of_all():
    assert parsed_baseline_rates(["0.2%", "errors=1%"]) == {"all": "0.2%", "errors": "1%"}
