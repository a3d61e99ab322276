"""The durations beside the p99 objective at which slow requests are counted too, for a replay at another one. Pure."""

from __future__ import annotations

from collections.abc import Sequence

#: Within each power of ten. The gateway's buckets have two significant digits, so each of these is an edge of one, and
#: what is slower is counted exactly. Round, so that what people ask for is often among them.
_MANTISSAS = (10, 12, 15, 20, 25, 30, 35, 40, 50, 60, 70, 80, 90)
_REACH = 4


def bounds_around(objective_ms: float) -> tuple[int, ...]:
    """Return whole milliseconds from a quarter of the objective to four times it, ascending, without itself.

    There are 17 at most: they are counted at every look of every rollout.
    """
    lowest, highest = objective_ms / _REACH, objective_ms * _REACH
    bounds, power = [], 1
    while power <= highest:
        # Below 10 ms the gateway counts whole milliseconds.
        found = range(1, 10) if power == 1 else (mantissa * power // 10 for mantissa in _MANTISSAS)
        bounds += [bound for bound in found if lowest <= bound <= highest and bound != objective_ms]
        power *= 10
    return tuple(bounds)


def bound_for(asked_ms: float, bounds: Sequence[float]) -> float | None:
    """Return the smallest bound that is not below what was asked; None outside of the bounds.

    The gateway does the same with an objective that lies within one of its buckets: a doubtful request is not slow.
    """
    if not bounds or asked_ms < min(bounds):
        return None
    return min((bound for bound in bounds if bound >= asked_ms), default=None)
