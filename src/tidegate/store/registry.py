"""The model registry in the store: versions never change, aliases and stages do, and each change stays on record."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, insert, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from tidegate.contract.errors import Conflict, NotFound
from tidegate.contract.lineage import check_metrics, parse_lineage
from tidegate.contract.models import (
    ARCHIVED,
    LATEST,
    ModelReference,
    Stage,
    check_alias,
    check_model_name,
    check_new_alias,
    parse_reference,
)
from tidegate.store.database import Database
from tidegate.store.model_records import AliasMove, Deployed, ModelRow, NewVersion, StageChange, VersionRow
from tidegate.store.schema.delivery import deployments, rollouts
from tidegate.store.schema.registry import (
    alias_moves,
    deployed_versions,
    model_aliases,
    model_versions,
    models,
    stage_changes,
)

#: Rows that a list has at most, the newest.
MOST_ROWS = 500

_NOT_DETAILS = [column for column in model_versions.c if column.name != "details"]


class Registry:
    """The model registry of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, model: str, version: NewVersion, *, by: str, now: datetime, about: str | None = None
    ) -> tuple[VersionRow, bool]:
        """Register a version, and its model when it is the first.

        Args:
            about: what the model is for, which replaces what was said before; None leaves that.

        Returns:
            The version, and whether it is new: one that says the same of the same bundle is there once.

        Raises:
            InvalidInput: the name, or a metric, cannot be.
            NotFound: its parent is not registered.
        """
        check_model_name(model)
        metrics = check_metrics(version.metrics)
        lineage = version.lineage.as_document()
        with self._database.write() as db:
            model_id = _made(db, model, by, now)
            if about is not None:
                db.execute(update(models).where(models.c.id == model_id).values(description=about))
            if version.lineage.parent is not None:
                parent = parse_reference(version.lineage.parent)
                _version(db, parent.model, *_find(db, parent))
            same = _equal(db, model_id, version, metrics, lineage)
            if same is None:
                top = select(func.max(model_versions.c.number)).where(model_versions.c.model_id == model_id)
                number = (db.execute(top).scalar_one() or 0) + 1
                db.execute(
                    insert(model_versions).values(
                        model_id=model_id,
                        number=number,
                        digest=version.digest,
                        framework=version.framework,
                        source=version.source,
                        description=version.description,
                        metrics=metrics,
                        lineage=lineage,
                        details=dict(version.details),
                        created_at=now,
                        created_by=by,
                    )
                )
            return _version(db, model, model_id, number if same is None else same), same is None

    def models(self) -> list[ModelRow]:
        """Return every model, by name."""
        counted = (
            select(model_versions.c.model_id, func.count().label("versions"))
            .group_by(model_versions.c.model_id)
            .subquery()
        )
        query = (
            select(models, counted.c.versions)
            .join(counted, counted.c.model_id == models.c.id, isouter=True)
            .order_by(models.c.name)
        )
        with self._database.read() as db:
            named: dict[int, dict[str, int]] = {}
            for row in db.execute(select(model_aliases).order_by(model_aliases.c.alias)):
                named.setdefault(row.model_id, {})[row.alias] = row.number
            return [_model(row, named.get(row.id, {})) for row in db.execute(query)]

    def model(self, name: str) -> ModelRow:
        """Return one model; NotFound when there is none of that name."""
        with self._database.read() as db:
            row = _model_row(db, name)
            count = select(func.count()).where(model_versions.c.model_id == row.id)
            return _model(row, _aliases(db, row.id), db.execute(count).scalar_one())

    def versions(self, name: str, *, limit: int = MOST_ROWS) -> list[VersionRow]:
        """Return the newest versions of a model, newest first, without their details; NotFound without the model."""
        with self._database.read() as db:
            model_id = _model_row(db, name).id
            aliases, deployed = _aliases(db, model_id), _deployed(db, deployed_versions.c.model_id == model_id)
            query = (
                select(*_NOT_DETAILS)
                .where(model_versions.c.model_id == model_id)
                .order_by(model_versions.c.number.desc())
                .limit(limit)
            )
            return [_version_of(row, name, aliases, deployed) for row in db.execute(query)]

    def version(self, reference: ModelReference) -> VersionRow:
        """Return the version that a reference names now.

        A stage names its newest version, and `latest` the newest that is not archived.

        Raises:
            NotFound: there is no such model, version or alias, or no version in that stage.
        """
        with self._database.read() as db:
            model_id, number = _find(db, reference)
            return _version(db, reference.model, model_id, number)

    def alias_moves(self, name: str, *, limit: int = MOST_ROWS) -> list[AliasMove]:
        """Return the latest moves of a model's aliases, oldest first; NotFound when there is no such model."""
        with self._database.read() as db:
            model_id = _model_row(db, name).id
            query = (
                select(alias_moves)
                .where(alias_moves.c.model_id == model_id)
                .order_by(alias_moves.c.id.desc())
                .limit(limit)
            )
            return [move_of(row, name) for row in db.execute(query)][::-1]

    def stage_changes(self, name: str, *, limit: int = MOST_ROWS) -> list[StageChange]:
        """Return the latest changes of stages of a model's versions, oldest first; NotFound without the model."""
        with self._database.read() as db:
            query = (
                select(stage_changes)
                .where(stage_changes.c.model_id == _model_row(db, name).id)
                .order_by(stage_changes.c.id.desc())
                .limit(limit)
            )
            return [
                StageChange(row.number, row.before, row.stage, row.at, row.by, row.reason) for row in db.execute(query)
            ][::-1]

    def move_alias(
        self,
        name: str,
        alias: str,
        number: int | None,
        *,
        by: str,
        reason: str,
        now: datetime,
        expected: int | None = None,
    ) -> AliasMove | None:
        """Let an alias name a version, or, with None, none.

        Args:
            expected: what it must name before, 0 for nothing; None: whatever it names.

        Returns:
            The move; None when it names that version already.

        Raises:
            InvalidInput: it cannot be an alias.
            NotFound: there is no such model or version, or no alias to take away.
            Conflict: the version is archived, or the alias does not name what was expected.
        """
        check_alias(alias)
        with self._database.write() as db:
            model_id = _model_row(db, name).id
            named = _aliases(db, model_id).get(alias, 0)
            if expected is not None and named != expected:
                raise Conflict(
                    f"the alias {alias!r} of the model {name!r} was moved meanwhile",
                    subject=f"models:/{name}@{alias}",
                    expected=f"version {expected}" if expected else "no such alias",
                    got=f"version {named}" if named else "no such alias",
                )
            if number is None:
                if alias not in _aliases(db, model_id):
                    raise _no_alias(name, alias, _aliases(db, model_id))
            elif _version(db, name, model_id, number).stage == ARCHIVED:
                raise archived(name, number)
            elif not named:
                check_new_alias(alias)
            return move_alias(db, model_id, name, alias, number, by=by, reason=reason, now=now, rollout_id=None)

    def set_stage(self, name: str, number: int, stage: Stage, *, by: str, reason: str, now: datetime) -> VersionRow:
        """Put a version in a stage; nothing happens when it is there.

        Raises:
            NotFound: there is no such model or version.
            Conflict: it is to be archived, and is deployed or named by an alias.
        """
        with self._database.write() as db:
            model_id = _model_row(db, name).id
            found = _version(db, name, model_id, number)
            if found.stage == stage:
                return found
            if stage == ARCHIVED:
                _refuse_in_use(found)
            of_it = and_(model_versions.c.model_id == model_id, model_versions.c.number == number)
            db.execute(update(model_versions).where(of_it).values(stage=stage))
            values = {"before": found.stage, "stage": stage, "at": now, "by": by, "reason": reason}
            db.execute(insert(stage_changes).values(model_id=model_id, number=number, **values))
            return _version(db, name, model_id, number)

    def followed(self, name: str, alias: str) -> dict[str, int]:
        """Return the number of the version that is stable in each deployment which the alias follows, by its name."""
        with self._database.read() as db:
            links = deployed_versions.c
            wanted = and_(links.follows == alias, links.model_id == model_id_of(db, name))
            return {row.deployment: row.number for row in db.execute(deployed_where(wanted)) if row.is_stable}

    def refuse_second_follower(self, deployment: str, model: str, alias: str) -> None:
        """Raise Conflict where the alias follows what is stable, or tried, in another deployment."""
        with self._database.read() as db:
            refuse_second_follower(db, deployment, model, alias)


def model_id_of(db: Connection, name: str) -> int:
    """Return the key of a model; NotFound when there is none of that name."""
    return int(_model_row(db, name).id)


def version_in(db: Connection, name: str, number: int) -> VersionRow:
    """Return a version within a transaction; NotFound when there is none."""
    return _version(db, name, model_id_of(db, name), number)


def move_alias(
    db: Connection,
    model_id: int,
    name: str,
    alias: str,
    number: int | None,
    *,
    by: str,
    reason: str,
    now: datetime,
    rollout_id: int | None,
) -> AliasMove | None:
    """Move an alias, or take it away, and put it on record; None when it is there already."""
    before = _aliases(db, model_id).get(alias)
    if before == number:
        return None
    of_it = and_(model_aliases.c.model_id == model_id, model_aliases.c.alias == alias)
    values: dict[str, Any] = {"number": number, "moved_at": now, "moved_by": by}
    if number is None:
        db.execute(delete(model_aliases).where(of_it))
    elif before is None:
        db.execute(insert(model_aliases).values(model_id=model_id, alias=alias, **values))
    else:
        db.execute(update(model_aliases).where(of_it).values(**values))
    told = {"before": before, "number": number, "at": now, "by": by, "reason": reason, "rollout_id": rollout_id}
    db.execute(insert(alias_moves).values(model_id=model_id, alias=alias, **told))
    return AliasMove(name, alias, before, number, now, by, reason, rollout_id)


def archived(name: str, number: int) -> Conflict:
    """Return the refusal of what must not be done with an archived version."""
    return Conflict(
        f"version {number} of the model {name!r} is archived",
        subject=f"models:/{name}/{number}",
        hint=f"take it out of the archive first: tidegate registry stage '{name}/{number}' none",
    )


def refuse_second_follower(db: Connection, deployment: str, model: str, alias: str) -> None:
    """Raise Conflict where the alias follows what is stable, or tried, in another deployment."""
    links = deployed_versions.c
    wanted = and_(links.follows == alias, links.model_id == model_id_of(db, model))
    others = {row.deployment for row in db.execute(deployed_where(wanted))} - {deployment}
    if others:
        raise Conflict(
            f"the alias {alias!r} of the model {model!r} follows the deployment {min(others)!r} already",
            subject="registry.alias",
            expected="an alias that follows no other deployment",
            hint=f"give this deployment an alias of its own, e.g. --alias {alias}-{deployment}",
        )


def move_of(row: Row[Any], name: str) -> AliasMove:
    return AliasMove(name, row.alias, row.before, row.number, row.at, row.by, row.reason, row.rollout_id)


def _refuse_in_use(version: VersionRow) -> None:
    if version.deployed:
        where = ", ".join(sorted({f"{one.deployment} (revision {one.revision})" for one in version.deployed}))
        raise Conflict(
            f"version {version.number} of the model {version.model!r} is deployed: {where}",
            subject=f"models:/{version.model}/{version.number}",
            hint="deploy another version there first, or delete the deployment",
        )
    if version.aliases:
        raise Conflict(
            f"version {version.number} of the model {version.model!r} is named by {', '.join(version.aliases)}",
            subject=f"models:/{version.model}/{version.number}",
            hint="move the alias to another version first, or take it away: tidegate registry alias",
        )


def _made(db: Connection, name: str, by: str, now: datetime) -> int:
    """Return the key of a model, which is made when there is none."""
    found = db.execute(select(models.c.id).where(models.c.name == name)).scalar_one_or_none()
    if found is not None:
        return int(found)
    added = db.execute(insert(models).values(name=name, created_at=now, created_by=by).returning(models.c.id))
    return int(added.scalar_one())


def _equal(
    db: Connection, model_id: int, version: NewVersion, metrics: dict[str, float], lineage: dict[str, Any]
) -> int | None:
    """Return the number of the newest version that says the same of the same bundle."""
    query = (
        select(*_NOT_DETAILS)
        .where(model_versions.c.model_id == model_id, model_versions.c.digest == version.digest)
        .order_by(model_versions.c.number.desc())
    )
    told = (version.source, version.description, metrics, lineage)
    alike = (row for row in db.execute(query) if (row.source, row.description, row.metrics, row.lineage) == told)
    found = next(alike, None)
    return None if found is None else int(found.number)


def _model_row(db: Connection, name: str) -> Row[Any]:
    row = db.execute(select(models).where(models.c.name == name)).one_or_none()
    if row is None:
        raise NotFound(
            f"there is no model {name!r}", subject=name, hint="`tidegate registry list` shows those that there are"
        )
    return row


def _find(db: Connection, reference: ModelReference) -> tuple[int, int]:
    """Return the keys of the version that a reference names."""
    name, model_id = reference.model, int(_model_row(db, reference.model).id)
    if reference.version is not None:
        return model_id, reference.version
    if reference.alias is not None:
        aliases = _aliases(db, model_id)
        if reference.alias not in aliases:
            raise _no_alias(name, reference.alias, aliases)
        return model_id, aliases[reference.alias]
    stage = model_versions.c.stage
    wanted = stage == reference.stage if reference.stage is not None else stage != ARCHIVED
    newest = select(func.max(model_versions.c.number)).where(model_versions.c.model_id == model_id, wanted)
    number = db.execute(newest).scalar_one()
    if number is None:
        raise NotFound(
            f"the model {name!r} has no version in the stage {reference.stage!r}"
            if reference.stage is not None
            else f"the model {name!r} has no version that is not archived, so none is {LATEST}",
            subject=str(reference),
            hint=f"`tidegate registry show '{name}'` shows its versions",
        )
    return model_id, int(number)


def _no_alias(name: str, alias: str, aliases: dict[str, int]) -> NotFound:
    known = ", ".join(f"{other} (version {number})" for other, number in aliases.items()) or "none"
    return NotFound(
        f"the model {name!r} has no alias {alias!r}",
        subject=f"models:/{name}@{alias}",
        got=f"its aliases: {known}",
        hint=f"give it to a version: tidegate registry alias '{name}' {alias} VERSION",
    )


def _aliases(db: Connection, model_id: int) -> dict[str, int]:
    query = select(model_aliases).where(model_aliases.c.model_id == model_id).order_by(model_aliases.c.alias)
    return {row.alias: row.number for row in db.execute(query)}


def _version(db: Connection, name: str, model_id: int, number: int) -> VersionRow:
    of_it = and_(model_versions.c.model_id == model_id, model_versions.c.number == number)
    row = db.execute(select(model_versions).where(of_it)).one_or_none()
    if row is None:
        raise NotFound(
            f"the model {name!r} has no version {number}",
            subject=f"models:/{name}/{number}",
            hint=f"`tidegate registry show '{name}'` shows those that there are",
        )
    here = and_(deployed_versions.c.model_id == model_id, deployed_versions.c.number == number)
    return _version_of(row, name, _aliases(db, model_id), _deployed(db, here))


def deployed_where(wanted: ColumnElement[bool]) -> Any:
    """Return the query of what is deployed now: stable in a living deployment, or on trial in a rollout under way."""
    links, under_way = deployed_versions.c, rollouts.c.ended_at.is_(None)
    is_stable = and_(deployments.c.deleted_at.is_(None), deployments.c.stable == links.revision)
    on_trial = or_(rollouts.c.id == links.rollout_id, rollouts.c.to_revision == links.revision)
    return (
        select(deployed_versions, deployments.c.name.label("deployment"), is_stable.label("is_stable"))
        .join(deployments, deployments.c.id == links.deployment_id)
        .join(rollouts, and_(rollouts.c.deployment_id == deployments.c.id, under_way), isouter=True)
        .where(wanted, or_(is_stable, and_(rollouts.c.id.is_not(None), on_trial)))
        .order_by(deployments.c.name, links.revision)
    )


def _deployed(db: Connection, wanted: ColumnElement[bool]) -> dict[int, list[Deployed]]:
    """Return where versions of one model are deployed now, by their numbers."""
    found: dict[int, list[Deployed]] = {}
    for row in db.execute(deployed_where(wanted)):
        one = Deployed(row.deployment, row.revision, bool(row.is_stable), row.follows)
        found.setdefault(row.number, []).append(one)
    return found


def _model(row: Row[Any], aliases: dict[str, int], versions: int | None = None) -> ModelRow:
    counted = row.versions if versions is None else versions
    return ModelRow(row.name, row.description, row.created_at, row.created_by, counted or 0, aliases)


def _version_of(row: Row[Any], name: str, aliases: dict[str, int], deployed: dict[int, list[Deployed]]) -> VersionRow:
    return VersionRow(
        model=name,
        number=row.number,
        digest=row.digest,
        framework=row.framework,
        source=row.source,
        description=row.description,
        stage=row.stage,
        metrics={metric: float(value) for metric, value in row.metrics.items()},
        lineage=parse_lineage(row.lineage),
        created_at=row.created_at,
        created_by=row.created_by,
        details=getattr(row, "details", {}),
        aliases=tuple(alias for alias, number in aliases.items() if number == row.number),
        deployed=tuple(deployed.get(row.number, ())),
    )
