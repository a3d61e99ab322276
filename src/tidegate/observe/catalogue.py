"""Every metric that the controller serves, in one place: name, kind, unit, meaning and labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from tidegate.contract.result import RolloutPhase

Kind = Literal["counter", "gauge", "histogram"]

#: Classes of HTTP status, each always exported, so that the first failure is an increase and not a new series.
CODE_CLASSES = ("2xx", "4xx", "5xx")

PHASES: tuple[str, ...] = get_args(RolloutPhase)

#: Phases in which a rollout has ended.
OUTCOMES = ("promoted", "rolled_back", "aborted", "failed")

REPLICA_STATES = ("wanted", "ready")

#: What is said of a column, each always exported.
DRIFT_STATES = ("none", "inconclusive", "moderate", "large")


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: as Prometheus knows it, a counter with its `_total`.
        unit: what a value counts or measures.
        labels: in the order in which samples give their values.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...]

    @property
    def series(self) -> frozenset[str]:
        """The names under which Prometheus stores it."""
        if self.kind == "histogram":
            return frozenset({f"{self.name}_bucket", f"{self.name}_sum", f"{self.name}_count"})
        return frozenset({self.name})


REQUESTS = Metric(
    "tidegate_gateway_requests_total",
    "counter",
    "requests",
    "Requests that each process of the gateway answered, by class of status; one user request counts once.",
    ("deployment", "revision", "code_class", "gateway"),
)
REQUEST_DURATION = Metric(
    "tidegate_gateway_request_duration_seconds",
    "histogram",
    "seconds",
    "How long the replica took, as the gateway saw it; one bound is the p99 objective, the sum is an estimate.",
    ("deployment", "revision", "gateway"),
)
SLOW_REQUESTS = Metric(
    "tidegate_gateway_slow_requests_total",
    "counter",
    "requests",
    "Requests that took as long as the p99 objective or longer.",
    ("deployment", "revision", "gateway"),
)
GATEWAY_UP = Metric(
    "tidegate_gateway_up",
    "gauge",
    "0 or 1",
    "Whether the gateway answered the controller's last question; while 0, its counters are not exported.",
    (),
)
TRAFFIC_WEIGHT = Metric(
    "tidegate_traffic_weight_percent",
    "gauge",
    "percent",
    "Share of the traffic that the revision is asked to get.",
    ("deployment", "revision"),
)
TRAFFIC_OBSERVED = Metric(
    "tidegate_traffic_observed_percent",
    "gauge",
    "percent",
    "Share of the traffic that the revision got since the split was set, by the gateway's counters.",
    ("deployment", "revision"),
)
REPLICAS = Metric(
    "tidegate_replicas",
    "gauge",
    "replicas",
    "Replicas that the revision shall have (state wanted) and that pass their health check (state ready).",
    ("deployment", "revision", "state"),
)
REPLICA_RESTARTS = Metric(
    "tidegate_replica_restarts_total",
    "counter",
    "restarts",
    "Deaths of replicas that nobody asked for.",
    ("deployment", "revision"),
)
CHECKS_FAILING = Metric(
    "tidegate_checks_failing",
    "gauge",
    "replicas",
    "Replicas of which a health check that the request asks for says that they are not well.",
    ("deployment", "revision", "check"),
)
ROLLOUT_PHASE = Metric(
    "tidegate_rollout_phase",
    "gauge",
    "0 or 1",
    "1 for the phase of the deployment's latest rollout, 0 for the others.",
    ("deployment", "phase"),
)
ROLLOUTS = Metric(
    "tidegate_rollouts_total",
    "counter",
    "rollouts",
    "Rollouts that ended, by outcome.",
    ("deployment", "outcome"),
)
OBJECTIVE_LATENCY = Metric(
    "tidegate_objective_latency_seconds",
    "gauge",
    "seconds",
    "The p99 objective.",
    ("deployment",),
)
OBJECTIVE_AVAILABILITY = Metric(
    "tidegate_objective_availability_ratio",
    "gauge",
    "ratio",
    "The share of requests that shall be answered without a 5xx.",
    ("deployment",),
)
JUDGE_HARM = Metric(
    "tidegate_judge_harm_ratio",
    "gauge",
    "ratio",
    "Evidence that the candidate does harm, as a share of what a rollback takes; at 1 the judge says fail.",
    ("deployment", "signal"),
)
DRIFTED = Metric(
    "tidegate_drifted",
    "gauge",
    "0 or 1",
    "Whether what the stable revision is asked or answers has drifted; 1 until no column did for a whole period.",
    ("deployment", "revision"),
)
DRIFT_PSI = Metric(
    "tidegate_drift_psi",
    "gauge",
    "PSI",
    "Population stability index of a column at the last reading.",
    ("deployment", "revision", "column"),
)
DRIFT_COLUMNS = Metric(
    "tidegate_drift_columns",
    "gauge",
    "columns",
    "Columns of which the last reading said this: none, inconclusive, moderate or large drift.",
    ("deployment", "revision", "state"),
)
DRIFT_REQUESTS = Metric(
    "tidegate_drift_requests",
    "gauge",
    "requests",
    "Requests that the last reading is of.",
    ("deployment", "revision"),
)
DRIFT_LAST_READING = Metric(
    "tidegate_drift_last_reading_timestamp_seconds",
    "gauge",
    "seconds",
    "When the last reading of drift was made, since 1970. There is none where nothing is asked.",
    ("deployment", "revision"),
)
ASPECT_DRIFTED = Metric(
    "tidegate_drift_aspect_drifted",
    "gauge",
    "0 or 1",
    "Whether an aspect has drifted, by the log of predictions: quality is worse, performance is expected to have "
    "dropped, or all inputs together are not like the reference; 1 until it was not for a whole period.",
    ("deployment", "revision", "aspect"),
)
ASPECT_FIGURE = Metric(
    "tidegate_drift_aspect_figure",
    "gauge",
    "as the figure",
    "What the last reading of an aspect measured, accuracy say, of the reference and of the current time; area is that "
    "under the ROC curve of a classifier that tells them apart.",
    ("deployment", "revision", "aspect", "figure", "time"),
)
ASPECT_REQUESTS = Metric(
    "tidegate_drift_aspect_requests",
    "gauge",
    "requests",
    "Requests that the last reading of an aspect is of; for quality those of which what really was is known.",
    ("deployment", "revision", "aspect"),
)
ASPECT_LAST_READING = Metric(
    "tidegate_drift_aspect_last_reading_timestamp_seconds",
    "gauge",
    "seconds",
    "When the last reading of an aspect was made, since 1970. There is no new one where nothing new is logged or told.",
    ("deployment", "revision", "aspect"),
)
CONTROLLER_INFO = Metric(
    "tidegate_controller_info",
    "gauge",
    "1",
    "Always 1; the label says which version of Tidegate the controller is.",
    ("version",),
)

CATALOGUE: tuple[Metric, ...] = (
    REQUESTS,
    REQUEST_DURATION,
    SLOW_REQUESTS,
    GATEWAY_UP,
    TRAFFIC_WEIGHT,
    TRAFFIC_OBSERVED,
    REPLICAS,
    REPLICA_RESTARTS,
    CHECKS_FAILING,
    ROLLOUT_PHASE,
    ROLLOUTS,
    OBJECTIVE_LATENCY,
    OBJECTIVE_AVAILABILITY,
    JUDGE_HARM,
    DRIFTED,
    DRIFT_PSI,
    DRIFT_COLUMNS,
    DRIFT_REQUESTS,
    DRIFT_LAST_READING,
    ASPECT_DRIFTED,
    ASPECT_FIGURE,
    ASPECT_REQUESTS,
    ASPECT_LAST_READING,
    CONTROLLER_INFO,
)


def metric_names() -> tuple[str, ...]:
    """Return the names that a deployment's metrics endpoint serves, as the result document lists them."""
    return tuple(metric.name for metric in CATALOGUE)
