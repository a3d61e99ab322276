"""How much processor time a loaded model takes to answer one request with one row."""

from __future__ import annotations

import resource
import statistics
import time
from dataclasses import dataclass

from tidegate.runtime.base import Columns, Model

#: Bounds of the measurement: predictions that are timed, and the time after which no further one begins.
MOST_PREDICTIONS, MOST_SECONDS = 50, 0.5
#: A model that takes longer than this for the first one is not asked again only to be timed.
_LONGEST_SECONDS = 5.0
#: Who computes for a smaller share of the time waits for something else: a service, a process of its own.
_LEAST_BUSY = 0.5


def cpu_seconds_of(model: Model, inputs: Columns) -> float | None:
    """Return the median processor time, in seconds, of repeated predictions by a warm model.

    All threads of this process count, its child processes do not.

    Args:
        model: that answered these inputs, or more such rows, before.
        inputs: of one request, one row where the model takes any number.

    Returns:
        None where processor time does not say how many requests the model answers: it waits for something else
        most of the time, it is too slow to be tried again, or it fails on a single row.
    """
    try:
        warm = _timed(model, inputs)
        return _median(model, inputs) if warm.passed <= _LONGEST_SECONDS else None
    except Exception:  # noqa: BLE001 -- whether the model is good enough was found out before
        return None


def _median(model: Model, inputs: Columns) -> float | None:
    until = time.perf_counter() + MOST_SECONDS
    timed = [_timed(model, inputs)]
    while len(timed) < MOST_PREDICTIONS and time.perf_counter() < until:
        timed.append(_timed(model, inputs))
    # The shortest of each: others that want the processor prolong the time that passes, not the time that it computes.
    passed, computed = min(one.passed for one in timed), min(one.computed for one in timed)
    if all(one.waited for one in timed) and computed < _LEAST_BUSY * passed:
        return None
    return statistics.median(one.computed for one in timed)


@dataclass(frozen=True)
class _Timed:
    """One prediction: seconds that passed, seconds of the processor, and whether its thread gave the processor up."""

    passed: float
    computed: float
    waited: bool


def _timed(model: Model, inputs: Columns) -> _Timed:
    given_up, started, used = _given_up(), time.perf_counter(), time.process_time()
    model.predict(inputs)
    return _Timed(time.perf_counter() - started, time.process_time() - used, _given_up() > given_up)


def _given_up() -> int:
    """Return how often this thread gave the processor up by itself; who has it taken away does not."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
