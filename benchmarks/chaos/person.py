"""The person who is asked when a rollout waits: acts some time later, and again until it no longer waits."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.chaos.plans import Verb
from tidegate.client import Client
from tidegate.contract.errors import TidegateError


@dataclass
class Person:
    """Somebody who watches one rollout.

    Attributes:
        verb: what is done at a step that waits for a person; None: nothing.
        patience_seconds: from the first sight of a wait until something is done.
        unplanned: waits at a step that asks for time: when that was up, nothing could be measured. They are resumed. A
            wait at a step that asks for a pass is left as it is: this rollout does not end as it should.
    """

    home: Path
    name: str
    verb: Verb | None
    patience_seconds: float
    unplanned: int = 0
    _waits_since: dict[str, float] = field(default_factory=dict)

    def look(self, rollout: Mapping[str, Any]) -> None:
        """Do what is to be done of a rollout that may wait."""
        verb = due(rollout, self.verb)
        if verb is None:
            return
        wait = f"{rollout['step_index']} since {rollout['phase_since']}"
        is_new = wait not in self._waits_since
        since = self._waits_since.setdefault(wait, time.monotonic())
        self.unplanned += is_new and not _waits_for_a_person(rollout)
        if time.monotonic() - since < self.patience_seconds:
            return
        # Who gets no answer, or one that somebody was first, looks again.
        with suppress(TidegateError), Client.connect(self.home) as client:
            {"resume": client.resume, "promote": client.promote, "abort": client.abort}[verb](
                self.name, by="a person", reason="asked for by the plan"
            )


def due(rollout: Mapping[str, Any], planned: Verb | None) -> Verb | None:
    """Return what is to be done of a rollout as it is now, None for nothing."""
    if rollout["phase"] != "paused":
        return None
    if _waits_for_a_person(rollout):
        return planned
    at = rollout["step_index"]
    return "resume" if at >= 0 and rollout["steps"][at]["until"] == "time" else None


def _waits_for_a_person(rollout: Mapping[str, Any]) -> bool:
    at = rollout["step_index"]
    return bool(at >= 0 and rollout["steps"][at]["until"] == "person")
