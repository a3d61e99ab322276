"""Do users notice that all of their requests are copied? The p99 of their answers with a mirror against without one.

The windows of a pair are of one rollout with the same processes, which the controller watches alike, and follow each
other in turn: without, with, with, without. What drifts meanwhile is for one pair what it is against the next. A window
before each rollout is of stable alone: what a rollout costs that is under way, copies or none. Stable's processes, the
users, and their times of sending are the same in all of them.
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
_PAIRS_OF_A_ROLLOUT = 8


class Window(NamedTuple):
    """When a window began and ended, in seconds since 1970, and how much of the machine's processors was in use."""

    begin: float
    end: float
    busy_percent: float


def measure(scene: Scene, pairs: int, window_seconds: float) -> dict[str, Any]:
    """Take pairs of windows, an even number of them; return the p99 of each and the ratio of each pair."""
    users = scene.users(RATE, "constant")
    of_each = min(pairs, _PAIRS_OF_A_ROLLOUT)
    taken = [_pairs(scene, of_each, window_seconds) for _ in range(pairs // of_each)]
    records = users.stop()
    windows = [
        {"copied_percent": share, "p99_ms": _p99(records, window), "busy_percent": window.busy_percent}
        for one in taken
        for share, window in zip((0, 100) * of_each, one["windows"], strict=True)
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


def _pairs(scene: Scene, number: int, seconds: float) -> dict[str, Any]:
    """Return the windows of one rollout, without and with for each pair, and what the candidate counted in them.

    All of them are of pauses, which hold what the step before asked for. No step copies nothing: before the first of
    them there is no copy, in the later windows without there is one request in 10,000.
    """
    (alone,) = _windows(seconds)
    shares = [_FEWEST if place % 2 else 100 for place in range(number)]
    between = [({"shadow": share, "duration": "1s"}, {"pause": "person"}) for share in shares]
    rollout = scene.deploy(
        scene.model(),
        deploymentStrategy="shadow",
        steps=[{"pause": "person"}, *(step for steps in between for step in steps)],
        analysis={"baseline": "1s", "onInconclusive": "continue"},
    )
    status = scene.until("the candidate stands ready", lambda status: status["phase"] == "paused")
    stable, candidate = str(status["stable"]), str(status["candidate"])
    windows: list[Window] = []
    told = {"copies_without": 0, "copies_with": 0, "requests_with": 0}
    for place in range(number + 1):
        before = scene.counted()
        # The first and the last pause are of one pair each, those between of the one before and the one after.
        windows += _windows(seconds, 1 if place in (0, number) else 2)
        after = scene.counted()
        copied = place % 2 == 1
        told["copies_with" if copied else "copies_without"] += after[candidate] - before[candidate]
        told["requests_with"] += after[stable] - before[stable] if copied else 0
        if place < number:
            _resume(scene, shares[place])
    scene.abort(rollout)
    pairs = zip(windows[::2], windows[1::2], strict=True)
    in_turn = [window for place, pair in enumerate(pairs) for window in (reversed(pair) if place % 2 else pair)]
    return {"alone": alone, "windows": in_turn, **told}


def _resume(scene: Scene, share: float) -> None:
    """Let the rollout go on to its next pause, in which this share is copied."""
    with scene.client() as client:
        client.resume(NAME, by="benchmark", reason="measured")

    def paused(status: dict[str, Any]) -> bool:
        return bool(status["phase"] == "paused" and status["rollout"]["mirror"] == share)

    scene.until(f"the pause with copies of {share:g} %", paused)


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
