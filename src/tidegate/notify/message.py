"""An event as a message for people: a title of a few words, and a body that says why. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Tone = Literal["info", "success", "warning", "failure"]

_TITLES: Mapping[str, tuple[str, Tone]] = {
    "started": ("rollout of revision {revision} started", "info"),
    "step": ("{weight} % of requests go to revision {revision}", "info"),
    "waiting": ("rollout of revision {revision} waits", "warning"),
    "arm-out": ("revision {revision} is out of the A/B test", "warning"),
    "failed": ("revision {revision} failed", "failure"),
    "rolled-back": ("revision {revision} was rolled back", "failure"),
    "aborted": ("rollout of revision {revision} was aborted", "warning"),
    "promoted": ("revision {revision} was promoted", "success"),
    "harm-after-end": ("outcomes show harm after the rollout's end", "failure"),
    "drifted": ("what revision {revision} is asked or answers has drifted", "warning"),
    "drift-over": ("what revision {revision} is asked and answers is like its reference again", "success"),
    "test": ("a test of this notification", "info"),
}
#: Of drift in an aspect, which is neither what is asked nor what is answered.
_OF_ASPECTS: Mapping[str, str] = {
    "drifted": "{aspect} of revision {revision} has drifted",
    "drift-over": "{aspect} of revision {revision} is as in its reference again",
}


def message(event: Mapping[str, Any], moment: str) -> tuple[str, str, Tone]:
    """Return title, body and tone."""
    name, rollout = event["deployment"], event.get("rollout")
    title, tone = _TITLES.get(moment, (moment, "info"))
    data = event.get("data", {})
    if "aspect" in data:
        title = _OF_ASPECTS.get(moment, title)
    facts = {"revision": event.get("revision"), "weight": data.get("weight", "?"), "aspect": data.get("aspect")}
    lines = [str(event["message"])]
    if moment == "waiting":
        lines.append(f"Decide with: tidegate promote {name}, tidegate resume {name} or tidegate abort {name}")
    if moment == "harm-after-end":
        lines.append(f"Where that revision serves, return with: tidegate rollback {name}")
    if moment == "drifted":
        lines.append(f"Details: tidegate drift history {name}")
    if rollout is not None:
        lines.append(f"Details: tidegate report {rollout}")
    return f"{name}: {title.format(**facts)}", "\n".join(lines), tone
