"""Rows of the model registry as the rest of Tidegate sees them; times are aware and in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tidegate.contract.lineage import Lineage
from tidegate.contract.models import Stage


@dataclass(frozen=True)
class ModelRow:
    """A model with what is known of it at a glance.

    Attributes:
        versions: how many there are; the newest has this number.
        aliases: number of the version by alias.
    """

    name: str
    description: str
    created_at: datetime
    created_by: str
    versions: int
    aliases: Mapping[str, int]


@dataclass(frozen=True)
class Deployed:
    """Where a version is deployed now: the stable revision of a living deployment, or one that is on trial."""

    deployment: str
    revision: int
    stable: bool
    follows: str | None


@dataclass(frozen=True)
class VersionRow:
    """A version of a model; immutable but for its stage and what names or deploys it.

    Attributes:
        number: 1, 2, … within the model.
        digest: sha256 of its bundle.
        framework: name of the runtime that serves it.
        source: where it came from, as it was told.
        details: signature, environment, format and sizes from its bundle; empty in lists.
        aliases: those that name it now.
        deployed: where it is deployed now.
    """

    model: str
    number: int
    digest: str
    framework: str
    source: str
    description: str
    stage: Stage
    metrics: Mapping[str, float]
    lineage: Lineage
    created_at: datetime
    created_by: str
    details: Mapping[str, Any] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    deployed: tuple[Deployed, ...] = ()


@dataclass(frozen=True)
class NewVersion:
    """A version that is to be registered; its bundle is kept already."""

    digest: str
    framework: str
    source: str
    details: Mapping[str, Any]
    description: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    lineage: Lineage = field(default_factory=Lineage)


@dataclass(frozen=True)
class AliasMove:
    """A move of an alias. `before` is None where there was none, `number` where it was taken away.

    `rollout` is the one whose end moved it; None for a person.
    """

    model: str
    alias: str
    before: int | None
    number: int | None
    at: datetime
    by: str
    reason: str
    rollout: int | None


@dataclass(frozen=True)
class StageChange:
    """A change of the stage of a version."""

    number: int
    before: Stage
    stage: Stage
    at: datetime
    by: str
    reason: str


@dataclass(frozen=True)
class VersionLink:
    """Which version a new revision is.

    Attributes:
        asked: the alias or stage by which it was asked for; None for a number.
        follows: the alias that names the deployment's stable version; None: none does.
        by: who asked for the rollout.
    """

    model: str
    number: int
    asked: str | None
    follows: str | None
    by: str
