"""The ways in which candidates are tried, one of which each rollout goes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

#: What a person does who is asked.
Verb = Literal["resume", "promote", "abort"]


@dataclass(frozen=True)
class Plan:
    """One way.

    Attributes:
        name: as the page has it.
        fields: of the request document.
        seconds: about how long a good candidate takes; faults fall into this time.
        person: what a person does at the step that waits for one; None where none does.
        good_ends: how a good candidate ends.
    """

    name: str
    fields: Mapping[str, Any]
    seconds: float
    person: Verb | None = None
    good_ends: str = "promoted"


def _switch(**fields: Any) -> dict[str, Any]:
    return {"deploymentStrategy": "blue-green", "blueGreen": {"bake": "5s", **fields}}


_WITH_A_PAUSE = {"steps": [50, {"pause": "person"}, 100]}

PLANS = (
    Plan("canary", {"steps": [50, 100]}, 6.0),
    Plan("canary with a pause, resumed by a person", _WITH_A_PAUSE, 8.0, "resume"),
    Plan("canary with a pause, promoted by a person", _WITH_A_PAUSE, 8.0, "promote"),
    Plan("canary with a pause, aborted by a person", _WITH_A_PAUSE, 7.0, "abort", good_ends="aborted"),
    Plan("blue-green", _switch(preview="1s"), 11.0),
    Plan("blue-green, switched by a person", _switch(preview="0s", switch="person"), 12.0, "resume"),
    # Two at a time: while there is only one of the candidate, its requests fail when it is killed.
    Plan("rolling", {"deploymentStrategy": "rolling", "rolling": {"hold": "3s", "maxSurge": 2}}, 13.0),
)
