"""How the predictions are distributed: counts per bin, the bins fixed before the first request.

Fixed bins make counts add up, over replicas and over time, so that two periods or two revisions can be compared by
subtraction. They come from the reference, the outputs for the bundle's sample: classes where there are some, else
deciles when the sample is large enough for them, else powers of ten. Probabilities of two classes are counted in
tenths. Every output has a bin for what is missing, and one for what the reference does not have.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np
from prometheus_client.core import CounterMetricFamily, Metric

from tidegate.runtime.base import Array, Columns, TensorSpec

PREDICTIONS_TOTAL = "tidegate_server_predictions_total"

_TENTHS = tuple(round(step / 10, 1) for step in range(1, 10))
_POWERS = (-1000.0, -100.0, -10.0, -1.0, -0.1, 0.0, 0.1, 1.0, 10.0, 100.0, 1000.0)
#: Different values in the reference from which on its deciles are the bins.
_ENOUGH = 20
#: A column of whole numbers or texts with more values than this has no classes.
_MOST_CLASSES = 50
#: So many rows are counted together; with the usual outputs they take a few kilobytes while they wait.
_ROWS_AT_ONCE = 512
_MISSING, _OTHER = "missing", "other"


class _Classes:
    def __init__(self, classes: Sequence[object]) -> None:
        self.bins = [*map(str, classes), _MISSING, _OTHER]
        self._at = {value: position for position, value in enumerate(classes)}
        self._at[None] = len(classes)

    def kept(self, values: Array) -> list[Any]:
        """Return a copy of what `count` needs."""
        found: list[Any] = values.ravel().tolist()
        return found

    def count(self, kept: Sequence[list[Any]]) -> Counter[int]:
        """Return how many values are in which bin."""
        other, at = len(self.bins) - 1, self._at
        counted: Counter[int] = Counter()
        for value, times in Counter(chain.from_iterable(kept)).items():
            counted[at.get(value, other)] += times
        return counted


class _Numbers:
    def __init__(self, bounds: Sequence[float], column: int | None = None) -> None:
        texts = [f"{bound:g}" for bound in bounds]
        inner = [f"({low}, {high}]" for low, high in pairwise(texts)]
        self.bins = [f"<= {texts[0]}", *inner, f"> {texts[-1]}", _MISSING]
        self._bounds = np.array(bounds)
        self._column = column

    def kept(self, values: Array) -> Array:
        """Return a copy of what `count` needs."""
        return np.array(values if self._column is None else values[:, self._column], dtype=np.float64).ravel()

    def count(self, kept: Sequence[Array]) -> Counter[int]:
        """Return how many values are in which bin."""
        values = np.concatenate(kept)
        bins = np.where(np.isnan(values), len(self.bins) - 1, np.searchsorted(self._bounds, values, side="left"))
        found, times = np.unique(bins, return_counts=True)
        return Counter(dict(zip(found.tolist(), times.tolist(), strict=True)))


def _bins_for(spec: TensorSpec, reference: Array, labels: Sequence[str] | None) -> _Classes | _Numbers | None:
    if reference.ndim == 2 and spec.labels is not None and len(spec.labels) == 2:
        return _Numbers(_TENTHS, column=1)
    if reference.ndim != 1:
        return None
    if reference.dtype.kind == "f":
        known = np.unique(reference[np.isfinite(reference)])
        deciles = np.unique(np.quantile(known, _TENTHS)) if len(known) >= _ENOUGH else np.array(_POWERS)
        return _Numbers(deciles.tolist())
    if reference.dtype.kind == "O" and labels is not None:
        return _Classes(labels)
    by_text = {str(value): value for value in reference.tolist() if value is not None}
    if labels is not None and reference.dtype.kind in "iu" and all(label.lstrip("-").isdigit() for label in labels):
        by_text |= {label: int(label) for label in labels}
    if reference.dtype.kind == "b":
        by_text = {"False": False, "True": True}
    return _Classes([by_text[text] for text in sorted(by_text)]) if 0 < len(by_text) <= _MOST_CLASSES else None


class PredictionDistribution:
    """Counts predictions per output and bin. `count` is called from several threads."""

    def __init__(self, outputs: Sequence[TensorSpec], reference: Columns) -> None:
        """Fix the bins.

        Args:
            reference: the model's outputs for the sample, at least one row.
        """
        labels = next((spec.labels for spec in outputs if spec.labels is not None), None)
        found = {spec.name: _bins_for(spec, reference[spec.name], labels) for spec in outputs}
        self._bins = {name: bins for name, bins in found.items() if bins is not None}
        self._counts = {name: [0] * len(bins.bins) for name, bins in self._bins.items()}
        self._waiting: list[list[Any]] = []
        self._rows_waiting = 0
        self._lock = threading.Lock()

    def count(self, outputs: Columns) -> None:
        """Count every row of some outputs.

        What comes is kept until it is worth a call of NumPy or is asked for: one row by itself takes as long to count
        as a hundred.
        """
        if not self._bins:
            return
        columns = [bins.kept(outputs[name]) for name, bins in self._bins.items()]
        with self._lock:
            self._waiting.append(columns)
            self._rows_waiting += len(columns[0])
            if self._rows_waiting >= _ROWS_AT_ONCE:
                self._count_waiting()

    def _count_waiting(self) -> None:
        """Count what waits; the caller holds the lock."""
        waiting, self._waiting, self._rows_waiting = self._waiting, [], 0
        if waiting:
            for columns, (name, bins) in zip(zip(*waiting, strict=True), self._bins.items(), strict=True):
                counts = self._counts[name]
                for position, times in bins.count(columns).items():
                    counts[position] += times

    def metrics(self, names: tuple[str, ...], values: tuple[str, ...]) -> Iterator[Metric]:
        """Yield the counts; see `metrics.Source`."""
        predictions = CounterMetricFamily(
            PREDICTIONS_TOTAL, "Rows predicted, by output and fixed bin.", labels=(*names, "output", "bin")
        )
        with self._lock:
            self._count_waiting()
            counted = {name: list(counts) for name, counts in self._counts.items()}
        for name, bins in self._bins.items():
            for text, count in zip(bins.bins, counted[name], strict=True):
                predictions.add_metric((*values, name, text), count)
        yield predictions
