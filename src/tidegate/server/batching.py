"""How many requests to answer together, and how long those that wait will wait: pure decisions.

A thread that is free takes what waits, at once, so a lone request never waits for company; while the threads are busy
requests gather, so batches grow with the load by themselves. What is decided here is where that stops.

The time of one batch is modelled as `fixed + per_byte · bytes`, bytes being the size of the requests' bodies: known
before anything is decoded, and for one model and protocol proportional to rows. Both numbers are fitted by least
squares with weights that fade, so they follow the model, the machine and the traffic.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tidegate.runtime.base import Array, Columns, Model, Signature
from tidegate.server.protocols.base import Call

#: Weight of a measurement after one more: the last 50 or so count.
_FADING = 0.98
#: A batch that takes longer than this many times what was expected counts as that much: the machine paused, not us.
_SURPRISE = 4.0
#: Relative spread of the batch sizes below which nothing can be said about what a byte costs.
_SPREAD = 1e-3
#: Share of the latency objective that a request may spend waiting.
_WAIT_SHARE = 0.4
#: Rows of the sample with which a model is tried for batching.
_ROWS_TRIED = 8


class CostModel:
    """What a batch costs in seconds, learned from batches."""

    def __init__(self) -> None:
        self.largest = 0
        self._weight = self._x = self._y = self._xx = self._xy = 0.0
        self._fixed = self._per_byte = 0.0

    @property
    def fixed(self) -> float:
        """Seconds of a batch however small."""
        return self._fixed

    @property
    def per_byte(self) -> float:
        """Seconds of one more byte."""
        return self._per_byte

    def seconds(self, size: float) -> float:
        """Return the expected time of one batch of `size` bytes; 0 before anything was measured."""
        return self._fixed + self._per_byte * size

    def learn(self, requests: int, size: int, seconds: float) -> None:
        """Take in that a batch of `requests` with `size` bytes took `seconds`."""
        if self._weight > 1:
            seconds = min(seconds, _SURPRISE * self.seconds(size) + 1e-4)
        self.largest = max(self.largest, requests)
        self._weight = self._weight * _FADING + 1
        self._x = self._x * _FADING + size
        self._y = self._y * _FADING + seconds
        self._xx = self._xx * _FADING + size * size
        self._xy = self._xy * _FADING + size * seconds
        mean_x, mean_y = self._x / self._weight, self._y / self._weight
        variance = self._xx / self._weight - mean_x * mean_x
        slope = mean_y / mean_x if mean_x > 0 else 0.0
        if variance > _SPREAD * mean_x * mean_x:
            # A negative slope is noise, and a slope above the mean's would make the fixed part negative.
            slope = min(max((self._xy / self._weight - mean_x * mean_y) / variance, 0.0), slope)
        self._per_byte, self._fixed = slope, mean_y - slope * mean_x


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """Bounds of batching.

    Attributes:
        objective_seconds: the latency objective: what a request pays for its company stays within a quarter of it.
        requests: the most requests in a batch; 1 turns batching off.
        rows: the most rows in a batch.
    """

    objective_seconds: float
    requests: int = 128
    rows: int = 4096

    def take(self, cost: CostModel, waiting: int, waiting_bytes: int) -> int:
        """Return how many of the waiting requests to take, at least 1.

        Twice the largest batch that was ever measured is the most: what a larger one costs, nobody knows yet.
        """
        most = min(self.requests, waiting, max(2 * cost.largest, 2))
        if most <= 1:
            return 1
        each = cost.per_byte * waiting_bytes / waiting
        if each > 0:
            # Before there was a batch of two, `per_byte` is a guess at its worst: look once.
            fair = max(self.objective_seconds / 4 / each, 1.0 if cost.largest > 1 else 2.0)
            most = int(min(most, fair))
        return max(most, 1)

    def expected_wait(self, cost: CostModel, pending: int, pending_bytes: int, threads: int) -> float:
        """Return the seconds until a request that comes now is answered, behind `pending` others with so many bytes."""
        if pending == 0:
            return 0.0
        batches = -(-pending // self.take(cost, pending, pending_bytes))
        return (batches * cost.fixed + cost.per_byte * pending_bytes) / threads

    def is_soon(self, cost: CostModel, pending: int, pending_bytes: int, threads: int) -> bool:
        """Say whether the wait behind `pending` others is short enough even if each of them is answered alone.

        Then `expected_wait` is within `longest_wait`, whatever the batches; at light load that is all there is to ask.
        """
        return pending * cost.fixed + cost.per_byte * pending_bytes <= _WAIT_SHARE * self.objective_seconds * threads

    def longest_wait(self, cost: CostModel, size: int) -> float:
        """Return the expected wait beyond which a request is better refused than kept.

        The rest of the objective is for the batch that is under way now and the request's own, a quarter each at most,
        and for the way there and back. A model that cannot meet its objective at all is not kept from answering: two of
        its own times are always allowed.
        """
        return max(_WAIT_SHARE * self.objective_seconds, 2 * cost.seconds(size))


@dataclass(slots=True)
class Group:
    """Calls that the model answers together, by their positions in the list that they were grouped from."""

    positions: list[int] = field(default_factory=list)
    rows: int = 0


def group_calls(calls: list[Call], signature: Signature, most_rows: int) -> list[Group]:
    """Group calls whose inputs fit together: same dtypes and same shapes but for the first dimension.

    A call with more than `most_rows` rows is a group of its own; others share groups of up to that many, in order.
    """
    groups: list[Group] = []
    open_groups: dict[tuple[object, ...], Group] = {}
    plain = signature.kind == "columns"  # then dtypes and shapes are those of the signature
    for position, call in enumerate(calls):
        key = () if plain else tuple((array.dtype.str, array.shape[1:]) for array in call.inputs.values())
        group = open_groups.get(key)
        if group is None or group.rows + call.rows > most_rows:
            group = open_groups[key] = Group()
            groups.append(group)
        group.positions.append(position)
        group.rows += call.rows
    return groups


def rows_are_independent(model: Model, inputs: Columns) -> bool:
    """Say whether a model answers each row the same in company as alone, by trying a few rows.

    A model that looks at the batch as a whole (that normalises over it, that ranks), or whose inputs have a first
    dimension of a fixed size, must be asked request by request. Floats may differ by rounding: matrix products of
    another shape add up in another order.

    Args:
        inputs: at least one row for each input.
    """
    specs = model.signature.inputs
    if not specs or any(spec.shape[:1] != (-1,) for spec in specs):
        return False
    rows = min(len(inputs[specs[0].name]), _ROWS_TRIED)
    # Copies: a model may work in place, and would answer something else when it is asked the same rows again.
    alone = [
        model.predict({name: array[row : row + 1].copy() for name, array in inputs.items()}) for row in range(rows)
    ]
    # Two copies, so that there is company also when there is just one row, and none of it at its own place.
    order = [*range(rows), *range(rows)][::-1]
    together = model.predict({name: array[order] for name, array in inputs.items()})
    return all(
        _alike(together[name][position : position + 1], alone[row][name])
        for position, row in enumerate(order)
        for name in together
    )


def _alike(one: Array, other: Array) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind != "f":
        return bool(np.array_equal(one, other))
    tolerance = 100 * float(np.finfo(one.dtype).eps)
    return bool(np.allclose(one, other, rtol=tolerance, atol=tolerance, equal_nan=True))


def join_inputs(calls: list[Call], *, kept: bool = False) -> Columns:
    """Return the inputs of several calls, one after the other.

    Args:
        kept: the calls' own inputs are needed later: what is returned may be worked on in place.
    """
    if len(calls) == 1:
        inputs = calls[0].inputs
        return {name: array.copy() for name, array in inputs.items()} if kept else inputs
    return {name: np.concatenate([call.inputs[name] for call in calls]) for name in calls[0].inputs}


def split_outputs(outputs: Columns, calls: list[Call]) -> list[dict[str, Array]]:
    """Return each call's part of the outputs that `join_inputs` of them gave, as views."""
    parts, start = [], 0
    for call in calls:
        end = start + call.rows
        parts.append({name: array[start:end] for name, array in outputs.items()})
        start = end
    return parts
