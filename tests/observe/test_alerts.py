"""Alert rules: Prometheus loads them, an outage fires, and what is no reason to wake anybody does not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.observe.conftest import Promtool
from tidegate.contract.quantities import Duration, Share
from tidegate.contract.request import ServingRequirements
from tidegate.observe.alerts import BURN_WINDOWS, alert_rules, burn_threshold, rule_file
from tidegate.observe.catalogue import CATALOGUE

STRICT = ServingRequirements()
LOOSE = ServingRequirements(availability=Share.parse("90%"), latency_p99=Duration.parse("1.5s"))

OK = 'tidegate_gateway_requests_total{deployment="churn",revision="1",code_class="2xx"}'
FAILED = 'tidegate_gateway_requests_total{deployment="churn",revision="1",code_class="5xx"}'
SLOW = 'tidegate_gateway_slow_requests_total{deployment="churn",revision="1"}'
WANTED = 'tidegate_replicas{deployment="churn",revision="1",state="wanted"}'
READY = 'tidegate_replicas{deployment="churn",revision="1",state="ready"}'
WEIGHT = 'tidegate_traffic_weight_percent{deployment="churn",revision="1"}'
RESTARTS = 'tidegate_replica_restarts_total{deployment="churn",revision="1"}'
CHECK = 'tidegate_checks_failing{deployment="churn",revision="1",check="warm"}'
PAUSED = 'tidegate_rollout_phase{deployment="churn",phase="paused"}'
TAKEN_BACK = 'tidegate_rollouts_total{deployment="churn",outcome="rolled_back"}'
DRIFTED = 'tidegate_drifted{deployment="churn",revision="1"}'
QUALITY = 'tidegate_drift_aspect_drifted{deployment="churn",revision="1",aspect="quality"}'
UP = "tidegate_gateway_up"

#: One sample a minute: 50 requests a second, all answered well and in time, for two hours.
HEALTHY = {
    OK: "0+3000x120",
    FAILED: "0x120",
    SLOW: "0x120",
    WANTED: "2x120",
    READY: "2x120",
    WEIGHT: "100x120",
    RESTARTS: "0x120",
    PAUSED: "0x120",
    TAKEN_BACK: "0x120",
    UP: "1x120",
}


def firing(
    promtool: Promtool,
    folder: Path,
    changes: Mapping[str, str | None],
    minute: int,
    requirements: ServingRequirements = STRICT,
) -> set[tuple[str, str]]:
    """Return name and severity of the alerts that fire at `minute` when the series of HEALTHY are changed so.

    promtool compares with what one expects; expecting nothing, its complaint lists what fired.
    """
    series = {name: values for name, values in {**HEALTHY, **changes}.items() if values is not None}
    (folder / "churn.rules.yml").write_text(rule_file("churn", requirements), encoding="utf-8")
    names = sorted({rule.name for rule in alert_rules("churn", requirements)})
    test = {
        "rule_files": ["churn.rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "alert_rule_test": [{"eval_time": f"{minute}m", "alertname": name, "exp_alerts": []} for name in names],
            }
        ],
    }
    (folder / "test.yml").write_text(yaml.safe_dump(test), encoding="utf-8")
    done = promtool("test", "rules", folder / "test.yml")
    told = done.stdout + done.stderr
    found = set(re.findall(r'Labels:\{alertname="(\w+)"[^}]*severity="(\w+)"', told))
    assert done.returncode == (1 if found else 0), told
    return found


@pytest.mark.parametrize("requirements", [STRICT, LOOSE], ids=["99.9%", "90%"])
def test_promtool_accepts_the_rule_file(promtool: Promtool, tmp_path: Path, requirements: ServingRequirements) -> None:
    path = tmp_path / "churn.rules.yml"
    path.write_text(rule_file("churn", requirements), encoding="utf-8")
    checked = promtool("check", "rules", path)
    assert checked.returncode == 0, checked.stderr
    assert f"SUCCESS: {len(alert_rules('churn', requirements))} rules found" in checked.stdout


def test_a_healthy_deployment_fires_nothing(promtool: Promtool, tmp_path: Path) -> None:
    assert firing(promtool, tmp_path, {}, 120) == set()


@pytest.mark.parametrize("requirements", [STRICT, LOOSE], ids=["99.9%", "90%"])
def test_an_outage_pages(promtool: Promtool, tmp_path: Path, requirements: ServingRequirements) -> None:
    outage = {OK: "0+3000x30 90000x90", FAILED: "0x30 3000+3000x89"}
    assert ("TidegateHighErrorRate", "page") in firing(promtool, tmp_path, outage, 120, requirements)


def test_errors_far_above_the_budget_page_within_minutes(promtool: Promtool, tmp_path: Path) -> None:
    a_tenth_fails = {OK: "0+3000x60 180000+2700x60", FAILED: "0x60 300+300x59"}
    assert ("TidegateHighErrorRate", "page") not in firing(promtool, tmp_path, a_tenth_fails, 61)
    assert ("TidegateHighErrorRate", "page") in firing(promtool, tmp_path, a_tenth_fails, 75)


def test_an_outage_that_is_over_no_longer_pages(promtool: Promtool, tmp_path: Path) -> None:
    over = {OK: "0+3000x60 180000x20 183000+3000x39", FAILED: "0x60 3000+3000x19 60000x40"}
    assert ("TidegateHighErrorRate", "page") in firing(promtool, tmp_path, over, 80)
    assert ("TidegateHighErrorRate", "page") not in firing(promtool, tmp_path, over, 115)


def test_a_failed_request_in_low_traffic_fires_nothing(promtool: Promtool, tmp_path: Path) -> None:
    quiet = {OK: "0+1x120", FAILED: "0x100 1x20", SLOW: "0x100 2x20"}
    assert firing(promtool, tmp_path, quiet, 103) == set()


def test_no_traffic_fires_nothing(promtool: Promtool, tmp_path: Path) -> None:
    assert firing(promtool, tmp_path, {OK: "0x120"}, 120) == set()


def test_slow_answers_make_a_ticket(promtool: Promtool, tmp_path: Path) -> None:
    five_percent = {SLOW: "0+150x120"}
    assert firing(promtool, tmp_path, five_percent, 120) == {("TidegateSlowResponses", "ticket")}


def test_as_many_slow_answers_as_p99_allows_fire_nothing(promtool: Promtool, tmp_path: Path) -> None:
    assert firing(promtool, tmp_path, {SLOW: "0+27x120"}, 120) == set()


def test_a_revision_that_shall_serve_and_cannot_pages(promtool: Promtool, tmp_path: Path) -> None:
    dead = {READY: "2x60 0x60"}
    assert firing(promtool, tmp_path, dead, 60) == set()
    assert firing(promtool, tmp_path, dead, 64) == {("TidegateNoReadyReplica", "page")}


def test_a_revision_without_traffic_may_be_down(promtool: Promtool, tmp_path: Path) -> None:
    assert firing(promtool, tmp_path, {READY: "0x120", WEIGHT: "0x120"}, 120) == set()


def test_replicas_that_keep_dying_make_a_ticket(promtool: Promtool, tmp_path: Path) -> None:
    assert firing(promtool, tmp_path, {RESTARTS: "0x100 1 2 3 4 5 5x14"}, 108) == {
        ("TidegateReplicaRestarts", "ticket")
    }
    assert firing(promtool, tmp_path, {RESTARTS: "0x100 1x19"}, 108) == set()


def test_a_check_that_goes_on_failing_makes_a_ticket(promtool: Promtool, tmp_path: Path) -> None:
    failing = {CHECK: "0x60 1x60"}
    assert firing(promtool, tmp_path, failing, 62) == set()
    assert firing(promtool, tmp_path, failing, 70) == {("TidegateCheckFailing", "ticket")}
    assert firing(promtool, tmp_path, {CHECK: "0x60 1x3 0x60"}, 70) == set()


def test_a_rollout_that_waits_for_a_person_makes_a_ticket_after_half_an_hour(
    promtool: Promtool, tmp_path: Path
) -> None:
    paused = {PAUSED: "0x60 1x60"}
    assert firing(promtool, tmp_path, paused, 80) == set()
    assert firing(promtool, tmp_path, paused, 95) == {("TidegateRolloutWaiting", "ticket")}


def test_a_candidate_that_was_taken_back_is_told(promtool: Promtool, tmp_path: Path) -> None:
    assert firing(promtool, tmp_path, {TAKEN_BACK: "0x110 1x9"}, 115) == {("TidegateCandidateTakenBack", "ticket")}


def test_data_that_has_drifted_makes_a_ticket_until_it_is_as_before(promtool: Promtool, tmp_path: Path) -> None:
    drifted = {DRIFTED: "0x60 1x30 0x30"}
    assert firing(promtool, tmp_path, drifted, 60) == set()
    assert firing(promtool, tmp_path, drifted, 62) == {("TidegateDrifted", "ticket")}
    assert firing(promtool, tmp_path, drifted, 92) == set()


def test_answers_that_are_less_right_make_a_ticket(promtool: Promtool, tmp_path: Path) -> None:
    worse = {QUALITY: "0x60 1x30"}
    assert firing(promtool, tmp_path, worse, 60) == set()
    assert firing(promtool, tmp_path, worse, 62) == {("TidegateAspectDrifted", "ticket")}


def test_a_gateway_that_does_not_answer_pages_although_it_counts_nothing(promtool: Promtool, tmp_path: Path) -> None:
    gone: dict[str, str | None] = {UP: "1x60 0x60", OK: "0+3000x60 _x60", FAILED: "0x60 _x60", SLOW: "0x60 _x60"}
    assert firing(promtool, tmp_path, gone, 65) == {("TidegateGatewayDown", "page")}


def test_a_deployment_that_nobody_reports_makes_a_ticket(promtool: Promtool, tmp_path: Path) -> None:
    silent: dict[str, str | None] = dict.fromkeys(HEALTHY)
    assert firing(promtool, tmp_path, silent, 60) == {("TidegateNotReporting", "ticket")}


def test_every_rule_uses_metrics_of_the_catalogue_and_says_what_to_type() -> None:
    known = frozenset[str]().union(*(metric.series for metric in CATALOGUE))
    for rule in alert_rules("churn", STRICT):
        used = set(re.findall(r"tidegate_\w+", rule.expression))
        assert used
        assert used <= known
        assert "churn" in rule.summary
        assert "`tidegate " in rule.runbook or "dashboard" in rule.runbook


def test_every_rule_carries_deployment_severity_summary_and_runbook() -> None:
    document: Any = yaml.safe_load(rule_file("churn", STRICT))
    assert [group["name"] for group in document["groups"]] == ["tidegate-churn"]
    for rule in document["groups"][0]["rules"]:
        assert rule["alert"].startswith("Tidegate")
        assert rule["labels"]["deployment"] == "churn"
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert set(rule["annotations"]) == {"summary", "runbook"}


@given(st.sampled_from(BURN_WINDOWS), st.floats(min_value=1e-6, max_value=0.5))
def test_a_threshold_lies_at_the_budget_or_above_and_an_outage_exceeds_it(window: Any, budget: float) -> None:
    assert budget <= burn_threshold(window.factor, budget) < 1
