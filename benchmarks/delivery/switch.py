"""What does a blue-green switch, and the way back, cost at 500 requests a second?"""

from __future__ import annotations

import time
from typing import Any

from benchmarks.delivery.scene import NAME, Scene

RATE = 500.0
_HOLD_SECONDS = 3.0


def measure(scene: Scene, times: int) -> dict[str, Any]:
    """Switch and go back some times under traffic; return what users noticed and how long the gateway took."""
    began = time.time()
    users = scene.users(RATE)
    back: list[float] = []
    changes: list[float] = []
    for _ in range(times):
        artifact = scene.model()
        settings = {"preview": "0s", "switch": "person", "bake": "10m"}
        rollout = scene.deploy(
            artifact, deploymentStrategy="blue-green", blueGreen=settings, analysis={"baseline": "1s"}
        )
        scene.until("the preview", lambda status: status["phase"] == "paused")
        changes.append(time.time())
        with scene.client() as client:
            client.resume(NAME, by="benchmark", reason="measured")
        scene.until("the switch", lambda status: (status["rollout"] or {}).get("weight") == 100)
        time.sleep(_HOLD_SECONDS)
        changes.append(time.time())
        report = scene.abort(rollout)
        back.append(report["rollback"]["split_in_force_ms"])
        time.sleep(_HOLD_SECONDS)
    records = users.stop()
    return {
        "rate": RATE,
        "times": times,
        "requests": len(records),
        "answered_by_candidates": sum(record.revision != records[0].revision for record in records),
        "failed": sum(record.failed for record in records),
        # Against what was asked for last before: a failure long after it has another reason.
        "failures": [
            {
                "error": record.error,
                "revision": record.revision,
                "latency_ms": round(record.latency_ms, 1),
                "since_change_seconds": round(
                    record.intended_at - max((at for at in changes if at <= record.intended_at), default=began), 3
                ),
            }
            for record in records
            if record.failed
        ][:50],
        "way_back_ms": back,
    }
