"""What measurements of metrics with a threshold add up to, alone and beside the signals that are counted."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.judge import (
    Measurements,
    MetricPolicy,
    Policy,
    SignalPolicy,
    Tally,
    assess,
    assess_metric,
    begin,
    begin_step,
    observe,
)
from tidegate.judge.metrics import LONGEST_DETAIL

went = st.sampled_from(["success", "failure", "inconclusive", "error"])


def after(*several: str) -> Measurements:
    seen = Measurements()
    for number, one in enumerate(several):
        seen = seen.after(one, f"{one} {number}")  # type: ignore[arg-type]
    return seen


@pytest.mark.parametrize(
    ("several", "policy", "outcome", "reason"),
    [
        ([], {}, "inconclusive", "0 of 1 measurements needed so far"),
        (["success"], {}, "pass", "success 0"),
        (["failure"], {}, "fail", "failure 0 (1 of 1 measurement failed)"),
        (["failure", "success"], {"failure_limit": 1}, "pass", "success 1 (1 of 2 measurements failed, 1 allowed)"),
        (["failure"] * 2, {"failure_limit": 1}, "fail", "failure 1 (2 of 2 measurements failed, 1 allowed)"),
        (["success", "inconclusive"], {}, "inconclusive", "inconclusive 1 (1 in this step neither passed nor failed)"),
        (["success", "inconclusive"], {"inconclusive_limit": 1}, "pass", "success 0"),
        (["success", *["error"] * 4], {}, "pass", "success 0"),
        (["success", *["error"] * 5], {}, "error", "could not be measured (5 times in a row): error 5"),
        (["success", *["error"] * 5, "success"], {}, "pass", "success 6"),
        (["error"], {}, "inconclusive", "0 of 1 measurements needed so far; the last: error 0"),
        (["error"], {"consecutive_error_limit": 0}, "error", "could not be measured: error 0"),
        (["success", "success"], {"successes": 3}, "inconclusive", "2 of 3 measurements needed so far"),
        (["error"] * 9 + ["failure"], {}, "fail", "failure 9 (1 of 10 measurements failed)"),
    ],
)  # fmt: skip
def test_limits_are_those_of_argo(several: list[str], policy: dict[str, int], outcome: str, reason: str) -> None:
    said = assess_metric(MetricPolicy("queue", **policy), after(*several))
    assert (said.outcome, said.reason) == (outcome, f"queue: {reason}")


@given(st.lists(went, max_size=30), st.integers(0, 5), st.integers(0, 5), st.integers(0, 5), st.integers(1, 4))
def test_a_pass_was_measured_and_a_fail_has_more_failures_than_are_borne(
    several: list[str], failures: int, inconclusives: int, errors: int, successes: int
) -> None:
    policy = MetricPolicy("m", failures, inconclusives, errors, successes)
    seen = after(*several)
    said = assess_metric(policy, seen)
    assert (said.outcome == "fail") == (several.count("failure") > failures)
    if said.outcome == "pass":
        assert several.count("success") >= successes
        assert several.count("inconclusive") <= inconclusives
        assert several[-errors - 1 :] != ["error"] * (errors + 1)
    assert 0.0 <= said.harm <= 1.0
    assert (said.harm >= 1.0) == (said.outcome == "fail")
    assert Measurements.from_storage(json.loads(json.dumps(seen.for_storage()))) == seen
    fresh = seen.at_new_step()
    assert (fresh.failures, fresh.successes, fresh.inconclusives) == (seen.failures, 0, 0)
    assert assess_metric(policy, fresh).outcome != "pass"


def test_what_came_from_elsewhere_is_cut_short() -> None:
    assert len(Measurements().after("success", "x" * 10_000).last) == LONGEST_DETAIL


def verdict(several: dict[str, list[str]], *metrics: MetricPolicy, good: int = 900, bad: int = 0):  # type: ignore[no-untyped-def]
    policy = Policy((SignalPolicy("errors", objective=0.001),), metrics=metrics)
    evidence = begin_step(policy, begin(policy, {}))
    evidence = observe(policy, evidence, {"errors": Tally(good + bad, bad)}, {"errors": Tally(9_000, 3)})
    return assess(policy, evidence, measurements={name: after(*one) for name, one in several.items()})


@pytest.mark.parametrize(
    ("several", "fields", "outcome"),
    [
        (["success"], {}, "pass"),
        ([], {}, "inconclusive"),
        (["inconclusive"], {}, "inconclusive"),
        (["error"] * 5, {}, "error"),
        (["failure"], {}, "fail"),
        (["failure"], {"is_critical": False}, "warning"),
        (["failure"], {"is_dry_run": True}, "pass"),
        (["error"] * 5, {"is_dry_run": True}, "pass"),
        (["error"] * 5, {"is_critical": False}, "error"),
        ([], {"is_dry_run": True}, "pass"),
    ],
)
def test_the_worst_decides(several: list[str], fields: dict[str, bool], outcome: str) -> None:
    said = verdict({"m": several}, MetricPolicy("m", **fields))  # type: ignore[arg-type]
    assert said.outcome == outcome
    assert (outcome == "pass") == ("errors" in said.reason)
    assert [one.signal for one in said.said] == ["errors", "m"]


def test_a_fail_of_a_signal_stays_one_whatever_could_not_be_measured() -> None:
    said = verdict({"m": ["error"] * 9}, MetricPolicy("m"), good=10, bad=40)
    assert said.outcome == "fail"
    assert said.reason.startswith("errors: 40 of 50")


def test_the_score_counts_metrics_by_their_weight() -> None:
    half = MetricPolicy("m", failure_limit=1, weight=1.0)
    assert verdict({"m": ["failure", "success"]}, half).score == 75
    assert verdict({"m": ["failure", "success"]}, MetricPolicy("m", failure_limit=1, weight=3.0)).score == 62


def test_names_are_used_once_and_limits_are_none_below_zero() -> None:
    with pytest.raises(ValueError, match="must differ"):
        Policy((SignalPolicy("errors", objective=0.1),), metrics=(MetricPolicy("errors"),))
    with pytest.raises(ValueError, match="failure_limit"):
        MetricPolicy("m", failure_limit=-1)
