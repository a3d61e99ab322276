"""Forecasts come from the judge: what they say is what it does to streams that it has not seen."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tidegate.judge import Policy, SignalPolicy, Tally, assess, begin, begin_step, observe
from tidegate.judge.forecast import Forecast, Setting, forecast
from tidegate.judge.streams import Stage, look_times

POLICY = Policy((SignalPolicy("errors", 0.01),))


def setting(**changes) -> Setting:
    usual = Setting(POLICY, (Stage(0.1, 120.0),), requests_per_second=50.0, baseline_rates={"errors": 0.01})
    return dataclasses.replace(usual, **changes)


@pytest.fixture(scope="module")
def usual() -> Forecast:
    return forecast(setting())


def seconds_until_fail(rng, factor: float) -> int:
    """Take looks every second at the candidate of `setting`, `factor` times as bad as stable from the first on."""
    evidence = begin_step(POLICY, begin(POLICY, {"errors": Tally(250, int(rng.binomial(250, 0.01)))}))
    for second in range(1, 3_000):
        n1, n0 = int(rng.poisson(5.0)), int(rng.poisson(45.0))
        tried = Tally(n1, int(rng.binomial(n1, factor * 0.01)))
        beside = Tally(n0, int(rng.binomial(n0, 0.01)))
        evidence = observe(POLICY, evidence, {"errors": tried}, {"errors": beside})
        if assess(POLICY, evidence).outcome == "fail":
            return second
    raise AssertionError("never failed")


@pytest.mark.parametrize(("factor", "runs"), [(5.0, 80), (10.0, 120)])
def test_the_time_told_is_the_time_that_the_judge_takes(usual, factor, runs):
    """At length the two are within 20 % (benchmarks/judge); the median of a hundred runs strays by 8 % or so."""
    rng = np.random.default_rng(11)
    found = np.median([seconds_until_fail(rng, factor) for _ in range(runs)])
    told = next(worse for worse in usual.steps[0].signals[0].regressions if worse.factor == factor)
    assert told.seconds == pytest.approx(found, rel=0.3)
    assert told.users_hit == pytest.approx(told.seconds * 5.0 * told.rate, rel=0.4)


def test_where_a_short_baseline_decides_no_median_is_told_but_from_when_to_when():
    """Nothing of stable comes at 100 %, and of two bad requests of 1,000 nobody knows whether they are 0.1 or 0.5 %."""
    policy = Policy((SignalPolicy("errors", 0.001),))
    alone = setting(policy=policy, stages=(Stage(1.0, 300.0),), baseline_rates={"errors": 0.002}, baseline_seconds=20.0)
    found = {worse.factor: worse for worse in forecast(alone).steps[0].signals[0].regressions}
    beside = forecast(dataclasses.replace(alone, stages=(Stage(0.5, 300.0),))).steps[0].signals[0].regressions
    unsure = [worse for worse in found.values() if worse.between is not None]
    assert unsure
    for worse in unsure:
        sooner, later = worse.between
        assert (worse.seconds, worse.users_hit) == (None, None)
        assert later is None or later > 3.0 * sooner
    assert all(worse.between is None and worse.seconds is not None for worse in beside)


def test_requests_that_neither_answers_show_nothing(usual):
    """With a tenth of the candidate and a tenth of stable, harm shows later than beside all the rest of stable."""
    shared = forecast(setting(stages=(Stage(0.1, 120.0, elsewhere=0.8),)))
    two, _, ten = shared.steps[0].signals[0].regressions
    beside = usual.steps[0].signals[0].regressions
    assert two.seconds > beside[0].seconds
    assert ten.seconds >= beside[2].seconds
    with pytest.raises(ValueError, match="shares out all requests once"):
        Stage(0.5, 60.0, elsewhere=0.6)


def test_the_same_setting_gives_the_same_forecast(usual):
    assert forecast(setting()) == usual


def test_the_worse_a_candidate_is_the_sooner_it_shows(usual):
    two, five, ten = usual.steps[0].signals[0].regressions
    assert two.seconds > five.seconds > ten.seconds
    assert two.caught <= five.caught <= ten.caught
    assert ten.likely_seconds >= ten.seconds
    assert 0.02 < usual.steps[0].signals[0].smallest_rate < 0.1


def test_ten_times_the_traffic_shows_harm_about_ten_times_as_soon(usual):
    more = forecast(setting(requests_per_second=500.0)).steps[0].signals[0].regressions[1]
    assert usual.steps[0].signals[0].regressions[1].seconds / more.seconds == pytest.approx(10.0, rel=0.4)


def test_what_is_inside_the_objective_is_no_harm_and_never_taken_back():
    told = forecast(setting(baseline_rates={"errors": 0.0005}))
    for worse in told.steps[0].signals[0].regressions:
        assert not worse.harmful
        assert worse.seconds is None
        assert worse.caught <= 0.01
    assert all(whole.taken_back <= 0.01 for whole in told.rollouts)


def test_a_candidate_as_good_as_stable_is_promoted_when_the_time_is_enough():
    told = forecast(setting(stages=(Stage(0.1, 1_200.0), Stage(1.0, 1_200.0))))
    assert told.promoted >= 0.95
    assert told.taken_back <= 0.02
    assert told.promotion_seconds >= 5.0 + sum(step.pass_seconds for step in told.steps) * 0.8


@pytest.mark.parametrize(("when", "end"), [("pause", "waits"), ("rollback", "taken_back"), ("continue", "promoted")])
def test_a_step_without_a_verdict_ends_as_the_request_says(when, end):
    told = forecast(setting(stages=(Stage(0.1, 2.0),), when_undecided=when))
    assert getattr(told, end) == 1.0
    assert getattr(told.rollouts[0], end) == 1.0
    assert told.steps[0].pass_seconds is None


def test_signals_that_are_judged_alike_are_told_alike():
    policy = Policy((SignalPolicy("errors", 0.01), SignalPolicy("rejections", 0.01, verb="were rejected")))
    told = forecast(setting(policy=policy, baseline_rates={"errors": 0.01, "rejections": 0.01}))
    errors, rejections = told.steps[0].signals
    assert dataclasses.replace(errors, signal="any") == dataclasses.replace(rejections, signal="any")


@pytest.mark.parametrize(
    "change", [{"stages": ()}, {"requests_per_second": 0.0}, {"look_seconds": 0.0}, {"baseline_rates": {}}]
)
def test_a_setting_that_makes_no_sense_is_refused(change):
    with pytest.raises(ValueError, match="a forecast needs"):
        setting(**change)


@pytest.mark.parametrize(("share", "seconds"), [(-0.1, 1.0), (1.1, 1.0), (0.5, 0.0)])
def test_a_stage_that_makes_no_sense_is_refused(share, seconds):
    with pytest.raises(ValueError, match="a stage needs"):
        Stage(share, seconds)


@pytest.mark.parametrize("look", [0.1, 1.0, 7.0])
@pytest.mark.parametrize("seconds", [0.5, 30.0, 86_400.0])
def test_looks_grow_rarer_and_end_with_the_step(look, seconds):
    times = look_times(look, seconds)
    assert times[-1] == seconds
    gaps = np.diff([0.0, *times])
    assert (gaps > 0.0).all()
    assert gaps[0] == pytest.approx(min(look, seconds))
    assert (gaps <= np.maximum(look, 0.06 * np.array(times)) * 1.01).all()
