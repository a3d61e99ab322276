"""Every metric of a replica, its name and its labels, in one place.

All carry `deployment`, `revision` and `model_version`. Buckets start at half a millisecond, because a small model
answers in less than one, and one bound is exactly the deployment's latency objective, so that "slower than promised" is
a subtraction.

What a request updates are plain numbers and lists on the event loop's thread. Some hundred requests at a time go into
the histograms, and all of it takes the form of metrics when somebody reads it. Prometheus' own counters take a lock
each time, a dozen per request.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from tidegate import __version__
from tidegate.runtime.base import Array
from tidegate.server.totals import Family

REQUESTS_TOTAL = "tidegate_server_requests_total"
REQUEST_DURATION_SECONDS = "tidegate_server_request_duration_seconds"
INFERENCE_DURATION_SECONDS = "tidegate_server_inference_duration_seconds"
QUEUE_DURATION_SECONDS = "tidegate_server_queue_duration_seconds"
BATCH_REQUESTS = "tidegate_server_batch_requests"
REQUESTS_IN_FLIGHT = "tidegate_server_requests_in_flight"
REQUESTS_SHED_TOTAL = "tidegate_server_requests_shed_total"
BATCH_LIMIT = "tidegate_server_batch_limit"
ROWS_TOTAL = "tidegate_server_rows_total"
MODEL_LOAD_SECONDS = "tidegate_server_model_load_seconds"
MODEL_INFO = "tidegate_server_model_info"

_BUCKETS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)

#: So many requests are put into the histograms together.
_AT_ONCE = 512

_OPENMETRICS = "application/openmetrics-text"
_TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_OWN = ("deployment", "revision", "model_version")


def duration_buckets(objective_seconds: float) -> tuple[float, ...]:
    """Return the histogram's upper bounds in seconds, ascending, the objective among them."""
    return tuple(sorted({*_BUCKETS, objective_seconds}))


class Distribution:
    """Counts of values per bucket; a value equal to a bound is in that bound's bucket."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = np.array(bounds, dtype=np.float64)
        self._counts = np.zeros(len(self._bounds) + 1, dtype=np.int64)
        self._sum = 0.0

    def add(self, values: Array) -> None:
        """Count values, shape [n]."""
        places = np.searchsorted(self._bounds, values, side="left")
        self._counts += np.bincount(places, minlength=len(self._counts))
        self._sum += float(values.sum())

    def buckets(self) -> tuple[list[tuple[str, float]], float]:
        """Return (upper bound, cumulated count) pairs and the sum, as Prometheus has them."""
        cumulated, total = [], 0
        for bound, count in zip([*map(str, self._bounds.tolist()), "+Inf"], self._counts.tolist(), strict=True):
            total += count
            cumulated.append((bound, float(total)))
        return cumulated, self._sum


#: Yields the metrics of a part that keeps its own numbers, given the names and values of the labels that all carry.
Source = Callable[[tuple[str, ...], tuple[str, ...]], Iterator[Metric]]


class ServerMetrics:
    """The metrics of one replica. Updated on the event loop's thread only.

    Attributes:
        in_flight: inference requests begun and not yet answered.
        shed: requests refused because they would have waited too long.
        model_load_seconds: how long it took to load and warm the model.
        batch_limit: the most requests that the model answers together; 0 before it is loaded.
    """

    def __init__(
        self, deployment: str, revision: int, latency_objective_seconds: float, model_version: str = ""
    ) -> None:
        self.registry = CollectorRegistry()
        self.in_flight = 0
        self.shed = 0
        self.model_load_seconds = 0.0
        self.batch_limit = 0
        self._own = (deployment, str(revision), model_version or str(revision))
        self._outcomes: dict[tuple[str, int], int] = {}
        bounds = duration_buckets(latency_objective_seconds)
        self._request_duration = Distribution(bounds)
        self._inference_duration = Distribution(bounds)
        self._queue_duration = Distribution(bounds)
        self._batches = Distribution(_BATCHES)
        self._rows = 0
        self._durations: list[float] = []
        self._servings: list[tuple[int, float, float, int]] = []
        self._info: dict[str, str] = {}
        self._sources: list[Source] = []
        self.registry.register(self)
        self._process = ProcessCollector(registry=None)

    def answered(self, protocol: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        key = (protocol, status)
        self._outcomes[key] = self._outcomes.get(key, 0) + 1
        self._durations.append(seconds)
        if len(self._durations) >= _AT_ONCE:
            self._settle()

    def served(self, rows: int, queue_seconds: float, model_seconds: float, batch_requests: int) -> None:
        """Count what went into one successful answer, which `answered` counts besides."""
        self._servings.append((rows, queue_seconds, model_seconds, batch_requests))

    def _settle(self) -> None:
        """Put what waits into the histograms: together, it takes a tenth of the time."""
        durations, self._durations = self._durations, []
        servings, self._servings = self._servings, []
        self._request_duration.add(np.array(durations, dtype=np.float64))
        if servings:
            rows, queue, model, batches = np.array(servings, dtype=np.float64).T
            self._rows += int(rows.sum())
            self._queue_duration.add(queue)
            self._inference_duration.add(model)
            self._batches.add(batches)

    def describe_model(self, **labels: str) -> None:
        """Publish what is served: one sample of value 1, the facts as its labels."""
        self._info = {**labels, "tidegate_version": __version__, "python_version": platform.python_version()}

    def add_source(self, source: Source) -> None:
        """Publish the metrics of another part of the server, too."""
        self._sources.append(source)

    def describe(self) -> Iterator[Metric]:
        """Tell the registry of no names beforehand, so that it does not read the values to learn them."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yield every metric as it is now; called by the registry."""
        self._settle()
        requests = CounterMetricFamily(
            REQUESTS_TOTAL,
            "Inference requests answered, by protocol and HTTP status.",
            labels=(*_OWN, "protocol", "code"),
        )
        for (protocol, status), count in sorted(self._outcomes.items()):
            requests.add_metric((*self._own, protocol, str(status)), count)
        yield requests
        yield self._counter(REQUESTS_SHED_TOTAL, "Requests refused because they would have waited too long.", self.shed)
        yield self._counter(ROWS_TOTAL, "Rows answered.", self._rows)
        yield self._histogram(
            REQUEST_DURATION_SECONDS, "From a request's headers to its answer.", self._request_duration
        )
        yield self._histogram(
            INFERENCE_DURATION_SECONDS,
            "Time in the model, for the batch of a request.",
            self._inference_duration,
        )
        yield self._histogram(
            QUEUE_DURATION_SECONDS, "From a request's last byte to the first work on it.", self._queue_duration
        )
        yield self._histogram(BATCH_REQUESTS, "Requests that the model answered together with one.", self._batches)
        yield self._gauge(REQUESTS_IN_FLIGHT, "Inference requests begun and not yet answered.", self.in_flight)
        yield self._gauge(BATCH_LIMIT, "The most requests that the model may answer together.", self.batch_limit)
        yield self._gauge(MODEL_LOAD_SECONDS, "How long it took to load and warm the model.", self.model_load_seconds)
        info = GaugeMetricFamily(MODEL_INFO, "What this replica serves.", labels=(*_OWN, *self._info))
        info.add_metric((*self._own, *self._info.values()), 1)
        yield info
        for source in self._sources:
            yield from source(_OWN, self._own)
        own = dict(zip(_OWN, self._own, strict=True))
        for metric in self._process.collect():
            metric.samples = [sample._replace(labels={**own, **sample.labels}) for sample in metric.samples]
            yield metric

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics and their content type: OpenMetrics to who asks for it, else Prometheus text."""
        return _written(self.registry, accept)

    def dump(self) -> list[Family]:
        """Return every metric as plain values, the form in which workers' metrics are summed; see `totals`."""
        return [
            {
                "name": metric.name,
                "type": metric.type,
                "documentation": metric.documentation,
                "over_workers": _over_workers(metric),
                "samples": [[sample.name, sample.labels, sample.value] for sample in metric.samples],
            }
            for metric in self.registry.collect()
        ]

    def _counter(self, name: str, text: str, value: float) -> Metric:
        family = CounterMetricFamily(name, text, labels=_OWN)
        family.add_metric(self._own, value)
        return family

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = GaugeMetricFamily(name, text, labels=_OWN)
        family.add_metric(self._own, value)
        return family

    def _histogram(self, name: str, text: str, values: Distribution) -> Metric:
        family = HistogramMetricFamily(name, text, labels=_OWN)
        buckets, total = values.buckets()
        family.add_metric(self._own, buckets, total)
        return family


def _over_workers(metric: Metric) -> str:
    """Return what the values of several workers make together; see `totals`."""
    if metric.name.startswith("process_"):
        return "each"
    if metric.type in ("counter", "histogram") or metric.name == REQUESTS_IN_FLIGHT:
        return "sum"
    return "same" if metric.name in (MODEL_INFO, BATCH_LIMIT) else "each"


class _Written:
    """Families in plain form, as something that a registry can collect."""

    def __init__(self, families: Sequence[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for family in self._families:
            metric = Metric(family["name"], family["documentation"], family["type"])
            for name, labels, value in family["samples"]:
                metric.add_sample(name, labels, value)
            yield metric


def write_families(families: Sequence[Family], accept: str) -> tuple[bytes, str]:
    """Return families in plain form as a page of metrics, and its content type; see `ServerMetrics.exposition`."""
    registry = CollectorRegistry()
    registry.register(_Written(families))
    return _written(registry, accept)


def _written(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    if _OPENMETRICS in accept:
        return generate_openmetrics(registry), _OPENMETRICS_TYPE  # type: ignore[no-untyped-call]
    return generate_latest(registry), _TEXT_TYPE
