"""The exposition: every metric of the catalogue and no other, with numbers that agree with each other."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.observe.conftest import Promtool
from tests.observe.records import CANDIDATE, CHURN, CONTROLLER, STABLE, Bucket
from tidegate.observe.catalogue import CATALOGUE, CODE_CLASSES, DRIFT_STATES, OUTCOMES, PHASES
from tidegate.observe.exposition import (
    DeploymentMetrics,
    cumulative,
    duration_bounds,
    estimated_sum_seconds,
    render,
)


def families(*deployments: DeploymentMetrics) -> dict[str, Metric]:
    text = render(CONTROLLER, deployments).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(name: str, deployment: DeploymentMetrics = CHURN, **labels: str) -> float | None:
    """Return a series of the deployment, over all processes of the gateway; None when there is no such series."""
    wanted = {"deployment": deployment.deployment, **labels}
    found = [
        float(sample.value)
        for family in families(deployment).values()
        for sample in family.samples
        if sample.name == name and {key: sample.labels[key] for key in sample.labels if key != "gateway"} == wanted
    ]
    return sum(found) if found else None


def test_exactly_the_catalogue_is_served_with_its_kinds_labels_and_help() -> None:
    served = families(CHURN)
    assert set(served) == {metric.name.removesuffix("_total") for metric in CATALOGUE}
    for metric in CATALOGUE:
        family = served[metric.name.removesuffix("_total")]
        assert family.type == metric.kind
        assert family.documentation == metric.help
        assert {sample.name for sample in family.samples} == metric.series
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels)


def test_counts_come_by_class_of_status() -> None:
    counts = {code: value("tidegate_gateway_requests_total", revision="1", code_class=code) for code in CODE_CLASSES}
    assert counts == {"2xx": 980, "4xx": 15, "5xx": 5}


def test_a_class_without_requests_counts_zero_so_that_the_first_failure_is_an_increase() -> None:
    assert value("tidegate_gateway_requests_total", revision="2", code_class="5xx") == 0


def test_the_objective_is_a_bound_of_the_histogram_and_what_is_above_it_is_slow() -> None:
    name = "tidegate_gateway_request_duration_seconds"
    within = value(f"{name}_bucket", revision="1", le="0.05")
    everything = value(f"{name}_count", revision="1")
    slow = value("tidegate_gateway_slow_requests_total", revision="1")
    assert within is not None
    assert everything == 1000
    assert everything - within == slow == 4


def test_one_phase_is_current_and_every_outcome_is_counted() -> None:
    phases = {phase: value("tidegate_rollout_phase", phase=phase) for phase in PHASES}
    assert {phase for phase, current in phases.items() if current} == {"analyzing"}
    assert [value("tidegate_rollouts_total", outcome=outcome) for outcome in OUTCOMES] == [2, 0, 0, 0]


def test_the_last_reading_of_drift_is_there_whole_and_nothing_where_there_is_none() -> None:
    states = {state: value("tidegate_drift_columns", revision="1", state=state) for state in DRIFT_STATES}
    assert states == {"none": 1, "inconclusive": 0, "moderate": 0, "large": 1}
    assert value("tidegate_drift_psi", revision="1", column="age") == 0.31
    assert value("tidegate_drifted", revision="1") == 1
    assert value("tidegate_drift_requests", revision="1") == 720
    assert value("tidegate_drift_last_reading_timestamp_seconds", revision="1") == 1_772_366_400.5
    assert value("tidegate_drifted", replace(CHURN, drift=None), revision="1") is None


def test_the_last_reading_of_each_aspect_is_there_with_what_it_measured() -> None:
    quality = {"revision": "1", "aspect": "quality"}
    assert value("tidegate_drift_aspect_drifted", **quality) == 1
    assert value("tidegate_drift_aspect_drifted", revision="1", aspect="together") == 0
    assert value("tidegate_drift_aspect_drifted", revision="1", aspect="performance") is None
    assert value("tidegate_drift_aspect_requests", **quality) == 300
    assert value("tidegate_drift_aspect_last_reading_timestamp_seconds", **quality) == 1_772_366_410.0
    for time, figure in (("reference", 0.9), ("current", 0.6)):
        assert value("tidegate_drift_aspect_figure", **quality, figure="accuracy", time=time) == figure


def test_a_check_that_nothing_fails_counts_zero_so_that_an_alert_can_end() -> None:
    failing = {name: value("tidegate_checks_failing", revision="2", check=name) for name in ("readiness", "warm")}
    assert failing == {"readiness": 1, "warm": 0}


def test_what_is_not_known_is_absent() -> None:
    assert value("tidegate_traffic_observed_percent", revision="1") == 94.8
    assert value("tidegate_traffic_observed_percent", revision="2") is None


def test_counters_of_a_gateway_that_cannot_be_read_are_absent_not_stale() -> None:
    blind = replace(CHURN, revisions=(replace(STABLE, requests={}), replace(CANDIDATE, requests={})))
    assert value("tidegate_gateway_requests_total", blind, revision="1", code_class="2xx") is None
    assert value("tidegate_gateway_request_duration_seconds_count", blind, revision="1") is None
    assert value("tidegate_replicas", blind, revision="1", state="ready") == 2


def test_each_process_of_the_gateway_has_series_of_its_own_since_each_begins_at_zero() -> None:
    samples = families(CHURN)["tidegate_gateway_requests"].samples
    by_process = {
        (one.labels["revision"], one.labels["gateway"], one.labels["code_class"]): one.value for one in samples
    }
    assert (by_process["1", "1", "2xx"], by_process["1", "2", "2xx"]) == (600, 380)


def test_deployments_stand_side_by_side() -> None:
    both = families(CHURN, replace(CHURN, deployment="fraud"))
    names = {sample.labels["deployment"] for sample in both["tidegate_replicas"].samples}
    assert names == {"churn", "fraud"}


def test_without_deployments_the_controller_still_reports_itself() -> None:
    served = families()
    assert [sample.labels for sample in served["tidegate_controller_info"].samples] == [{"version": "0.1.0"}]
    assert [sample.value for sample in served["tidegate_gateway_up"].samples] == [1]


buckets = st.lists(
    st.builds(
        lambda lower, width, count: Bucket(lower, lower + width, count),
        st.floats(min_value=0, max_value=40_000),
        st.floats(min_value=0.1, max_value=1000),
        st.integers(min_value=0, max_value=10**6),
    ),
    max_size=20,
)


@given(buckets, st.floats(min_value=1, max_value=600_000))
def test_the_histogram_is_cumulative_complete_and_agrees_with_slow_requests(
    durations: list[Bucket], objective_ms: float
) -> None:
    bounds = duration_bounds(objective_ms)
    counted = cumulative(durations, bounds)
    counts = [count for _, count in counted]
    total = sum(bucket.count for bucket in durations)
    assert counts == sorted(counts)
    assert counted[-1] == ("+Inf", total)
    slow = sum(bucket.count for bucket in durations if bucket.lower_ms >= objective_ms / 1000 * 1000)
    assert dict(counted)[str(objective_ms / 1000)] == total - slow
    low = sum(bucket.count * bucket.lower_ms for bucket in durations) / 1000
    high = sum(bucket.count * bucket.upper_ms for bucket in durations) / 1000
    assert low <= estimated_sum_seconds(durations) * (1 + 1e-9)
    assert estimated_sum_seconds(durations) <= high * (1 + 1e-9)


def test_an_open_bucket_counts_at_its_lower_end() -> None:
    assert estimated_sum_seconds([Bucket(1000, float("inf"), 3)]) == 3.0


def test_promtool_accepts_the_exposition(promtool: Promtool) -> None:
    checked = promtool("check", "metrics", stdin=render(CONTROLLER, [CHURN]).decode())
    assert checked.returncode == 0, checked.stdout + checked.stderr
