"""From plain records to Prometheus text. The controller fills the records; nothing here measures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from tidegate.observe import catalogue as names
from tidegate.observe.catalogue import Metric

#: Goes with what `render` returns.
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

#: Upper bounds in seconds; the deployment's objective joins them.
_BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class DurationCount(Protocol):
    """`count` requests with a duration in [lower_ms, upper_ms); the gateway's own buckets fit."""

    @property
    def lower_ms(self) -> float: ...
    @property
    def upper_ms(self) -> float: ...
    @property
    def count(self) -> int: ...


@dataclass(frozen=True)
class RequestMetrics:
    """What one process of the gateway counted for one revision.

    Attributes:
        by_code_class: requests per class of status ("2xx", "4xx", "5xx"); a class that is missing counts zero.
        durations: disjoint buckets in any order.
        slow: requests at or over the p99 objective.
    """

    by_code_class: Mapping[str, int]
    durations: Sequence[DurationCount]
    slow: int


@dataclass(frozen=True)
class RevisionMetrics:
    """One revision.

    Attributes:
        requests: by the number of the gateway's process. A process that cannot be read is left out; its series are then
            absent, not stale.
        weight_percent: share of the traffic asked for.
        observed_percent: share of the traffic seen; None when there was none or it is not known.
        restarts: deaths of replicas that nobody asked for, over the revision's life.
        failing: by health check that the request asks for, replicas of which it says that they are not well.
    """

    revision: int
    requests: Mapping[int, RequestMetrics]
    weight_percent: float
    observed_percent: float | None
    wanted: int
    ready: int
    restarts: int
    failing: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class DriftMetrics:
    """The last reading of drift of a revision.

    Attributes:
        at: when it was made, in seconds since 1970.
        requests: that it is of.
        drifted: how the data stands.
        psi: by column.
        columns: how many there are of each of `catalogue.DRIFT_STATES`; one that is missing counts zero.
    """

    revision: int
    at: float
    requests: int
    drifted: bool
    psi: Mapping[str, float]
    columns: Mapping[str, int]


@dataclass(frozen=True)
class AspectMetrics:
    """The last reading of what the log of predictions says of a revision.

    Attributes:
        aspect: "quality", "performance" or "together".
        at: when it was made, in seconds since 1970.
        requests: that were compared with the reference.
        drifted: how the aspect stands.
        figures: by name and time, "reference" or "current".
    """

    aspect: str
    revision: int
    at: float
    requests: int
    drifted: bool
    figures: Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class DeploymentMetrics:
    """One deployment.

    Attributes:
        latency_objective_ms: the p99 objective.
        availability: share of requests that shall be answered without a 5xx, 0 to 1.
        phase: of the latest rollout; None when there was none.
        rollouts: ended rollouts per outcome; an outcome that is missing counts zero.
        harm: per signal, the judge's evidence against the candidate as a share of what a rollback takes (0 or more).
        drift: None where nobody watches for it, or nothing was read yet.
        aspects: those that were read.
    """

    deployment: str
    latency_objective_ms: float
    availability: float
    revisions: Sequence[RevisionMetrics] = ()
    phase: str | None = None
    rollouts: Mapping[str, int] = field(default_factory=dict)
    harm: Mapping[str, float] = field(default_factory=dict)
    drift: DriftMetrics | None = None
    aspects: Sequence[AspectMetrics] = ()


@dataclass(frozen=True)
class ControllerMetrics:
    """What concerns no single deployment."""

    version: str
    gateway_up: bool


def render(controller: ControllerMetrics, deployments: Iterable[DeploymentMetrics]) -> bytes:
    """Return the text that a metrics endpoint answers with, in the format that `CONTENT_TYPE` names."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Records(controller, tuple(deployments)))
    return generate_latest(registry)


def duration_bounds(objective_ms: float) -> tuple[float, ...]:
    """Return the histogram's finite upper bounds in seconds, ascending, the objective among them."""
    return tuple(sorted({*_BOUNDS, objective_ms / 1000}))


def cumulative(durations: Sequence[DurationCount], bounds: Sequence[float]) -> list[tuple[str, float]]:
    """Return `(le, count)` for each bound in seconds and +Inf.

    A bucket that straddles a bound counts as below it, just as it does where slow requests are counted, so that
    requests above the objective's bound are the slow requests.
    """
    counted = [
        (str(bound), float(sum(bucket.count for bucket in durations if bucket.lower_ms < bound * 1000)))
        for bound in bounds
    ]
    return [*counted, ("+Inf", float(sum(bucket.count for bucket in durations)))]


def estimated_sum_seconds(durations: Sequence[DurationCount]) -> float:
    """Return the durations' sum in seconds, taking each request to lie in the middle of its bucket."""
    return sum(
        bucket.count * (bucket.lower_ms + (bucket.upper_ms if math.isfinite(bucket.upper_ms) else bucket.lower_ms))
        for bucket in durations
    ) / (2 * 1000)


class _Records(Collector):
    """The records as prometheus_client's metric families."""

    def __init__(self, controller: ControllerMetrics, deployments: Sequence[DeploymentMetrics]) -> None:
        self._controller = controller
        self._deployments = deployments

    def collect(self) -> Iterable[Family]:
        families: dict[str, Family] = {metric.name: _family(metric) for metric in names.CATALOGUE}
        for metric, labels, value in self._samples():
            family = families[metric.name]
            assert isinstance(family, CounterMetricFamily | GaugeMetricFamily)  # noqa: S101  # by construction
            family.add_metric(labels, value)
        histogram = families[names.REQUEST_DURATION.name]
        assert isinstance(histogram, HistogramMetricFamily)  # noqa: S101  # by construction
        for deployment, labels, requests in self._counted():
            buckets = cumulative(requests.durations, duration_bounds(deployment.latency_objective_ms))
            histogram.add_metric(labels, buckets, estimated_sum_seconds(requests.durations))
        return families.values()

    def _counted(self) -> Iterator[tuple[DeploymentMetrics, list[str], RequestMetrics]]:
        for deployment in self._deployments:
            for revision in deployment.revisions:
                for number, requests in sorted(revision.requests.items()):
                    yield deployment, [deployment.deployment, str(revision.revision), str(number)], requests

    def _samples(self) -> Iterator[tuple[Metric, list[str], float]]:
        yield names.CONTROLLER_INFO, [self._controller.version], 1
        yield names.GATEWAY_UP, [], int(self._controller.gateway_up)
        for deployment in self._deployments:
            yield from _deployment_samples(deployment)
            for revision in deployment.revisions:
                yield from _revision_samples(deployment.deployment, revision)


def _family(metric: Metric) -> Family:
    if metric.kind == "counter":
        return CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
    if metric.kind == "gauge":
        return GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    return HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)


def _deployment_samples(deployment: DeploymentMetrics) -> Iterator[tuple[Metric, list[str], float]]:
    name = deployment.deployment
    yield names.OBJECTIVE_LATENCY, [name], deployment.latency_objective_ms / 1000
    yield names.OBJECTIVE_AVAILABILITY, [name], deployment.availability
    for phase in names.PHASES:
        yield names.ROLLOUT_PHASE, [name, phase], int(phase == deployment.phase)
    for outcome in names.OUTCOMES:
        yield names.ROLLOUTS, [name, outcome], deployment.rollouts.get(outcome, 0)
    for signal, harm in deployment.harm.items():
        yield names.JUDGE_HARM, [name, signal], harm
    if deployment.drift is not None:
        yield from _drift_samples(name, deployment.drift)
    for aspect in deployment.aspects:
        yield from _aspect_samples(name, aspect)


def _drift_samples(deployment: str, drift: DriftMetrics) -> Iterator[tuple[Metric, list[str], float]]:
    labels = [deployment, str(drift.revision)]
    yield names.DRIFTED, labels, int(drift.drifted)
    yield names.DRIFT_REQUESTS, labels, drift.requests
    yield names.DRIFT_LAST_READING, labels, drift.at
    for state in names.DRIFT_STATES:
        yield names.DRIFT_COLUMNS, [*labels, state], drift.columns.get(state, 0)
    for column, psi in drift.psi.items():
        yield names.DRIFT_PSI, [*labels, column], psi


def _aspect_samples(deployment: str, aspect: AspectMetrics) -> Iterator[tuple[Metric, list[str], float]]:
    labels = [deployment, str(aspect.revision), aspect.aspect]
    yield names.ASPECT_DRIFTED, labels, int(aspect.drifted)
    yield names.ASPECT_REQUESTS, labels, aspect.requests
    yield names.ASPECT_LAST_READING, labels, aspect.at
    for (figure, time), value in aspect.figures.items():
        yield names.ASPECT_FIGURE, [*labels, figure, time], value


def _revision_samples(deployment: str, revision: RevisionMetrics) -> Iterator[tuple[Metric, list[str], float]]:
    labels = [deployment, str(revision.revision)]
    yield names.TRAFFIC_WEIGHT, labels, revision.weight_percent
    if revision.observed_percent is not None:
        yield names.TRAFFIC_OBSERVED, labels, revision.observed_percent
    yield names.REPLICAS, [*labels, "wanted"], revision.wanted
    yield names.REPLICAS, [*labels, "ready"], revision.ready
    yield names.REPLICA_RESTARTS, labels, revision.restarts
    for check, replicas in revision.failing.items():
        yield names.CHECKS_FAILING, [*labels, check], replicas
    for number, requests in sorted(revision.requests.items()):
        for code_class in names.CODE_CLASSES:
            yield names.REQUESTS, [*labels, code_class, str(number)], requests.by_code_class.get(code_class, 0)
        yield names.SLOW_REQUESTS, [*labels, str(number)], requests.slow
