"""Do users notice that all of their requests are copied? The p99 of their answers with a mirror against without one.

Each rollout brings two pairs of windows: without, with, with, without. All four are of one rollout with the same
processes, which the controller watches alike; what drifts meanwhile is for one pair what it is against the other. A
fifth window, before the rollout, is of stable alone: what a rollout costs that is under way, copies or none. Stable's
processes, the users, and their times of sending are the same in all of them.
"""

from __future__ import annotations

import statistics
import time
from typing import Any, NamedTuple

import numpy as np
import psutil

from benchmarks.delivery.scene import NAME, Scene
from benchmarks.serving.surroundings import busy_percent
from examples.flights.load import Record

#: At which a machine of two cores has half of them free for the copies, which take as much as what they are copies of.
RATE = 100.0
#: From a change until it is in force everywhere and what came before it is answered.
_SETTLE_SECONDS = 0.7
#: Percent.
_FEWEST = 0.01


class Window(NamedTuple):
    """When a window began and ended, in seconds since 1970, and how much of the machine's processors was in use."""

    begin: float
    end: float
    busy_percent: float


def measure(scene: Scene, pairs: int, window_seconds: float) -> dict[str, Any]:
    """Take pairs of windows, an even number of them; return the p99 of each and the ratio of each pair."""
    users = scene.users(RATE, "constant")
    taken = [_two_pairs(scene, window_seconds) for _ in range(pairs // 2)]
    records = users.stop()
    windows = [
        {"copied_percent": share, "p99_ms": _p99(records, window), "busy_percent": window.busy_percent}
        for one in taken
        for share, window in zip((0, 100, 0, 100), one["windows"], strict=True)
    ]
    alone = [_p99(records, one["alone"]) for one in taken]
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
        "p99_ms_alone": alone,
        "median_p99_ms_alone": round(statistics.median(alone), 3),
        **{
            f"busy_percent_{name}": round(statistics.median(window["busy_percent"] for window in windows[place::2]), 1)
            for place, name in enumerate(("without", "with"))
        },
        "copies_without": sum(one["copies_without"] for one in taken),
        "copies_with": sum(one["copies_with"] for one in taken),
        "requests_with": sum(one["requests_with"] for one in taken),
        "failed": sum(record.failed for record in records),
    }


def _two_pairs(scene: Scene, seconds: float) -> dict[str, Any]:
    """Return the windows of one rollout, without and with for either pair, and what the candidate counted in them."""
    (alone,) = _windows(seconds)
    # A pause holds what the step before asked for. No step copies nothing: the last one copies one request in 10,000.
    steps = [{"pause": "person"}, {"shadow": 100}, {"pause": "person"}, {"shadow": _FEWEST, "duration": "24h"}]
    rollout = scene.deploy(scene.model(), deploymentStrategy="shadow", steps=steps, analysis={"baseline": "1s"})
    status = scene.until("the candidate stands ready", lambda status: status["phase"] == "paused")
    stable, candidate = str(status["stable"]), str(status["candidate"])
    counted = [scene.counted()]
    (first,) = _windows(seconds)
    counted.append(scene.counted())
    _resume(scene)
    scene.until("the copies", lambda status: status["phase"] == "paused" and status["rollout"]["mirror"] == 100)
    # Both windows are of one time without a pause: what the first is to settle for has settled for the second.
    counted.append(scene.counted())
    second, third = _windows(seconds, 2)
    counted.append(scene.counted())
    _resume(scene)
    scene.until(
        "the end of the copies",
        lambda status: status["phase"] == "analyzing" and status["rollout"]["mirror"] == _FEWEST,
    )
    counted.append(scene.counted())
    (last,) = _windows(seconds)
    counted.append(scene.counted())
    scene.abort(rollout)
    copies = [there[candidate] - before[candidate] for before, there in zip(counted[::2], counted[1::2], strict=True)]
    return {
        "alone": alone,
        "windows": (first, second, last, third),
        "copies_without": copies[0] + copies[2],
        "copies_with": copies[1],
        "requests_with": counted[3][stable] - counted[2][stable],
    }


def _resume(scene: Scene) -> None:
    with scene.client() as client:
        client.resume(NAME, by="benchmark", reason="measured")


def _windows(seconds: float, number: int = 1) -> list[Window]:
    """Wait until what was changed has settled, and as long again as the windows last, one after the other."""
    time.sleep(_SETTLE_SECONDS)
    found = []
    for _ in range(number):
        begun, before = time.time(), psutil.cpu_times()
        time.sleep(seconds)
        found.append(Window(begun, time.time(), busy_percent(before)))
    return found


def _p99(records: list[Record], window: Window) -> float:
    found = [record.latency_ms for record in records if window.begin <= record.intended_at < window.end]
    return round(float(np.percentile(found, 99)), 3)
