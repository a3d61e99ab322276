"""The faults that are tried, and the setting of a request document that each is found by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """A fault of a candidate, and what it is tried under.

    Attributes:
        name: as the table has it.
        harm: what the candidate does, one of those of `models`.
        analysis: what the request document says beyond the defaults.
        setting: the same in words.
        is_copied: whether the candidate gets copies alone, whose answers nobody sees.
    """

    name: str
    harm: str
    analysis: dict[str, Any]
    setting: str
    is_copied: bool = False


_SERVICE_LEVEL = "none beyond the service level: `availability: 99%`"
CASES = (
    Case("errors", "errors", {}, _SERVICE_LEVEL),
    Case("latency", "latency", {}, "none beyond the service level: `latencyP99: 100ms`"),
    Case(
        "wrong answers",
        "wrong answers",
        {"disagreement": "1%"},
        "`deploymentStrategy: shadow`, `analysis.disagreement: 1%`: 5 % are copied",
        is_copied=True,
    ),
    Case(
        "wrong answers, users at 5 %",
        "wrong answers",
        {"predictions": {"tolerance": "10%", "margin": "10%", "critical": True}},
        "`analysis.predictions: {tolerance: 10%, margin: 10%, critical: true}`",
    ),
)
