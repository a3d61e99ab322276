"""A candidate that turns bad in the middle of a step: how soon is it gone, and what did it cost?

5 % of 200 requests a second go to the candidate, or are copied to it. Some seconds into the step it begins to spoil a
quarter of its answers.
"""

from __future__ import annotations

import random
import time
from datetime import datetime
from typing import Any

from benchmarks.delivery.cases import Case
from benchmarks.delivery.scene import Scene
from examples.flights.load import Record

RATE = 200.0
PERCENT = 5
OBJECTIVE_MS = 100.0
#: From the beginning of the step to the onset.
_ONSET_SECONDS = (5.0, 12.0)


def measure(scene: Scene, case: Case, chance: random.Random) -> dict[str, Any]:
    """Try one candidate with the fault; return how long it took from the onset to 0 %, and what was spoiled."""
    artifact, onset, counted = scene.spoiled(case.harm)
    users = scene.users(RATE)
    step = {"shadow" if case.is_copied else "weight": PERCENT, "duration": "10m"}
    steps = [step, {"pause": "person"}] if case.is_copied else [step, 100]
    strategy = "shadow" if case.is_copied else "canary"
    rollout = scene.deploy(artifact, deploymentStrategy=strategy, steps=steps, analysis=case.analysis)
    status = scene.until("the step", lambda status: status["phase"] == "analyzing")
    before = str(status["candidate"])
    time.sleep(chance.uniform(*_ONSET_SECONDS))
    if scene.status()["phase"] != "analyzing":
        raise RuntimeError("the step was over before the onset")
    onset.touch()
    began = time.time()
    report = scene.ended(rollout)
    records = users.stop()
    back = report["rollback"] or {}
    decided = datetime.fromisoformat(back["decided_at"]).timestamp() if back else None
    took = back.get("split_in_force_ms")
    met = [record for record in records if record.revision == int(before) and record.intended_at >= began]
    compared = _compared(report) if case.is_copied else None
    spoiled = _spoiled(case, met, compared, counted.stat().st_size)
    return {
        "fault": case.name,
        "outcome": report["outcome"],
        "reason": report["reason"],
        "onset_to_decision_seconds": round(decided - began, 3) if decided else None,
        "decision_to_zero_ms": took,
        "onset_to_zero_seconds": round(decided - began + took / 1000, 3) if decided and took is not None else None,
        "bad_answers": spoiled,
        "bad_answers_to_users": 0 if case.is_copied else spoiled,
        "compared": compared["requests"] if compared is not None else None,
        "sent_to_the_candidate_after_the_onset": len(met),
        "last_sent_to_the_candidate_seconds": round(max(record.intended_at for record in met) - began, 3)
        if met
        else None,
    }


def _spoiled(case: Case, met: list[Record], compared: dict[str, int] | None, counted: int) -> int:
    """Return how many answers were bad: as they were compared, as users saw them, or else as the candidate counted."""
    if compared is not None:
        return compared["bad"]
    return counted if case.harm == "wrong answers" else sum(_is_bad(record) for record in met)


def _compared(report: dict[str, Any]) -> dict[str, int]:
    """Return how many copies were compared, and how many were answered otherwise, in the step that ended it."""
    signals = report["steps"][-1]["verdict"]["signals"]
    found: dict[str, int] = next(one["candidate"] for one in signals if one["signal"] == "disagreement")
    return found


def _is_bad(record: Record) -> bool:
    return record.failed or record.latency_ms > OBJECTIVE_MS
