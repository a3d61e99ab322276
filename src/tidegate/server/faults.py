"""A model with a fault in it, for rehearsals: it fails, is slow, dies, answers wrongly or holds on to memory.

Nothing of this is on the way of a request that no rehearsal sent: a replica without `--fault` never imports this
module, and its model is not wrapped. No request can switch a fault on, only the command line of the replica's process.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from tidegate.contract.faults import LEAK_LIMIT_BYTES, Fault, FaultKind
from tidegate.runtime.base import Array, Columns, CountsUnseen, Model


class InjectedFault(RuntimeError):  # noqa: N818
    """The failure that a rehearsal asked for."""


class FaultyModel:
    """The model behind it, healthy until `arm`: a replica with a fault gets ready like any other.

    Args:
        fault: what goes wrong. A share is a matter of chance for each run of the model, so the replica must not answer
            requests together.
    """

    def __init__(self, model: Model, fault: Fault) -> None:
        self.signature = model.signature
        self._model = model
        self._fault = fault
        self._is_armed = False
        self._lock = threading.Lock()
        self._requests = 0
        self._kept: list[bytearray] = []

    def arm(self) -> None:
        """Let the fault begin with the next request."""
        self._is_armed = True

    @property
    def unseen_levels(self) -> Mapping[str, int]:
        """What the model behind it counts; nothing where it does not."""
        return self._model.unseen_levels if isinstance(self._model, CountsUnseen) else {}

    def close(self) -> None:
        self._model.close()

    def predict(self, inputs: Columns) -> Columns:
        """Run the model as the fault has it. Raises InjectedFault where it fails."""
        if not self._is_armed:
            return self._model.predict(inputs)
        match self._fault.kind:
            case FaultKind.ERRORS if self._is_met():
                raise InjectedFault(f"a rehearsal injected {self._fault}")
            case FaultKind.LATENCY:
                time.sleep(self._fault.amount)
            case FaultKind.CRASH:
                self._count_to_the_end()
            case FaultKind.MEMORY_LEAK:
                self._leak()
        outputs = self._model.predict(inputs)
        if self._fault.kind is FaultKind.WRONG_ANSWERS and self._is_met():
            return wrong(outputs)
        return outputs

    def _is_met(self) -> bool:
        return random.random() < self._fault.amount  # noqa: S311 (no secret)

    def _count_to_the_end(self) -> None:
        with self._lock:
            self._requests += 1
            if self._requests >= self._fault.amount:
                _die()

    def _leak(self) -> None:
        # Written to, page by page: memory that is only reserved is not used yet.
        kept = bytearray(b"\x01") * int(self._fault.amount)
        with self._lock:
            self._kept.append(kept)
            if sum(map(len, self._kept)) >= LEAK_LIMIT_BYTES:
                _die()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wrong(outputs: Columns) -> Mapping[str, Array]:
    """Return other answers of the same form: shares of classes in another order, numbers far off, other labels."""
    return {name: _wrong(np.asarray(values)) for name, values in outputs.items()}


def _wrong(values: Array) -> Array:
    if values.dtype.kind == "b":
        return ~values
    if values.dtype.kind in "iu":
        # 0 and 1 change places, so that a label stays one.
        return np.bitwise_xor(values, np.ones(1, dtype=values.dtype))
    if values.dtype.kind == "f":
        if values.ndim > 1 and values.shape[-1] > 1:
            return np.ascontiguousarray(np.roll(values, 1, axis=-1))
        is_share = bool(np.all((values >= 0) & (values <= 1)))
        moved = 1 - values if is_share else values + np.maximum(np.abs(values), 1)
        # A share of one half would be its own opposite.
        return np.where(np.abs(moved - values) < 0.05, moved / 2, moved).astype(values.dtype)
    return _other_texts(values)


def _other_texts(values: Array) -> Array:
    others: list[Any] = [None if text is None else f"not {text}" for text in values.reshape(-1).tolist()]
    changed = np.empty(len(others), dtype=object)
    changed[:] = others
    return changed.reshape(values.shape)
