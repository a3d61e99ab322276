"""The forecast of a request: its settings are the request's, and its suggestions help."""

from __future__ import annotations

import json

import pytest

from tidegate.contract.errors import InvalidInput
from tidegate.trial.forecast import forecast, parsed_baseline_rates

#: Of two challengers, in percent.
SHARES = {"b": 20, "c": 10}


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


@pytest.mark.long
def test_a_step_that_is_passed_before_harm_shows_gets_a_suggestion_that_helps():
    rash = request(analysis={"stepDuration": "10m", "margin": "40%"})
    told = forecast(rash, traffic="40rps")
    assert min(signal["regressions"][2]["caught"] for signal in told["steps"][0]["signals"]) < 0.5
    sentence = next(text for text in told["suggestions"] if "minRequests" in text)
    asked = int(sentence.partition("minRequests ")[2].partition(")")[0])
    after = forecast(request(analysis={**rash["analysis"], "minRequests": asked}), traffic="40rps")
    assert min(signal["regressions"][2]["caught"] for signal in after["steps"][0]["signals"]) >= 0.5


@pytest.mark.long
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


def told_of(**changes):
    asked = {key: value for key, value in request(**changes).items() if value is not None}
    return forecast(asked, traffic="40rps")


def signals_of(step):
    return [signal["signal"] for signal in step["signals"]]


def test_copied_requests_show_disagreement_and_hit_no_user():
    shadow = {"shadow": 50, "duration": "2m"}
    told = told_of(steps=[shadow, 100], analysis={"stepDuration": "2m", "disagreement": "2%"})
    copied, weighted = told["steps"]
    assert signals_of(copied) == ["errors", "latency", "rejections", "disagreement"]
    assert signals_of(weighted) == ["errors", "latency", "rejections"]
    assert {worse["users_hit"] for signal in copied["signals"] for worse in signal["regressions"]} <= {0.0, None}
    assert copied["signals"][3]["regressions"][2]["caught"] > 0.9
    ten_times = next(row for row in told["rollouts"] if (row["signal"], row["factor"]) == ("disagreement", 10.0))
    assert (ten_times["taken_back"], ten_times["users_hit"]) == (1.0, 0.0)


@pytest.mark.long
def test_harm_is_seen_while_a_step_is_held_and_it_takes_its_time():
    told = told_of(steps=[50, {"pause": "30m"}, 100, {"bake": "1h"}], analysis={"stepDuration": "2m"})
    assert [step["until"] for step in told["steps"]] == ["pass", "time", "pass", "time"]
    assert told["promotion_seconds"] > 30 * 60 + 3600
    passed, held = (step["signals"][0]["regressions"][0] for step in told["steps"][:2])
    assert held["caught"] > passed["caught"]
    assert held["seconds"] < 30 * 60


@pytest.mark.long
def test_a_pause_for_a_person_is_told_and_has_no_end():
    told = told_of(steps=[50, {"pause": "person"}, 100])
    assert told["waits_for_person"]
    waiting = told["steps"][1]
    assert (waiting["seconds"], waiting["signals"][0]["smallest_rate"]) == (None, None)
    assert waiting["signals"][0]["regressions"][2]["seconds"] < 60
    assert waiting["signals"][0]["regressions"][2]["caught"] is None


def test_a_switch_is_judged_by_what_stable_was_before_and_its_preview_shows_nothing():
    told = told_of(steps=None, deploymentStrategy="blue-green", blueGreen={"preview": "90s", "bake": "5m"})
    assert told["without_requests"] == [{"until": "time", "seconds": 90.0}]
    assert [(step["share"], step["seconds"]) for step in told["steps"]] == [(1.0, 300.0)]
    assert told["promotion_seconds"] == pytest.approx(90 + 300 + 5, abs=1)
    assert told["steps"][0]["signals"][0]["regressions"][2]["caught"] > 0.9


@pytest.mark.long
def test_a_rolling_exchange_is_seen_at_each_of_its_weights():
    replicas = {"resources": {"replicas": 4}}
    told = told_of(steps=None, deploymentStrategy="rolling", infrastructure=replicas, rolling={"hold": "1m"})
    assert [step["share"] for step in told["steps"]] == [0.25, 0.5, 0.75, 1.0]
    assert {step["until"] for step in told["steps"]} == {"time"}


@pytest.mark.long
def test_each_arm_of_an_ab_test_is_foretold_with_its_own_share_and_its_part_of_alpha():
    arms = [{"name": name, "modelArtifact": {"path": f"/m/{name}"}, "weight": share} for name, share in SHARES.items()]
    told = told_of(steps=None, deploymentStrategy="ab-test", abTest={"arms": arms})
    alone = told_of(steps=None, deploymentStrategy="ab-test", abTest={"weight": 30})
    assert [(step["arm"], step["share"]) for step in told["steps"]] == [("b", 0.2), ("c", 0.1)]
    five_times = [step["signals"][0]["regressions"][1]["seconds"] for step in (*alone["steps"], *told["steps"])]
    assert five_times == sorted(five_times)
    assert "arm" not in alone["steps"][0]
    assert (told["waits"], told["rollouts"]) == (1.0, [])


@pytest.mark.long
def test_an_ab_test_has_no_end_of_its_own():
    told = told_of(steps=None, deploymentStrategy="ab-test")
    assert (told["waits"], told["promotion_seconds"], told["rollouts"]) == (1.0, None, [])
    assert told["steps"][0]["signals"][0]["regressions"][2]["seconds"] < 60
