"""The Grafana dashboard of one deployment, in Grafana's classic JSON model."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from tidegate.observe.catalogue import (
    ASPECT_DRIFTED,
    ASPECT_FIGURE,
    ASPECT_LAST_READING,
    ASPECT_REQUESTS,
    CHECKS_FAILING,
    DRIFT_COLUMNS,
    DRIFT_LAST_READING,
    DRIFT_PSI,
    DRIFT_REQUESTS,
    DRIFTED,
    GATEWAY_UP,
    JUDGE_HARM,
    OBJECTIVE_AVAILABILITY,
    OBJECTIVE_LATENCY,
    OUTCOMES,
    REPLICA_RESTARTS,
    REPLICAS,
    REQUEST_DURATION,
    REQUESTS,
    ROLLOUT_PHASE,
    SLOW_REQUESTS,
    TRAFFIC_OBSERVED,
    TRAFFIC_WEIGHT,
)

#: Of the classic model as Grafana 12 and 13 write it; a newer Grafana migrates it on import.
SCHEMA_VERSION = 42

_WIDTH, _HEIGHT, _PER_ROW = 8, 8, 3
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_LONGEST_UID = 40


@dataclass(frozen=True)
class Panel:
    """One graph over time.

    Attributes:
        unit: Grafana's name of the unit.
        queries: PromQL and the legend of what it gives.
        dashed: legends drawn as a dashed line: what was asked for, beside what is.
        most: top of the axis, or None to fit.
    """

    title: str
    description: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    dashed: tuple[str, ...] = ()
    most: float | None = None


def panels(deployment: str) -> tuple[Panel, ...]:
    """Return the dashboard's graphs in reading order."""
    own = f'deployment="{deployment}"'
    rate = "$__rate_interval"
    total = f"sum by (revision) (rate({REQUESTS.name}{{{own}}}[{rate}]))"
    failed = f'sum by (revision) (rate({REQUESTS.name}{{{own},code_class="5xx"}}[{rate}]))'
    slow = f"sum by (revision) (rate({SLOW_REQUESTS.name}{{{own}}}[{rate}]))"
    buckets = f"sum by (le, revision) (rate({REQUEST_DURATION.name}_bucket{{{own}}}[{rate}]))"
    return (
        Panel(
            "Requests per second",
            "What each revision answered.",
            "reqps",
            ((total, "revision {{revision}}"),),
        ),
        Panel(
            "Failed requests",
            "Share of requests answered with a 5xx, beside what the availability objective allows.",
            "percentunit",
            (
                (f"{failed} / {total}", "revision {{revision}}"),
                (f"1 - {OBJECTIVE_AVAILABILITY.name}{{{own}}}", "allowed"),
            ),
            dashed=("allowed",),
        ),
        Panel(
            "p99",
            "99 of 100 requests take no longer, beside the objective.",
            "s",
            (
                (f"histogram_quantile(0.99, {buckets})", "revision {{revision}}"),
                (f"{OBJECTIVE_LATENCY.name}{{{own}}}", "objective"),
            ),
            dashed=("objective",),
        ),
        Panel(
            "Slow requests",
            "Share of requests that take as long as the p99 objective or longer; 1% may.",
            "percentunit",
            ((f"{slow} / {total}", "revision {{revision}}"), ("vector(0.01)", "allowed")),
            dashed=("allowed",),
        ),
        Panel(
            "Traffic split",
            "What each revision was asked to get (dashed) and what the gateway counted.",
            "percent",
            (
                (f"{TRAFFIC_WEIGHT.name}{{{own}}}", "revision {{revision}} asked"),
                (f"{TRAFFIC_OBSERVED.name}{{{own}}}", "revision {{revision}} observed"),
            ),
            dashed=("/asked$/",),
            most=100,
        ),
        Panel(
            "Evidence against the candidate",
            "The judge's evidence of harm as a share of what a rollback takes; at 1 the candidate is taken back.",
            "none",
            ((f"{JUDGE_HARM.name}{{{own}}}", "{{signal}}"), ("vector(1)", "rollback")),
            dashed=("rollback",),
        ),
        Panel(
            "Replicas",
            "Replicas that a revision shall have (dashed) and that are ready.",
            "none",
            (
                (f'{REPLICAS.name}{{{own},state="wanted"}}', "revision {{revision}} wanted"),
                (f'{REPLICAS.name}{{{own},state="ready"}}', "revision {{revision}} ready"),
            ),
            dashed=("/wanted$/",),
        ),
        Panel(
            "Restarts",
            "Deaths of replicas that nobody asked for, over 15 minutes.",
            "none",
            ((f"increase({REPLICA_RESTARTS.name}{{{own}}}[15m])", "revision {{revision}}"),),
        ),
        Panel(
            "Health checks that fail",
            "Replicas of which a health check that the request asks for says that they are not well.",
            "none",
            ((f"{CHECKS_FAILING.name}{{{own}}}", "revision {{revision}}: {{check}}"),),
        ),
        Panel(
            "Drift",
            "PSI of what stable is asked and answers, by column, where that is watched; at 1 (dashed) it has drifted.",
            "none",
            (
                (f"{DRIFT_PSI.name}{{{own}}}", "{{column}}"),
                (f"{DRIFTED.name}{{{own}}}", "drifted"),
            ),
            dashed=("drifted",),
        ),
        Panel(
            "Columns by drift",
            "Columns of which the last reading of drift said this.",
            "none",
            ((f"{DRIFT_COLUMNS.name}{{{own}}}", "{{state}}"),),
        ),
        Panel(
            "Last reading of drift",
            "How old it is; there is no new one where nothing is asked.",
            "s",
            ((f"time() - {DRIFT_LAST_READING.name}{{{own}}}", "age"),),
        ),
        Panel(
            "Requests of the last reading of drift",
            "Requests of the period that it is of.",
            "none",
            ((f"{DRIFT_REQUESTS.name}{{{own}}}", "requests"),),
        ),
        Panel(
            "Quality",
            "Figures of the answers by what really was (quality), or as their scores let expect (performance).",
            "none",
            (
                (f'{ASPECT_FIGURE.name}{{{own},aspect!="together"}}', "{{aspect}}: {{figure}} ({{time}})"),
                (f"{ASPECT_DRIFTED.name}{{{own}}}", "{{aspect}} has drifted"),
            ),
            dashed=("/has drifted$/",),
        ),
        Panel(
            "All inputs together",
            "Area under the ROC curve of a classifier that tells recent inputs from the reference's; 0.5 is no drift.",
            "none",
            ((f'{ASPECT_FIGURE.name}{{{own},aspect="together"}}', "area"),),
        ),
        Panel(
            "Requests of the last readings of the log",
            "Requests that each aspect was read of; for quality those of which what really was is known.",
            "none",
            ((f"{ASPECT_REQUESTS.name}{{{own}}}", "{{aspect}}"),),
        ),
        Panel(
            "Last readings of the log",
            "How old they are; there is no new one where nothing new is logged or told.",
            "s",
            ((f"time() - {ASPECT_LAST_READING.name}{{{own}}}", "{{aspect}}"),),
        ),
        Panel(
            "Gateway",
            "1 while the gateway answers.",
            "none",
            ((GATEWAY_UP.name, "up"),),
            most=1,
        ),
    )


def dashboard(deployment: str) -> dict[str, Any]:
    """Return the dashboard; importing it again replaces the earlier one: its `uid` depends on the name alone."""
    return {
        "uid": _uid(deployment),
        "title": f"Tidegate: {deployment}",
        "description": f"Traffic, service level and rollout of {deployment}.",
        "tags": ["tidegate"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "5s",
        "time": {"from": "now-30m", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_datasource_variable()]},
        "annotations": {"list": [_phases(deployment)]},
        "links": [],
        "panels": [_panel(index, panel) for index, panel in enumerate(panels(deployment))],
    }


def dashboard_text(deployment: str) -> str:
    """Return the file that Grafana imports or provisions."""
    return json.dumps(dashboard(deployment), indent=2) + "\n"


def _uid(deployment: str) -> str:
    uid = f"tidegate-{deployment}"
    if len(uid) <= _LONGEST_UID:
        return uid
    return "tidegate-" + hashlib.sha256(deployment.encode()).hexdigest()[:24]


def _datasource_variable() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "hide": 0,
        "refresh": 1,
        "regex": "",
        "current": {},
        "options": [],
    }


def _phases(deployment: str) -> dict[str, Any]:
    ended = "|".join(OUTCOMES)
    return {
        "name": "Rollout",
        "datasource": _DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": "blue",
        "expr": f'{ROLLOUT_PHASE.name}{{deployment="{deployment}",phase!~"{ended}"}} == 1',
        "step": "5s",
        "titleFormat": "rollout",
        "textFormat": "{{phase}}",
        "tagKeys": "phase",
    }


def _panel(index: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(index, _PER_ROW)
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "min": 0,
        "custom": {"drawStyle": "line", "lineWidth": 2, "fillOpacity": 5, "showPoints": "never"},
    }
    if panel.most is not None:
        defaults["max"] = panel.most
    return {
        "id": index + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": _DATASOURCE,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": defaults, "overrides": [_dashes(legend) for legend in panel.dashed]},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": _DATASOURCE,
                "editorMode": "code",
                "expr": expression,
                "legendFormat": legend,
                "range": True,
            }
            for number, (expression, legend) in enumerate(panel.queries)
        ],
    }


def _dashes(legend: str) -> dict[str, Any]:
    matcher = "byRegexp" if legend.startswith("/") else "byName"
    line = {"fill": "dash", "dash": [8, 8]}
    return {
        "matcher": {"id": matcher, "options": legend},
        "properties": [{"id": "custom.lineStyle", "value": line}, {"id": "custom.fillOpacity", "value": 0}],
    }
