"""Do users notice that all of their requests are copied? The p99 of their answers with a mirror against without one.

Each rollout brings two pairs of windows: without, with, with, without. The first is while the candidate stands ready
and gets nothing, the last after it was taken away, so that what drifts meanwhile is for one pair what it is against
the other. Stable's processes, the users, and their times of sending are the same in all of them.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from benchmarks.delivery.scene import NAME, Scene
from examples.flights.load import Record

RATE = 200.0
#: From a change until it is in force everywhere and what came before it is answered.
_SETTLE_SECONDS = 0.7

#: When a window began and ended, in seconds since 1970.
Window = tuple[float, float]


def measure(scene: Scene, pairs: int, window_seconds: float) -> dict[str, Any]:
    """Take pairs of windows, an even number of them; return the p99 of each and the ratio of each pair."""
    users = scene.users(RATE, "constant")
    taken = [_two_pairs(scene, window_seconds) for _ in range(pairs // 2)]
    records = users.stop()
    windows = [
        {"copied_percent": share, "p99_ms": _p99(records, window)}
        for one in taken
        for share, window in zip((0, 100, 0, 100), one["windows"], strict=True)
    ]
    ratios = [
        round(with_copies["p99_ms"] / without["p99_ms"], 4)
        for without, with_copies in zip(windows[::2], windows[1::2], strict=True)
    ]
    return {
        "rate": RATE,
        "window_seconds": window_seconds,
        "windows": windows,
        "ratios": ratios,
        "median_ratio": round(statistics.median(ratios), 4),
        "median_p99_ms_without": round(statistics.median(window["p99_ms"] for window in windows[::2]), 3),
        "median_p99_ms_with": round(statistics.median(window["p99_ms"] for window in windows[1::2]), 3),
        "copies_without": sum(one["copies_without"] for one in taken),
        "copies_with": sum(one["copies_with"] for one in taken),
        "requests_with": sum(one["requests_with"] for one in taken),
        "failed": sum(record.failed for record in records),
    }


def _two_pairs(scene: Scene, seconds: float) -> dict[str, Any]:
    """Return the windows of one rollout, without and with for either pair, and what the candidate counted in them."""
    held = {"minRequests": 1_000_000, "baseline": "1s"}
    steps = [{"pause": "person"}, {"shadow": 100, "duration": "10m"}, {"pause": "person"}]
    rollout = scene.deploy(scene.model(), deploymentStrategy="shadow", steps=steps, analysis=held)
    status = scene.until("the candidate stands ready", lambda status: status["phase"] == "paused")
    stable, candidate = str(status["stable"]), str(status["candidate"])
    counted = [scene.counted()]
    first = _window(seconds)
    counted.append(scene.counted())
    with scene.client() as client:
        client.resume(NAME, by="benchmark", reason="measured")
    scene.until("the copies", lambda status: status["phase"] == "analyzing" and status["rollout"]["mirror"] == 100)
    # Both windows are of one time without a pause: what the first is to settle for has settled for the second.
    counted.append(scene.counted())
    second = _window(seconds)
    third = second[1], second[1] + seconds
    time.sleep(max(0.0, third[1] - time.time()))
    counted.append(scene.counted())
    scene.abort(rollout)
    last = _window(seconds)
    return {
        "windows": (first, second, last, third),
        "copies_without": counted[1][candidate] - counted[0][candidate],
        "copies_with": counted[3][candidate] - counted[2][candidate],
        "requests_with": counted[3][stable] - counted[2][stable],
    }


def _window(seconds: float) -> Window:
    """Wait until what was changed has settled, and as long again as a window lasts."""
    time.sleep(_SETTLE_SECONDS)
    begun = time.time()
    time.sleep(seconds)
    return begun, time.time()


def _p99(records: list[Record], window: Window) -> float:
    begin, end = window
    found = [record.latency_ms for record in records if begin <= record.intended_at < end]
    return round(float(np.percentile(found, 99)), 3)
