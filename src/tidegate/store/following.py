"""What is deployed of the registry: revisions are linked to their versions, and aliases follow what is stable.

Both happen in the transaction of the rollout's own change, so that neither is there without the other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, or_, select

from tidegate.contract.errors import Conflict
from tidegate.contract.models import ARCHIVED
from tidegate.store.model_records import AliasMove, VersionLink
from tidegate.store.records import RolloutRow
from tidegate.store.registry import archived, model_id_of, move_alias, refuse_second_follower, version_in
from tidegate.store.schema.delivery import events, rollouts
from tidegate.store.schema.registry import deployed_versions, model_aliases, models

#: Kinds of events that say who decided; the first of them, who asked for a return.
_DECISIONS = ("preparing", "promoting", "rolling_back")
#: Of these, the newest that are looked through.
_MOST_EVENTS = 100


@dataclass(frozen=True)
class Link:
    """A revision that is a version of a model."""

    revision: int
    model_id: int
    model: str
    number: int
    follows: str | None
    rollout: int
    by: str


#: An alias of a model: key of the model, its name, the alias.
Alias = tuple[int, str, str]


def on_promotion(before: Link | None, after: Link | None, *, is_return: bool) -> dict[Alias, int | None]:
    """Return what aliases are to name when a revision becomes stable; None: nothing.

    Args:
        before, after: the revision that was stable, and the one that is; None where it is no version of a model.
        is_return: whether `after` was stable before. An alias that followed what is left goes back with it, also where
            the revision returned to asked for none. Where that is no version of the model, the alias would name what
            no longer serves, and is taken away.
    """
    found: dict[Alias, int | None] = {}
    if is_return and before is not None and before.follows is not None:
        is_same_model = after is not None and after.model_id == before.model_id
        key = (before.model_id, before.model, before.follows)
        found[key] = after.number if after is not None and is_same_model else None
    if after is not None and after.follows is not None:
        found[after.model_id, after.model, after.follows] = after.number
    return found


def on_the_way_back(stable: Link | None, tried: Sequence[Link], named: Mapping[Alias, int]) -> dict[Alias, int | None]:
    """Return what aliases are to name when candidates were taken back: those that were moved to one ahead of it.

    Args:
        named: what the aliases that follow them name now.
    """
    found: dict[Alias, int | None] = {}
    for link in tried:
        if link.follows is None or stable is None or stable.model_id != link.model_id:
            continue
        key = (link.model_id, link.model, link.follows)
        if named.get(key) == link.number:
            found[key] = stable.number
    return found


def link(
    db: Connection,
    to: VersionLink,
    *,
    deployment: str,
    deployment_id: int,
    revision: int,
    digest: str,
    rollout_id: int,
) -> None:
    """Record which version a new revision is.

    Raises:
        NotFound: it is not there.
        Conflict: it is archived or another bundle, or the alias follows another deployment.
    """
    version = version_in(db, to.model, to.number)
    if version.stage == ARCHIVED:
        raise archived(to.model, to.number)
    if version.digest != digest:
        raise Conflict(
            f"version {to.number} of the model {to.model!r} is another bundle than the revision",
            subject=f"models:/{to.model}/{to.number}",
            expected=version.digest,
            got=digest,
        )
    if to.follows is not None:
        refuse_second_follower(db, deployment, to.model, to.follows)
    db.execute(
        insert(deployed_versions).values(
            deployment_id=deployment_id,
            revision=revision,
            model_id=model_id_of(db, to.model),
            number=to.number,
            asked=to.asked,
            follows=to.follows,
            by=to.by,
            rollout_id=rollout_id,
        )
    )


def follow(
    db: Connection, row: RolloutRow, promoted: int | None, told: Mapping[str, Any], now: datetime
) -> list[AliasMove]:
    """Move the aliases that follow a deployment's stable revision, at the end of a rollout; return the moves.

    Args:
        promoted: the revision that is stable from now on; None: the candidates were taken back.
        told: `by` and `reason` of the end; who decided is looked up where `by` says nobody.
    """
    links = {one.revision: one for one in _links(db, row, promoted)}
    if not links:
        return []
    stable = links.get(row.from_revision) if row.from_revision is not None else None
    tried = [one for one in links.values() if one.rollout == row.id]
    if promoted is not None:
        wanted = on_promotion(stable, links.get(promoted), is_return=_was_stable(db, row, promoted))
    else:
        wanted = on_the_way_back(stable, tried, _named(db, {one.model_id for one in tried}))
    if not wanted:
        return []
    by, why = _decision(db, row) or (told.get("by"), told["reason"])
    if by is None and promoted is not None and promoted in links:
        by = links[promoted].by  # the judge let it pass: what was asked for came about
    done = f"promoted revision {promoted}" if promoted is not None else "took its candidate back"
    reason = f"rollout {row.id} of {row.deployment} {done}: {why}"
    moves = [
        move_alias(db, *key, number, by=str(by or "tidegate"), reason=reason, now=now, rollout_id=row.id)
        for key, number in wanted.items()
    ]
    return [move for move in moves if move is not None]


def _links(db: Connection, row: RolloutRow, promoted: int | None) -> list[Link]:
    """Return the links of what was stable, of what is, and of what the rollout tried."""
    of, concerned = deployed_versions.c, [number for number in (row.from_revision, promoted) if number is not None]
    query = (
        select(deployed_versions, models.c.name)
        .join(models, models.c.id == of.model_id)
        .where(of.deployment_id == row.deployment_id, or_(of.revision.in_(concerned), of.rollout_id == row.id))
    )
    return [
        Link(row.revision, row.model_id, row.name, row.number, row.follows, row.rollout_id, row.by)
        for row in db.execute(query)
    ]


def _named(db: Connection, model_ids: Collection[int]) -> dict[Alias, int]:
    query = (
        select(model_aliases, models.c.name)
        .join(models, models.c.id == model_aliases.c.model_id)
        .where(models.c.id.in_(model_ids))
    )
    return {(row.model_id, row.name, row.alias): row.number for row in db.execute(query)}


def _was_stable(db: Connection, row: RolloutRow, revision: int) -> bool:
    earlier = select(rollouts.c.id).where(
        rollouts.c.deployment_id == row.deployment_id,
        rollouts.c.to_revision == revision,
        rollouts.c.phase == "promoted",
        rollouts.c.id != row.id,
    )
    return db.execute(earlier.limit(1)).first() is not None


def _decision(db: Connection, row: RolloutRow) -> tuple[str, str] | None:
    """Return who decided how a rollout ends, or asked for a return, and in which words; None where no person did."""
    query = (
        select(events.c.kind, events.c.message, events.c.data)
        .where(events.c.rollout_id == row.id, events.c.kind.in_(_DECISIONS))
        .order_by(events.c.seq.desc())
        .limit(_MOST_EVENTS)
    )
    found = [(event.kind, event.data.get("by"), event.message) for event in db.execute(query)]
    if found and found[0][0] == "rolling_back":  # a return that is taken back was not asked for
        found = found[:1]
    return next(((str(by), message) for _, by, message in found if by), None)
