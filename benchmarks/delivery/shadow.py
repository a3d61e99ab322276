"""Do users notice that all of their requests are copied? The p99 of their answers with a mirror against without one.

Windows alternate on the same processes: in one every request is copied, in the next one in 10,000 is, which is the
least that a request document can ask for. Users and their times of sending are the same in all of them.
"""

from __future__ import annotations

import statistics
import time
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.delivery.scene import Scene
from examples.flights.load import Record

RATE = 100.0
#: At the beginning and at the end of a window, left out.
_EDGE_SECONDS = 1.0
_NONE, _ALL = 0.01, 100


def measure(scene: Scene, pairs: int, window_seconds: float) -> dict[str, Any]:
    """Alternate windows without and with copies; return the p99 of each and the ratio of each pair."""
    artifact, _ = scene.model()
    steps = [{"shadow": share, "duration": f"{window_seconds:g}s"} for share in (_NONE, _ALL) * pairs]
    held = {"minRequests": 1_000_000, "baseline": "1s", "onInconclusive": "continue"}
    users = scene.users(RATE, "constant")
    rollout = scene.deploy(artifact, deploymentStrategy="shadow", steps=[*steps, {"pause": "person"}], analysis=held)
    begun: list[tuple[float, float]] = []
    while len(begun) < len(steps) + 1:
        status = scene.status()["rollout"]
        if status["step_index"] == len(begun) and status["phase"] in ("analyzing", "paused"):
            begun.append((time.time(), status["mirror"]))
        time.sleep(0.02)
    scene.abort(rollout)
    records = users.stop()
    windows = [
        {"copied_percent": share, "p99_ms": _p99(records, at + _EDGE_SECONDS, end - _EDGE_SECONDS)}
        for (at, share), (end, _) in pairwise(begun)
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
        "median_p99_ms_without": statistics.median(window["p99_ms"] for window in windows[::2]),
        "median_p99_ms_with": statistics.median(window["p99_ms"] for window in windows[1::2]),
        "failed": sum(record.failed for record in records),
    }


def _p99(records: list[Record], begin: float, end: float) -> float:
    found = [record.latency_ms for record in records if begin <= record.intended_at < end]
    return round(float(np.percentile(found, 99)), 3)
