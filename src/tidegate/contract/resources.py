"""What a candidate's replicas may take of memory and processor, for the judge to hold them to."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, Strict

from tidegate.contract.documents import Document, Flag
from tidegate.contract.quantities import Duration, Memory, between

Share = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
Bytes = Annotated[Memory, between("0B", "64Ti", Memory)]


class Watched(Document):
    """How a resource is weighed."""

    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """Its share of the score beside the other signals."""

    critical: Flag = True
    """Whether harm takes the candidate back; if not, it is a warning."""

    dry_run: Flag = False
    """Whether it is shown and counts for nothing."""


class MoreMemory(Document):
    """How much more memory is borne: the larger of the two."""

    relative: Share = 0.5
    """By this share: 0.5 is half as much again."""

    absolute: Bytes = Memory.parse("64Mi")
    """By this much."""


class WatchedMemory(Watched):
    """The memory of each replica, with all its processes: what is its own, in memory or swapped out. Mapped files are
    not in it, since replicas share them and the system takes them back."""

    growth: MoreMemory | None = MoreMemory()
    """How far it may grow beyond stable's now, or its own at its first traffic where that is larger: a leak does. Null:
    growth is no harm."""

    beside_stable: MoreMemory | None = None
    """How far it may lie above stable's; absent, a model that is larger from the beginning is no harm."""

    limit: Annotated[Memory, between("1Mi", "64Ti", Memory)] | None = None
    """The most that it may ever be."""


class MoreTime(Document):
    """How much more processor time is borne: the larger of the two."""

    relative: Share = 1.0
    """By this share: 1 is twice as much."""

    absolute: Annotated[Duration, between("0s", "10m", Duration)] = Duration.parse("10ms")
    """By this much."""


class WatchedCpu(Watched):
    """The processor time that a request takes, that of all processes of a revision by its requests. What a replica
    does without requests is in it, which weighs the more the fewer they are."""

    beside_stable: MoreTime = MoreTime()
    """How far it may lie above stable's."""

    min_requests: Annotated[int, Strict(), Field(ge=1, le=1_000_000)] = 50
    """Requests of each revision that one measurement takes at least."""


class WatchedResources(Document):
    """What the candidate's replicas take beside stable's. What is absent is not watched."""

    memory: WatchedMemory | None = None
    """Their memory; `memory: {}` finds leaks."""

    cpu: WatchedCpu | None = None
    """Their processor time."""

    interval: Annotated[Duration, between("500ms", "10m", Duration)] = Duration.parse("2s")
    """Time between two readings. Three in a row must agree before they are held against the candidate."""
