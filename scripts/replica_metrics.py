"""Every metric that a replica may serve, by when it does: asked of the parts of the server that make them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from prometheus_client.core import Metric

from tidegate.runtime.base import TensorSpec
from tidegate.server.cache.cache import PredictionCache
from tidegate.server.cache.memory import MemoryStore
from tidegate.server.features.counts import FeatureCounts
from tidegate.server.metrics import ServerMetrics
from tidegate.server.protocols.base import Identity
from tidegate.server.recording.distribution import PredictionDistribution
from tidegate.server.recording.log import PredictionLog
from tidegate.server.recording.unseen import UnseenLevels
from tidegate.server.supervisor.metrics import OUTCOMES, supervision

#: Labels that the page says once for all.
COMMON = frozenset({"deployment", "revision", "model_version"})
_KIND = TensorSpec("kind", "BYTES", categories=("a", "b"))
#: Labels of single samples, not of the metric.
_PARTS = frozenset({"le", "quantile"})


@dataclass(frozen=True)
class ReplicaMetric:
    """One metric as Prometheus' parser names it: a counter without its `_total`. `labels` are those beside `COMMON`."""

    name: str
    type: str
    documentation: str
    labels: frozenset[str]


class _Counting:
    unseen_levels: ClassVar[Mapping[str, int]] = {}


class _Nowhere:
    def write(self, records: Sequence[bytes]) -> None:
        """Keep nothing: nothing is logged here."""

    def close(self) -> None:
        """Hold nothing."""


def replica_families() -> Iterator[tuple[str, list[ReplicaMetric]]]:
    """Yield when metrics are there, and which they are."""
    own, values = ("deployment", "revision", "model_version"), ("churn", "1", "1")
    metrics = ServerMetrics("churn", 1, 0.05)
    metrics.describe_model(digest="", runtime="", format="", framework_version="")
    metrics.answered("predict", 200, 0.001)
    distribution = PredictionDistribution([TensorSpec("prediction", "FP64")], {"prediction": np.zeros(1)})
    log = PredictionLog(_Nowhere(), Identity("churn", "1", "churn", 1), 0.0)
    log.close()
    cache = PredictionCache(MemoryStore(1, 1.0), b"")
    yield "always", _described([*metrics.collect(), *distribution.metrics(own, values)])
    yield "with an H2O MOJO", _described(UnseenLevels(_Counting(), [_KIND]).metrics(own, values))
    yield "with a cache", _described(cache.metrics(own, values))
    yield "with `features` in the request", _described(FeatureCounts().metrics(own, values))
    yield "with a prediction log", _described(log.metrics(own, values))
    families = supervision("churn", 1, serving=0, deaths=0, swaps=dict.fromkeys(OUTCOMES, 0))
    yield (
        "with `tidegate serve`",
        [
            ReplicaMetric(
                family["name"],
                family["type"],
                family["documentation"],
                frozenset(family["samples"][0][1]) - COMMON,
            )
            for family in families
        ],
    )


def _described(metrics: Iterable[Metric]) -> list[ReplicaMetric]:
    return [
        ReplicaMetric(
            metric.name,
            metric.type,
            metric.documentation,
            frozenset(label for sample in metric.samples for label in sample.labels) - COMMON - _PARTS,
        )
        for metric in metrics
    ]
