"""Alert rules for Prometheus, made from a deployment's service level.

Errors are alerted on by multi-window burn rate: The Site Reliability Workbook (Beyer et al., 2018), chapter 5,
table 5-8, for an error budget that lasts 30 days. A long window shows that the burn matters, a short one that it
still goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import yaml

from tidegate.contract.request import ServingRequirements
from tidegate.observe.catalogue import (
    ASPECT_DRIFTED,
    CHECKS_FAILING,
    DRIFTED,
    GATEWAY_UP,
    REPLICA_RESTARTS,
    REPLICAS,
    REQUESTS,
    ROLLOUT_PHASE,
    ROLLOUTS,
    SLOW_REQUESTS,
    TRAFFIC_WEIGHT,
)

#: `page` wakes a person, `ticket` waits for the morning.
Severity = Literal["page", "ticket"]

#: Fewer bad requests than this in the long window are no reason to alert, however large a share they are.
FEWEST_BAD_REQUESTS = 10

_SLOW_SHARE = 0.01


@dataclass(frozen=True)
class AlertRule:
    """One alerting rule.

    Attributes:
        expression: in PromQL.
        hold: how long the expression must hold before the alert fires, in Prometheus' notation; None for at once.
        runbook: what to look at and what to type.
    """

    name: str
    expression: str
    hold: str | None
    severity: Severity
    summary: str
    runbook: str


@dataclass(frozen=True)
class BurnWindow:
    """At `factor` times the rate that would just use up the budget in 30 days, over both windows, it alerts."""

    long: str
    short: str
    factor: float
    severity: Severity


BURN_WINDOWS = (
    BurnWindow("1h", "5m", 14.4, "page"),
    BurnWindow("6h", "30m", 6.0, "page"),
    BurnWindow("3d", "6h", 1.0, "ticket"),
)


def alert_rules(deployment: str, requirements: ServingRequirements) -> tuple[AlertRule, ...]:
    """Return the rules for one deployment; two of one name differ in severity."""
    budget = 1 - requirements.availability.ratio
    return (
        _errors(deployment, "page", budget, str(requirements.availability)),
        _errors(deployment, "ticket", budget, str(requirements.availability)),
        _slow(deployment, str(requirements.latency_p99)),
        *_replicas(deployment),
        *_rollout(deployment),
        _drifted(deployment),
        _aspect_drifted(deployment),
        *_blind(deployment),
    )


def rule_file(deployment: str, requirements: ServingRequirements) -> str:
    """Return the text of a rule file with one group, `tidegate-<deployment>`, as Prometheus and promtool load it."""
    rules = [_as_rule(deployment, rule) for rule in alert_rules(deployment, requirements)]
    document = {"groups": [{"name": f"tidegate-{deployment}", "interval": "15s", "rules": rules}]}
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
    return text


def _as_rule(deployment: str, rule: AlertRule) -> dict[str, Any]:
    document: dict[str, Any] = {"alert": rule.name, "expr": rule.expression}
    if rule.hold is not None:
        document["for"] = rule.hold
    document["labels"] = {"deployment": deployment, "severity": rule.severity}
    document["annotations"] = {"summary": rule.summary, "runbook": rule.runbook}
    return document


def burn_threshold(factor: float, budget: float) -> float:
    """Return the share of failed requests above which a window alerts.

    For a generous budget `factor * budget` would exceed 1 and not even an outage would alert; the threshold therefore
    stays at or below the middle between the budget and 1.
    """
    return min(factor * budget, (1 + budget) / 2)


def _share(bad: str, deployment: str, window: str) -> str:
    total = f'sum(rate({REQUESTS.name}{{deployment="{deployment}"}}[{window}]))'
    return f"sum(rate({bad}[{window}])) / {total}"


def _errors(deployment: str, severity: Severity, budget: float, availability: str) -> AlertRule:
    """Return one rule for all windows of a severity: as rules of their own they would be the same alert twice."""
    windows = [window for window in BURN_WINDOWS if window.severity == severity]
    return AlertRule(
        name="TidegateHighErrorRate",
        expression="\nor\n".join(_burning(deployment, window, budget) for window in windows),
        hold=None,
        severity=severity,
        summary=(
            f"{deployment} fails {{{{ $value | humanizePercentage }}}} of its requests over the last "
            f"{' or '.join(window.long for window in windows)}; {availability} shall succeed"
        ),
        runbook=(
            f"`tidegate status {deployment}` says which revision fails, `tidegate logs {deployment}` why; "
            f"`tidegate abort {deployment}` ends a rollout, `tidegate rollback {deployment}` returns to the "
            f"revision before."
        ),
    )


def _burning(deployment: str, window: BurnWindow, budget: float) -> str:
    failed = f'{REQUESTS.name}{{deployment="{deployment}",code_class="5xx"}}'
    threshold = f"{burn_threshold(window.factor, budget):.10g}"
    return (
        f"({_share(failed, deployment, window.long)}) > {threshold}\n"
        f"and ({_share(failed, deployment, window.short)}) > {threshold}\n"
        f"and sum(increase({failed}[{window.long}])) >= {FEWEST_BAD_REQUESTS}"
    )


def _slow(deployment: str, objective: str) -> AlertRule:
    slow = f'{SLOW_REQUESTS.name}{{deployment="{deployment}"}}'
    return AlertRule(
        name="TidegateSlowResponses",
        expression=(
            f"({_share(slow, deployment, '1h')}) > {_SLOW_SHARE}\n"
            f"and ({_share(slow, deployment, '5m')}) > {_SLOW_SHARE}\n"
            f"and sum(increase({slow}[1h])) >= {FEWEST_BAD_REQUESTS}"
        ),
        hold="5m",
        severity="ticket",
        summary=(
            f"{{{{ $value | humanizePercentage }}}} of the requests to {deployment} take {objective} or longer; "
            f"at most 1% may"
        ),
        runbook=(
            f"Compare p99 by revision on the dashboard; with one slow revision `tidegate rollback {deployment}`, "
            f"with all of them slow deploy with more replicas or threads."
        ),
    )


def _replicas(deployment: str) -> tuple[AlertRule, ...]:
    ready = f'{REPLICAS.name}{{deployment="{deployment}",state="ready"}}'
    weight = f'{TRAFFIC_WEIGHT.name}{{deployment="{deployment}"}}'
    restarts = f'{REPLICA_RESTARTS.name}{{deployment="{deployment}"}}'
    failing = f'{CHECKS_FAILING.name}{{deployment="{deployment}"}}'
    return (
        AlertRule(
            name="TidegateNoReadyReplica",
            expression=f"{ready} == 0\nand on (deployment, revision) {weight} > 0",
            hold="1m",
            severity="page",
            summary=f"revision {{{{ $labels.revision }}}} of {deployment} shall get traffic and has no ready replica",
            runbook=(
                f"Type `tidegate logs {deployment} --revision {{{{ $labels.revision }}}}` for why they do not start; "
                f"`tidegate rollback {deployment}` moves the traffic to the revision before."
            ),
        ),
        AlertRule(
            name="TidegateReplicaRestarts",
            expression=f"increase({restarts}[15m]) > 2",
            hold=None,
            severity="ticket",
            summary=f"replicas of revision {{{{ $labels.revision }}}} of {deployment} keep dying",
            runbook=(
                f"`tidegate logs {deployment} --revision {{{{ $labels.revision }}}}` ends with the last words of the "
                f"replica; without any it was probably killed for want of memory."
            ),
        ),
        AlertRule(
            name="TidegateCheckFailing",
            expression=f"{failing} > 0",
            hold="5m",
            severity="ticket",
            summary=(
                f"the check {{{{ $labels.check }}}} fails on {{{{ $value }}}} replicas of revision "
                f"{{{{ $labels.revision }}}} of {deployment}"
            ),
            runbook=(f"`tidegate status {deployment}` has its last words, `tidegate history {deployment}` since when."),
        ),
    )


def _rollout(deployment: str) -> tuple[AlertRule, ...]:
    return (
        AlertRule(
            name="TidegateRolloutWaiting",
            expression=f'{ROLLOUT_PHASE.name}{{deployment="{deployment}",phase="paused"}} == 1',
            hold="30m",
            severity="ticket",
            summary=f"the rollout of {deployment} has waited for a person for half an hour",
            runbook=(
                f"`tidegate status {deployment}` says what it waits for; then `tidegate promote`, `resume` or `abort`."
            ),
        ),
        AlertRule(
            name="TidegateCandidateTakenBack",
            expression=f'increase({ROLLOUTS.name}{{deployment="{deployment}",outcome="rolled_back"}}[15m]) > 0',
            hold=None,
            severity="ticket",
            summary=f"a candidate of {deployment} was rolled back; stable serves",
            runbook=f"`tidegate report {deployment}` has the verdict with its numbers.",
        ),
    )


def _drifted(deployment: str) -> AlertRule:
    return AlertRule(
        name="TidegateDrifted",
        expression=f'{DRIFTED.name}{{deployment="{deployment}"}} == 1',
        hold=None,
        severity="ticket",
        summary=(f"what revision {{{{ $labels.revision }}}} of {deployment} is asked or answers has drifted"),
        runbook=(
            f"`tidegate drift history {deployment}` says which columns and since when. Where it is no fault of who "
            "asks, train a model on what is asked now and deploy it with a reference of that."
        ),
    )


def _aspect_drifted(deployment: str) -> AlertRule:
    return AlertRule(
        name="TidegateAspectDrifted",
        expression=f'{ASPECT_DRIFTED.name}{{deployment="{deployment}"}} == 1',
        hold=None,
        severity="ticket",
        summary=(
            f"revision {{{{ $labels.revision }}}} of {deployment} is not as in its reference: {{{{ $labels.aspect }}}}"
        ),
        runbook=(
            f"`tidegate drift history {deployment}` says which figures and since when; `tidegate drift quality "
            f"{deployment} --every 1d` shows each day. Train a model on what is asked and true now, and deploy it."
        ),
    )


def _blind(deployment: str) -> tuple[AlertRule, ...]:
    """Return rules for what the others cannot see: a dead gateway or controller counts nothing at all."""
    return (
        AlertRule(
            name="TidegateGatewayDown",
            expression=f"{GATEWAY_UP.name} == 0",
            hold="1m",
            severity="page",
            summary=f"the gateway does not answer, so {deployment} cannot be reached",
            runbook="`tidegate doctor` says what is wrong; the controller starts a gateway that died again by itself.",
        ),
        AlertRule(
            name="TidegateNotReporting",
            expression=f'absent({REPLICAS.name}{{deployment="{deployment}"}})',
            hold="10m",
            severity="ticket",
            summary=f"Prometheus gets no metrics about {deployment}",
            runbook=(
                "Requests are still served without the controller, but nothing watches them: `tidegate up` starts it; "
                "then look at the scrape target in Prometheus."
            ),
        ),
    )
