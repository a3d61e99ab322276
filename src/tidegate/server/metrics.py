"""Every metric of a replica, its name and its labels, in one place.

All carry `deployment` and `revision`. Buckets start at half a millisecond, because a small model answers in less than
one, and one bound is exactly the deployment's latency objective, so that "slower than promised" is a subtraction.
"""

from __future__ import annotations

import platform

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from tidegate import __version__

REQUESTS_TOTAL = "tidegate_server_requests_total"
REQUEST_DURATION_SECONDS = "tidegate_server_request_duration_seconds"
INFERENCE_DURATION_SECONDS = "tidegate_server_inference_duration_seconds"
REQUESTS_IN_FLIGHT = "tidegate_server_requests_in_flight"
QUEUE_REJECTED_TOTAL = "tidegate_server_queue_rejected_total"
MODEL_LOAD_SECONDS = "tidegate_server_model_load_seconds"
MODEL_INFO = "tidegate_server_model_info"

_BUCKETS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

_OPENMETRICS = "application/openmetrics-text"
_TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_OWN = ("deployment", "revision")


def duration_buckets(objective_seconds: float) -> tuple[float, ...]:
    """Return the histogram's upper bounds in seconds, ascending, the objective among them."""
    return tuple(sorted({*_BUCKETS, objective_seconds}))


class ServerMetrics:
    """The metrics of one replica. Updated on the event loop; children are bound once, not looked up per request."""

    def __init__(self, deployment: str, revision: int, latency_objective_seconds: float) -> None:
        self.registry = CollectorRegistry()
        own = (deployment, str(revision))
        buckets = duration_buckets(latency_objective_seconds)
        self._own = own
        self._requests = Counter(
            REQUESTS_TOTAL,
            "Inference requests answered, by protocol and HTTP status.",
            (*_OWN, "protocol", "code"),
            registry=self.registry,
        )
        self._by_outcome: dict[tuple[str, int], Counter] = {}
        self.request_duration = Histogram(
            REQUEST_DURATION_SECONDS,
            "From a request's headers to its answer.",
            _OWN,
            registry=self.registry,
            buckets=buckets,
        ).labels(*own)
        self.inference_duration = Histogram(
            INFERENCE_DURATION_SECONDS,
            "Time in the model itself.",
            _OWN,
            registry=self.registry,
            buckets=buckets,
        ).labels(*own)
        self.in_flight = Gauge(
            REQUESTS_IN_FLIGHT, "Inference requests begun and not yet answered.", _OWN, registry=self.registry
        ).labels(*own)
        self.queue_rejected = Counter(
            QUEUE_REJECTED_TOTAL,
            "Requests answered 503 because the queue was full.",
            _OWN,
            registry=self.registry,
        ).labels(*own)
        self.model_load = Gauge(
            MODEL_LOAD_SECONDS,
            "How long it took to load and warm the model.",
            _OWN,
            registry=self.registry,
        ).labels(*own)
        ProcessCollector(registry=self.registry)

    def answered(self, protocol: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        counter = self._by_outcome.get((protocol, status))
        if counter is None:
            counter = self._requests.labels(*self._own, protocol, str(status))
            self._by_outcome[protocol, status] = counter
        counter.inc()
        self.request_duration.observe(seconds)

    def describe_model(self, **labels: str) -> None:
        """Publish what is served: one sample of value 1, the facts as its labels."""
        info = {**labels, "tidegate_version": __version__, "python_version": platform.python_version()}
        Gauge(MODEL_INFO, "What this replica serves.", (*_OWN, *info), registry=self.registry).labels(
            *self._own, *info.values()
        ).set(1)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics and their content type: OpenMetrics to who asks for it, else Prometheus text."""
        if _OPENMETRICS in accept:
            return generate_openmetrics(self.registry), _OPENMETRICS_TYPE  # type: ignore[no-untyped-call]
        return generate_latest(self.registry), _TEXT_TYPE
