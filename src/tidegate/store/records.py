"""Rows as the rest of Tidegate sees them. JSON columns come as plain dicts; times are aware and in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class DeploymentRow:
    """A named endpoint. `stable` is the number of the revision that serves; None until the first one does."""

    id: int
    name: str
    stable: int | None
    created_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True)
class RevisionRow:
    """A bundle with its serving settings; immutable.

    Attributes:
        number: 1, 2, … within the deployment.
        digest: sha256 of the bundle.
        request: the request document (JSON form) that made it, every default filled in.
    """

    deployment_id: int
    number: int
    digest: str
    request: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class RolloutRow:
    """One journey from stable to candidate.

    Attributes:
        version: grows by one with every update; an update names the version that it read.
        state: storage form of `rollout.Rollout`.
        evidence: what the judge has seen so far and the counters at the last look.
        ended_at: None while it is active; at most one rollout of a deployment is.
    """

    id: int
    deployment_id: int
    deployment: str
    from_revision: int | None
    to_revision: int
    phase: str
    version: int
    state: Mapping[str, Any]
    evidence: Mapping[str, Any]
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True)
class FreezeRow:
    """A span of time in which nothing is deployed.

    Attributes:
        deployment: None for all of them, also those that do not exist yet.
        starts_at, ends_at: it holds from the first up to, and without, the second.
        removed_at, removed_by: None while nobody removed it.
    """

    id: int
    deployment: str | None
    reason: str
    by: str
    starts_at: datetime
    ends_at: datetime
    created_at: datetime
    removed_at: datetime | None = None
    removed_by: str | None = None


@dataclass(frozen=True)
class NewEvent:
    """Something that happened, to be recorded with the change that it belongs to."""

    kind: str
    message: str
    revision: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """Something that happened. `seq` only grows, over all deployments."""

    seq: int
    at: datetime
    deployment: str
    rollout: int | None
    revision: int | None
    kind: str
    message: str
    data: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        return {
            "seq": self.seq,
            "at": self.at.isoformat(),
            "deployment": self.deployment,
            "rollout": self.rollout,
            "revision": self.revision,
            "kind": self.kind,
            "message": self.message,
            "data": dict(self.data),
        }


@dataclass(frozen=True)
class Addressee:
    """Somebody who is to be told of an event.

    Attributes:
        kind: "notification" or "hook".
        receiver: its name, unique among those of its kind in a deployment's request.
        moment: why it is told: a moment such as "promoted", or the type of a hook.
        destination: its part of the request document; holds no secret.
    """

    kind: str
    receiver: str
    moment: str
    destination: Mapping[str, Any]


@dataclass(frozen=True)
class NotificationRow:
    """One event on its way to one receiver.

    Attributes:
        event_id: the same for all receivers of the event, and for every attempt.
        state: "pending", "delivered" or "given_up".
        attempts: how many were made.
        next_at: when it is tried next; None once it is settled.
    """

    id: int
    event: Event
    event_id: str
    addressee: Addressee
    state: str
    attempts: int
    created_at: datetime
    next_at: datetime | None
    settled_at: datetime | None


@dataclass(frozen=True)
class AttemptRow:
    """One attempt to deliver. `status` is that of HTTP, None when there was none."""

    number: int
    at: datetime
    took_ms: int
    delivered: bool
    status: int | None
    detail: str
