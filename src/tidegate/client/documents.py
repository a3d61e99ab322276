"""The API's JSON documents as far as clients rely on them; a newer controller may send more keys.

Times are ISO 8601 text in UTC. A revision number used as a key is text, because JSON has no other keys.
"""

from __future__ import annotations

from typing import Any, TypedDict

#: Ids are text made of digits; a number is taken as well.
RolloutId = int | str


class Accepted(TypedDict):
    """The answer to a deploy or a rollback.

    When exactly this serves already, `created` is False and `rollout` None. `warnings` are sentences about the model
    that did not stop it, such as a framework of another version than the one that wrote it.
    """

    deployment: str
    revision: int
    rollout: str | None
    created: bool
    warnings: list[str]


class Freeze(TypedDict):
    """A span of time in which nothing is deployed to a deployment; None: to any. The last two: None while it stands."""

    id: int
    deployment: str | None
    reason: str
    by: str
    starts_at: str
    ends_at: str
    created_at: str
    removed_at: str | None
    removed_by: str | None


class Model(TypedDict, total=False):
    """A model of the registry; `latest` is the number of its newest version.

    The last three are there when one model is asked for: its newest versions, newest first, and every move of its
    aliases and stages, oldest first.
    """

    name: str
    description: str
    latest: int
    aliases: dict[str, int]
    created_at: str
    created_by: str
    versions: list[ModelVersion]
    alias_moves: list[dict[str, Any]]
    stage_changes: list[dict[str, Any]]


class ModelVersion(TypedDict, total=False):
    """A version of a model; `deployed` says where it is stable or on trial.

    The last six are what its bundle says, and are not in lists.
    """

    model: str
    version: int
    reference: str
    digest: str
    framework: str
    source: str
    description: str
    stage: str
    aliases: list[str]
    deployed: list[dict[str, Any]]
    metrics: dict[str, float]
    lineage: dict[str, Any]
    created_at: str
    created_by: str
    format: str
    framework_version: str | None
    trusted: bool
    size_bytes: int
    signature: dict[str, Any]
    environment: dict[str, Any]


class Registered(TypedDict):
    """The answer to a registration; `created` is False where exactly this was registered before."""

    version: ModelVersion
    created: bool
    warnings: list[str]


class Event(TypedDict, total=False):
    """One line of the append-only event log. `seq` grows by one for each event of the whole controller."""

    seq: int
    at: str
    deployment: str
    rollout: str | None
    revision: int | None
    kind: str
    message: str
    data: dict[str, Any]


class Rollout(TypedDict, total=False):
    """One move from `from_revision` (None for a first deployment) to `to_revision`.

    `arms`, `comparison` and `split_check` are there for an A/B test alone.
    """

    id: str
    deployment: str
    from_revision: int | None
    to_revision: int
    phase: str
    step_index: int
    steps: list[dict[str, Any]]
    weight: float
    mirror: float
    waiting_for: str | None
    reason_required: bool
    reason: str | None
    started_at: str
    ended_at: str | None
    verdict: dict[str, Any] | None
    requests: dict[str, dict[str, int]]
    requests_in_step: dict[str, dict[str, int]]
    arms: list[dict[str, Any]]
    comparison: dict[str, Any] | None
    split_check: str


class Status(TypedDict, total=False):
    """What a deployment is doing now. Splits map a revision to percent of the requests, as asked and as observed."""

    name: str
    url: str
    phase: str
    stable: int | None
    candidate: int | None
    split_asked: dict[str, float]
    split_observed: dict[str, float] | None
    replicas: dict[str, dict[str, Any]]
    rollout: Rollout | None
    #: The last reading of drift in short; None where the request asks for no watch.
    drift: dict[str, Any] | None
    #: What keeps the controller from going on with this deployment; None: nothing.
    trouble: str | None


class History(TypedDict, total=False):
    """Everything a deployment ever was, newest last."""

    revisions: list[dict[str, Any]]
    rollouts: list[Rollout]
