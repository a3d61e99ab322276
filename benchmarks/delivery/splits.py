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
#: A small share is counted until so many requests of the candidate are expected: no tenth or half of it would do.
LEAST_EXPECTED = 100.0
#: From the gateway's word that a split is in force until requests that were sent by the one before have been counted.
_SETTLE_SECONDS = 0.5
#: Beyond its window, that a step lasts.
_SPARE_SECONDS = 6.0
_HELD = {"minRequests": 1_000_000, "baseline": "1s", "onInconclusive": "continue"}
#: Of the rolling exchange: one after the other, so that a quarter, a half and three quarters are stations.
_REPLICAS = 4


def measure(scene: Scene, window_seconds: float) -> list[dict[str, Any]]:
    """Return one row per share that was asked for."""
    users = scene.users(RATE)
    try:
        return [row for part in _PARTS for row in part(scene, window_seconds)]
    finally:
        users.stop()


def window_for(percent: float, seconds: float) -> float:
    """Return how long a share is counted, in seconds: longer than the others where it is small.

    With windows that are short on purpose (`--quick`) the small ones are so in proportion.
    """
    needed = LEAST_EXPECTED / (RATE * percent / 100) if percent else 0.0
    return max(seconds, needed * min(1.0, seconds / 20.0))


def _canary(scene: Scene, seconds: float) -> Iterator[dict[str, Any]]:
    weights = (0.5, 10, 50, 100)
    steps = [{"weight": weight, "duration": _longer(window_for(weight, seconds))} for weight in weights]
    rollout = scene.deploy(scene.model("XGBoost"), steps=steps, analysis=_HELD)
    for weight in weights:
        scene.until(f"{weight} %", lambda status, weight=weight: _is_at(status, weight))
        yield _window(scene, "canary, XGBoost", weight, window_for(weight, seconds))
    scene.ended(rollout)


def _blue_green(scene: Scene, seconds: float) -> Iterator[dict[str, Any]]:
    switch = {"preview": "0s", "switch": "person", "bake": "10m"}
    model = scene.model("scikit-learn")
    rollout = scene.deploy(model, deploymentStrategy="blue-green", blueGreen=switch, analysis=_HELD)
    scene.until("the preview", lambda status: status["phase"] == "paused")
    yield _window(scene, "blue-green before the switch, scikit-learn", 0, seconds)
    with scene.client() as client:
        client.resume(NAME, by="benchmark", reason="measured")
    scene.until("the switch", lambda status: _is_at(status, 100))
    yield _window(scene, "blue-green after the switch, scikit-learn", 100, seconds)
    scene.abort(rollout)


def _ab_test(scene: Scene, seconds: float) -> Iterator[dict[str, Any]]:
    model = scene.model("LightGBM")
    rollout = scene.deploy(model, deploymentStrategy="ab-test", abTest={"weight": 30}, analysis=_HELD)
    scene.until("the test", lambda status: _is_split(status, (30, 70)))
    yield _window(scene, "ab-test, LightGBM", 30, seconds)
    scene.abort(rollout)


def _arms(scene: Scene, seconds: float) -> Iterator[dict[str, Any]]:
    """A champion with half of the requests, and two challengers with different parts of the rest."""
    champion = scene.model("XGBoost")
    scene.ended(scene.deploy(champion, steps=[100], analysis={**_HELD, "stepDuration": "2s"}))
    weights = {"LightGBM": 20, "scikit-learn": 30}
    arms = [
        {"name": name.lower(), "modelArtifact": {"path": str(scene.model(name))}, "weight": weight}
        for name, weight in weights.items()
    ]
    rollout = scene.deploy(champion, deploymentStrategy="ab-test", abTest={"arms": arms}, analysis=_HELD)
    status = scene.until("the test", lambda status: _is_split(status, (20, 30, 50)))
    grown = _counted_for(scene, seconds)
    of_weight = {weight: revision for revision, weight in status["split_asked"].items()}
    for name, weight in {"champion, XGBoost": 50, **weights}.items():
        yield _row(f"ab-test of three arms: {name}", weight, grown.get(of_weight[weight], 0), sum(grown.values()))
    scene.abort(rollout)


def _shadow(scene: Scene, seconds: float) -> Iterator[dict[str, Any]]:
    steps = [{"shadow": 20, "duration": "10m"}, {"pause": "person"}]
    rollout = scene.deploy(scene.model("LightGBM"), deploymentStrategy="shadow", steps=steps, analysis=_HELD)
    scene.until("the shadow", lambda status: status["phase"] == "analyzing")
    yield _window(scene, "shadow (copies of stable's), LightGBM", 20, seconds, mirrored=True)
    scene.abort(rollout)


def _rolling(scene: Scene, seconds: float) -> Iterator[dict[str, Any]]:
    many = {"resources": {"replicas": _REPLICAS}}
    at_once = {**_HELD, "stepDuration": "2s"}
    scene.ended(scene.deploy(scene.model("LightGBM"), steps=[100], infrastructure=many, analysis=at_once))
    hold = {"maxSurge": 1, "hold": _longer(seconds)}
    model = scene.model("scikit-learn")
    rollout = scene.deploy(
        model, deploymentStrategy="rolling", rolling=hold, infrastructure=many, analysis={**_HELD, "stepDuration": "5m"}
    )
    for weight in (25, 50, 75):
        scene.until(f"{weight} % of the replicas", lambda status, weight=weight: _is_at(status, weight))
        yield _window(scene, f"rolling, {_REPLICAS} replicas, scikit-learn", weight, seconds)
    scene.abort(rollout)


_PARTS = (_canary, _blue_green, _ab_test, _arms, _shadow, _rolling)


def _longer(seconds: float) -> str:
    return f"{seconds + _SPARE_SECONDS:g}s"


def _is_at(status: dict[str, Any], weight: float) -> bool:
    rollout = status["rollout"] or {}
    return bool(rollout.get("weight") == weight and rollout["phase"] in ("analyzing", "paused"))


def _is_split(status: dict[str, Any], weights: tuple[float, ...]) -> bool:
    """Tell whether an A/B test gives its arms these shares, and the gateway has said that they get them."""
    return sorted(status["split_asked"].values()) == list(weights) and status["phase"] == "paused"


def _window(scene: Scene, strategy: str, percent: float, seconds: float, *, mirrored: bool = False) -> dict[str, Any]:
    status = scene.status()
    stable, candidate = str(status["stable"]), str(status["candidate"])
    grown = _counted_for(scene, seconds)
    tried, kept = grown.get(candidate, 0), grown.get(stable, 0)
    return _row(strategy, percent, tried, kept if mirrored else tried + kept)


def _counted_for(scene: Scene, seconds: float) -> dict[str, int]:
    """Return how many requests the replicas of each revision counted in a window that begins soon."""
    time.sleep(_SETTLE_SECONDS)
    before = scene.counted()
    time.sleep(seconds)
    return {revision: count - before.get(revision, 0) for revision, count in scene.counted().items()}


def _row(strategy: str, percent: float, tried: int, of: int) -> dict[str, Any]:
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
