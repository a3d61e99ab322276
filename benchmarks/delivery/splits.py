"""Does every strategy give the candidate the share that was asked for, as the replicas themselves count?"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.delivery.scene import NAME, Scene

RATE = 200.0
#: So far from what was asked a fair split is once in some 16,000 windows.
SIGMAS = 4.0
#: From the gateway's word that a split is in force until requests that were sent by the one before have been counted.
_SETTLE_SECONDS = 0.5
_HELD = {"minRequests": 1_000_000, "baseline": "1s", "onInconclusive": "continue"}


def measure(scene: Scene, window_seconds: float) -> list[dict[str, Any]]:
    """Return one row per share that was asked for."""
    users = scene.users(RATE)
    try:
        return [*_canary(scene, window_seconds), *_others(scene, window_seconds)]
    finally:
        users.stop()


def _canary(scene: Scene, window_seconds: float) -> Iterator[dict[str, Any]]:
    artifact, _ = scene.model()
    weights = (0.5, 10, 50, 100)
    held = {**_HELD, "stepDuration": f"{window_seconds + 5:g}s"}
    rollout = scene.deploy(artifact, steps=list(weights), analysis=held)
    for weight in weights:
        scene.until(f"{weight} %", lambda status, weight=weight: _is_at(status, weight))
        yield _window(scene, "canary", weight, window_seconds)
    scene.ended(rollout)


def _others(scene: Scene, window_seconds: float) -> Iterator[dict[str, Any]]:
    held = {**_HELD, "stepDuration": f"{window_seconds + 5:g}s"}
    artifact, _ = scene.model()
    hold = {"maxSurge": 1, "hold": f"{window_seconds + 5:g}s"}
    rollout = scene.deploy(artifact, deploymentStrategy="rolling", rolling=hold, analysis=held)
    scene.until("half of the replicas", lambda status: _is_at(status, 50))
    yield _window(scene, "rolling", 50, window_seconds)
    scene.abort(rollout)

    artifact, _ = scene.model()
    switch = {"preview": "0s", "switch": "person", "bake": "10m"}
    rollout = scene.deploy(artifact, deploymentStrategy="blue-green", blueGreen=switch, analysis=held)
    scene.until("the preview", lambda status: status["phase"] == "paused")
    yield _window(scene, "blue-green, before the switch", 0, window_seconds)
    with scene.client() as client:
        client.resume(NAME, by="benchmark", reason="measured")
    scene.until("the switch", lambda status: _is_at(status, 100))
    yield _window(scene, "blue-green, after the switch", 100, window_seconds)
    scene.abort(rollout)

    artifact, _ = scene.model()
    rollout = scene.deploy(artifact, deploymentStrategy="ab-test", abTest={"weight": 30}, analysis=held)
    scene.until("the test", lambda status: status["split_asked"].get(str(status["candidate"])) == 30)
    yield _window(scene, "ab-test", 30, window_seconds)
    scene.abort(rollout)

    artifact, _ = scene.model()
    steps = [{"shadow": 20, "duration": "10m"}, {"pause": "person"}]
    rollout = scene.deploy(artifact, deploymentStrategy="shadow", steps=steps, analysis=held)
    scene.until("the shadow", lambda status: status["phase"] == "analyzing")
    yield _window(scene, "shadow (copies of stable's)", 20, window_seconds, mirrored=True)
    scene.abort(rollout)


def _is_at(status: dict[str, Any], weight: float) -> bool:
    rollout = status["rollout"] or {}
    return bool(rollout.get("weight") == weight and rollout["phase"] in ("analyzing", "paused"))


def _window(scene: Scene, strategy: str, percent: float, seconds: float, *, mirrored: bool = False) -> dict[str, Any]:
    time.sleep(_SETTLE_SECONDS)
    status = scene.status()
    stable, candidate = str(status["stable"]), str(status["candidate"])
    before = scene.counted()
    time.sleep(seconds)
    after = scene.counted()
    tried = after.get(candidate, 0) - before.get(candidate, 0)
    kept = after.get(stable, 0) - before.get(stable, 0)
    of = kept if mirrored else tried + kept
    share = percent / 100
    # Replicas are read one after the other: what comes in meanwhile is counted by some and not by others.
    slack = RATE * 0.05
    allowed = SIGMAS * math.sqrt(of * share * (1 - share)) + slack * min(share, 1 - share)
    return {
        "strategy": strategy,
        "asked_percent": percent,
        "requests": of,
        "of_the_candidate": tried,
        "observed_percent": round(100 * tried / of, 3),
        "off_by": round(tried - of * share, 1),
        "allowed": round(allowed, 1),
        "within": abs(tried - of * share) <= allowed,
    }
