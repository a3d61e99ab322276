"""Versions of models in a store, without any bundle: for tests of what is kept of them."""

from __future__ import annotations

from typing import Any

from tests.support.rollouts import NOW
from tidegate.contract.lineage import Lineage
from tidegate.store import NewEvent, NewVersion, RolloutRow, Store, VersionLink, VersionRow


def new(digest: str = "a", **fields: Any) -> NewVersion:
    usual = {"framework": "sklearn", "source": "/models/churn.skops", "details": {"format": "skops"}}
    return NewVersion(digest=digest * 64, **{**usual, **fields})


def add(store: Store, digest: str = "a", model: str = "churn", **fields: Any) -> VersionRow:
    return store.registry.add(model, new(digest, **fields), by="ada", now=NOW)[0]


def link(number: int, *, model: str = "churn", follows: str | None = "champion", by: str = "ada") -> VersionLink:
    return VersionLink(model, number, None, follows, by)


def begin(
    store: Store,
    digest: str,
    *versions: VersionLink | None,
    name: str = "shop",
    further: tuple[str, ...] = (),
    to_revision: int | None = None,
) -> RolloutRow:
    """Begin a rollout of bundles whose digests are a letter, 64 times; `versions` say what they are in the registry."""
    return store.start_rollout(
        name,
        digest=digest * 64,
        request={"name": name},
        further=[(one * 64, {"name": name}) for one in further],
        versions=versions,
        plan_state=lambda stable, candidate: {"phase": "preparing", "stable": stable, "candidate": candidate},
        to_revision=to_revision,
        happened=NewEvent("preparing", "begun"),
        now=NOW,
    )


def lineage(**fields: Any) -> Lineage:
    return Lineage.model_validate(fields)
