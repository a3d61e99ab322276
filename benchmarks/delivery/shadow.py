"""Do users notice that requests are copied? The p99 of their answers with a mirror against without one.

The windows of a pair are of one rollout with the same processes, which the controller watches alike, and follow each
other in turn: without, with, with, without. A window before each rollout is of stable alone: what a rollout costs that
is under way, copies or none. Stable's processes, the users, and their times of sending are the same in all of them.
The p99 is that of all answers of all windows of a kind, since that of one window rests on a dozen answers; its
interval is by drawing pairs of windows again, so that what drifts from pair to pair counts.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import psutil

from benchmarks.delivery.scene import NAME, Scene
from benchmarks.serving.surroundings import busy_percent
from examples.flights.load import Record
from tidegate.contract.steps import SHADOW_STEPS

#: At which a machine of two cores has half of them free for the copies, which take as much as what they are copies of.
RATE = 100.0
#: The share that is copied where nobody says one.
DEFAULT = float(next(step.shadow for step in SHADOW_STEPS if step.shadow is not None))
#: From a change until it is in force everywhere and what came before it is answered.
_SETTLE_SECONDS = 0.7
#: Percent.
_FEWEST = 0.01
_PAIRS_OF_A_ROLLOUT = 8
_DRAWS = 2_000
_PERCENTILES = (50, 95, 99)


class Window(NamedTuple):
    """When a window began and ended, in seconds since 1970, and how much of the machine's processors was in use."""

    begin: float
    end: float
    busy_percent: float


class Pair(NamedTuple):
    """The answers of two windows, without copies and with them: how long each took, in milliseconds."""

    without: np.ndarray[Any, np.dtype[np.float64]]
    with_copies: np.ndarray[Any, np.dtype[np.float64]]


def measure(scene: Scene, plan: Sequence[tuple[float, int]], window_seconds: float) -> dict[str, Any]:
    """Take pairs of windows for each share of copies.

    Args:
        plan: shares in percent, and how many pairs of each, an even number.
    """
    users = scene.users(RATE, "constant")
    taken = [
        (share, [_pairs(scene, min(left, _PAIRS_OF_A_ROLLOUT), window_seconds, share) for left in _rollouts(pairs)])
        for share, pairs in plan
    ]
    records = users.stop()
    alone = [_of(records, rollout["alone"]) for _, rollouts in taken for rollout in rollouts]
    return {
        "rate": RATE,
        "window_seconds": window_seconds,
        "shares": [{"share": share, **_share(records, rollouts)} for share, rollouts in taken],
        "p99_ms_alone": round(float(np.percentile(np.concatenate(alone), 99)), 3),
        "failed": sum(record.failed for record in records),
    }


def _rollouts(pairs: int) -> list[int]:
    """Return how many pairs are left to be taken at the beginning of each rollout."""
    return list(range(pairs, 0, -_PAIRS_OF_A_ROLLOUT))


def _share(records: list[Record], rollouts: list[dict[str, Any]]) -> dict[str, Any]:
    windows = [window for rollout in rollouts for window in rollout["windows"]]
    answers = [_of(records, window) for window in windows]
    pairs = [Pair(*pair) for pair in zip(answers[::2], answers[1::2], strict=True)]
    low, high = interval(pairs)
    return {
        "pairs": len(pairs),
        "ratio": round(ratio(pairs), 4),
        "interval": [round(low, 4), round(high, 4)],
        **{
            f"ms_{name}": [round(float(np.percentile(np.concatenate(found), one)), 3) for one in _PERCENTILES]
            for name, found in (
                ("without", [pair.without for pair in pairs]),
                ("with", [pair.with_copies for pair in pairs]),
            )
        },
        **{
            f"busy_percent_{name}": round(statistics.median(window.busy_percent for window in windows[place::2]), 1)
            for place, name in enumerate(("without", "with"))
        },
        **{
            name: sum(rollout[name] for rollout in rollouts)
            for name in ("copies_without", "copies_with", "requests_with")
        },
    }


def ratio(pairs: Sequence[Pair]) -> float:
    """Return the p99 of all answers with copies, divided by that of all answers without."""
    return float(
        np.percentile(np.concatenate([pair.with_copies for pair in pairs]), 99)
        / np.percentile(np.concatenate([pair.without for pair in pairs]), 99)
    )


def interval(pairs: Sequence[Pair]) -> tuple[float, float]:
    """Return the 95 % interval of the ratio by the bootstrap, pairs being what is drawn."""
    draw = np.random.default_rng(2026)
    found = [ratio([pairs[place] for place in draw.integers(0, len(pairs), len(pairs))]) for _ in range(_DRAWS)]
    low, high = np.percentile(found, (2.5, 97.5))
    return float(low), float(high)


def _pairs(scene: Scene, number: int, seconds: float, share: float) -> dict[str, Any]:
    """Return the windows of one rollout, without and with for each pair, and what the candidate counted in them.

    All of them are of pauses, which hold what the step before asked for. No step copies nothing: before the first of
    them there is no copy, in the later windows without there is one request in 10,000.
    """
    (alone,) = _windows(seconds)
    shares = [_FEWEST if place % 2 else share for place in range(number)]
    between = [({"shadow": percent, "duration": "1s"}, {"pause": "person"}) for percent in shares]
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


def _of(records: list[Record], window: Window) -> np.ndarray[Any, np.dtype[np.float64]]:
    found = [record.latency_ms for record in records if window.begin <= record.intended_at < window.end]
    return np.array(found, dtype=np.float64)
