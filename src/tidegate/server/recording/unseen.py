"""Texts that the model's training did not have, as a metric: input that drifts shows there first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, Metric

from tidegate.runtime.base import CountsUnseen, TensorSpec

UNSEEN_TOTAL = "tidegate_server_unseen_levels_total"


class UnseenLevels:
    """What a model counts from now on.

    Args:
        inputs: the model's; those that have categories are told, also while there is nothing to count.
    """

    def __init__(self, model: CountsUnseen, inputs: Sequence[TensorSpec]) -> None:
        self._model = model
        self._names = [spec.name for spec in inputs if spec.categories is not None]
        self._before = dict(model.unseen_levels)

    def metrics(self, names: tuple[str, ...], values: tuple[str, ...]) -> Iterator[Metric]:
        """Yield the counts; see `metrics.Source`."""
        unseen = CounterMetricFamily(
            UNSEEN_TOTAL,
            "Texts that were none of the model's categories and were taken for missing values, by input.",
            labels=(*names, "column"),
        )
        counted = self._model.unseen_levels
        for name in self._names:
            unseen.add_metric((*values, name), counted.get(name, 0) - self._before.get(name, 0))
        yield unseen
