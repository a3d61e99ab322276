"""What became of the requests that name entities, as metrics."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric

REQUESTS_TOTAL = "tidegate_server_feature_requests_total"
SECONDS_TOTAL = "tidegate_server_feature_lookup_seconds_total"

#: All vectors from Redis; from the store, some at least; an entity without a vector; the store did not answer.
REDIS, STORE, UNKNOWN, UNAVAILABLE = "redis", "store", "unknown_entity", "unavailable"


class FeatureCounts:
    """Counted on the thread that looks up, read by whoever asks for metrics."""

    def __init__(self) -> None:
        self._requests = dict.fromkeys((REDIS, STORE, UNKNOWN, UNAVAILABLE), 0)
        self._seconds = 0.0

    def note(self, outcome: str, seconds: float) -> None:
        """Count a request that needed vectors, and how long it waited for them."""
        self._requests[outcome] += 1
        self._seconds += seconds

    def metrics(self, names: tuple[str, ...], values: tuple[str, ...]) -> Iterator[Metric]:
        """Yield the metrics; see `server.metrics.Source`."""
        requests = CounterMetricFamily(
            REQUESTS_TOTAL,
            "Requests that name entities, by where their features came from.",
            labels=(*names, "outcome"),
        )
        for outcome, count in self._requests.items():
            requests.add_metric((*values, outcome), count)
        yield requests
        seconds = CounterMetricFamily(SECONDS_TOTAL, "Time that these waited for their features.", labels=names)
        seconds.add_metric(values, self._seconds)
        yield seconds
