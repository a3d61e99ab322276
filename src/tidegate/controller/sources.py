"""What a source of counts looks like: something that knows of bad events that the gateway cannot see.

The gateway counts requests, errors, rejections and slow ones. Whatever else the judge is to weigh (answers compared,
outcomes, queries) comes from a source, which tells at each look what has been counted since the look before. A source
never waits for anything slow: what takes time is done beside the loop, and `grown` brings what has come by now, since
the same loop takes a harmful candidate back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from tidegate.contract.request import DeploymentRequest
from tidegate.judge import Tally
from tidegate.rollout import Rollout
from tidegate.target.base import RevisionHealth
from tidegate.trial.comparing import Binned
from tidegate.trial.counting import Totals
from tidegate.trial.measurements import Measurement


class Pair(NamedTuple):
    """Growth of one signal since the last look: events of its kind, and how many of them were bad."""

    candidate: Tally
    stable: Tally


@dataclass(frozen=True)
class Look:
    """What a source may know of the look that it is asked in.

    Attributes:
        rollout_id: a source that remembers begins anew with another one.
        growth: what the gateway counted since the last look, by revision.
        seconds: since the last look; after a start of the controller, since it started its clock.
        health: of the revisions' replicas, as seen last.
        memory: what the source gave at the last look of this rollout, from this process or an earlier one; None before
            the first.
    """

    rollout_id: int
    rollout: Rollout
    request: DeploymentRequest
    growth: Mapping[int, Totals]
    seconds: float
    health: Mapping[int, RevisionHealth] = field(default_factory=dict)
    memory: Any = None


@dataclass(frozen=True)
class Found:
    """What a source counted since the last look.

    Attributes:
        grown: by signal. One that is missing grew by nothing.
        unmeasured: by signal, why it could not be measured now. A candidate does not pass while there is one.
        measurements: of metrics with a threshold, by name: what came of those that ended since the last look.
        distributions: by signal and feature.
        memory: plain JSON values, stored together with what was counted: what is remembered of a cumulative counter
            here is neither lost nor counted twice when the controller is killed.
    """

    grown: Mapping[str, Pair] = field(default_factory=dict)
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    measurements: Mapping[str, Sequence[Measurement]] = field(default_factory=dict)
    distributions: Mapping[str, Mapping[str, Binned]] = field(default_factory=dict)
    memory: Any = None


class Source(Protocol):
    """Counts bad events of both revisions. Its signals are in `trial.rules.rules` for requests that ask for them."""

    #: Unique among the sources; what it remembers is stored under it.
    name: str

    async def grown(self, look: Look) -> Found:
        """Return what was counted since the last look; called from the baseline on, and nothing it meets is raised.

        What a failure costs is said in `Found.unmeasured`.
        """
        ...


def by_revision(found: Mapping[str, Pair], candidate: int, stable: int) -> dict[int, dict[str, Tally]]:
    """Return growth by revision instead of by signal."""
    return {
        candidate: {signal: pair.candidate for signal, pair in found.items()},
        stable: {signal: pair.stable for signal, pair in found.items()},
    }


def unmeasured(founds: Iterable[Found]) -> dict[str, str]:
    """Return why signals could not be measured, of all sources."""
    return {signal: why for found in founds for signal, why in found.unmeasured.items()}


def distributions(founds: Iterable[Found]) -> dict[str, Mapping[str, Binned]]:
    """Return what was counted in bins, of all sources."""
    return {signal: grown for found in founds for signal, grown in found.distributions.items()}
