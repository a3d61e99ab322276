"""Queries and guarded updates. Every change of state and the event that tells of it are one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from tidegate.contract.errors import Conflict, NotFound
from tidegate.store.address import Address, shown
from tidegate.store.aspect_readings import AspectReadings, AspectRow
from tidegate.store.database import Database, is_of
from tidegate.store.drift_readings import DriftReading, DriftReadings
from tidegate.store.following import follow, link
from tidegate.store.freezes import Freezes
from tidegate.store.hook_answers import HookAnswers
from tidegate.store.model_records import AliasMove, VersionLink
from tidegate.store.outbox import Addressees, Outbox, nobody, post
from tidegate.store.outcomes import Outcomes
from tidegate.store.records import DeploymentRow, Event, NewEvent, RevisionRow, RolloutRow
from tidegate.store.registry import Registry
from tidegate.store.retention import Retention
from tidegate.store.rows import event_of
from tidegate.store.schema.delivery import deployments, events, looks, revisions, rollouts
from tidegate.store.versions import opened

#: What the event is called that tells of an alias which a rollout moved.
ALIAS_MOVED = "alias_moved"


class ActiveRolloutExists(Conflict):
    """The deployment has a rollout that has not ended; the database allows one."""


class StaleState(Exception):  # noqa: N818  (named for what the caller has)
    """Somebody else changed the rollout since it was read; read it again and decide again."""


class Store:
    """The store in one database; safe for several threads of one process."""

    def __init__(self, address: Address, addressees: Addressees = nobody) -> None:
        """Open it. A file is created with its tables when there is none, and brought to today's schema.

        Args:
            addressees: who is told of an event; what it returns goes to the outbox in the event's own transaction.

        Raises:
            Unavailable: it was written by a newer Tidegate, or, in PostgreSQL, cannot be reached or has no schema of
                today's: see `tidegate db`.
        """
        self._database = opened(address)
        self._address = address
        self._where = shown(address)
        self._addressees = addressees
        self.outbox = Outbox(self._database)
        self.retention = Retention(self._database)
        self.freezes = Freezes(self._database)
        self.told = Outcomes(self._database)
        self.hook_answers = HookAnswers(self._database)
        self.registry = Registry(self._database)
        self.drift = DriftReadings(self._database)
        self.aspects = AspectReadings(self._database)

    @property
    def address(self) -> Address:
        """Where it is, for who opens it again; a URL may hold a password."""
        return self._address

    @property
    def where(self) -> str:
        """Where it is, for people: a path, or a URL without its password."""
        return self._where

    @property
    def database(self) -> Database:
        return self._database

    def checkpoint(self) -> None:
        """Move what was written from SQLite's log into its file; PostgreSQL does so by itself.

        No write does so by itself, since that waits for the disk. May be called from any thread, beside all else; what
        somebody writes meanwhile is left to the next call. The last to close the store does it as well.
        """
        if not self._database.is_sqlite:
            return
        connection = self._database.engine.raw_connection()
        try:
            connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            connection.close()

    def close(self) -> None:
        self._database.close()

    # Deployments and revisions

    def deployments(self) -> list[DeploymentRow]:
        """Return the living deployments by name."""
        query = select(deployments).where(deployments.c.deleted_at.is_(None)).order_by(deployments.c.name)
        with self._database.read() as db:
            return [_deployment(row) for row in db.execute(query)]

    def deleted_names(self) -> set[str]:
        """Return the names that had a deployment once and have none now."""
        living = select(deployments.c.name).where(deployments.c.deleted_at.is_(None))
        query = select(deployments.c.name).where(deployments.c.name.not_in(living))
        with self._database.read() as db:
            return set(db.execute(query).scalars())

    def deployment(self, name: str) -> DeploymentRow:
        """Return the living deployment of that name; NotFound when there is none."""
        with self._database.read() as db:
            found = _living(db, name)
        if found is None:
            raise NotFound(
                f"there is no deployment {name!r}", subject=name, hint="`tidegate list` shows those that there are"
            )
        return found

    def revisions(self, deployment_id: int) -> list[RevisionRow]:
        """Return the deployment's revisions, oldest first."""
        query = select(revisions).where(revisions.c.deployment_id == deployment_id).order_by(revisions.c.number)
        with self._database.read() as db:
            return [_revision(row) for row in db.execute(query)]

    def revision(self, deployment_id: int, number: int) -> RevisionRow:
        """Return one revision; NotFound when there is none of that number."""
        query = select(revisions).where(revisions.c.deployment_id == deployment_id, revisions.c.number == number)
        with self._database.read() as db:
            row = db.execute(query).one_or_none()
        if row is None:
            raise NotFound(
                f"there is no revision {number}", hint="`tidegate history NAME` shows the revisions that there are"
            )
        return _revision(row)

    def start_rollout(
        self,
        name: str,
        *,
        digest: str,
        request: Mapping[str, Any],
        plan_state: Callable[[int | None, int], Mapping[str, Any]],
        to_revision: int | None,
        happened: NewEvent,
        now: datetime,
        further: Sequence[tuple[str, Mapping[str, Any]]] = (),
        versions: Sequence[VersionLink | None] = (),
    ) -> RolloutRow:
        """Record, as one transaction, a new rollout and with it what it needs: the deployment and its revisions.

        Args:
            further: digest and request of each revision that is tried beside the candidate; they get the next numbers.
            plan_state: called with (stable or None, number of the candidate); returns the state to start in.
            to_revision: an existing revision to return to, or None to make a new one of `digest` and `request`.
            versions: which version of a model each new revision is, in their order; None: none. Empty: none of them is.

        Raises:
            ActiveRolloutExists: one is under way.
            NotFound, Conflict: a version is not there, is archived, or its alias follows another deployment.
        """
        try:
            with self._database.write() as db:
                found = _living(db, name)
                if found is None:
                    created = db.execute(insert(deployments).values(name=name, created_at=now))
                    deployment_id, stable = _new_id(created.inserted_primary_key), None
                else:
                    deployment_id, stable = found.id, found.stable
                new: list[tuple[int, str]] = []
                if to_revision is None:
                    top = select(func.max(revisions.c.number)).where(revisions.c.deployment_id == deployment_id)
                    to_revision = (db.execute(top).scalar_one() or 0) + 1
                    made = [(digest, request), *further]
                    new = [(number, one) for number, (one, _) in enumerate(made, to_revision)]
                    db.execute(
                        insert(revisions),
                        [
                            {
                                "deployment_id": deployment_id,
                                "number": number,
                                "digest": one,
                                "request": dict(document),
                                "created_at": now,
                            }
                            for number, (one, document) in enumerate(made, to_revision)
                        ],
                    )
                state = plan_state(stable, to_revision)
                added = db.execute(
                    insert(rollouts).values(
                        deployment_id=deployment_id,
                        from_revision=stable,
                        to_revision=to_revision,
                        phase=state["phase"],
                        state=dict(state),
                        evidence={},
                        started_at=now,
                    )
                )
                rollout_id = _new_id(added.inserted_primary_key)
                for (number, one), version in zip(new, versions, strict=False):
                    if version is not None:
                        link(
                            db,
                            version,
                            deployment=name,
                            deployment_id=deployment_id,
                            revision=number,
                            digest=one,
                            rollout_id=rollout_id,
                        )
                self._record(db, deployment_id, rollout_id, _with_revision(happened, to_revision), now)
        except IntegrityError as error:
            if not is_of(error, "one_active_rollout_per_deployment", "rollouts.deployment_id"):
                raise
            raise ActiveRolloutExists(
                f"a rollout of {name!r} is under way",
                subject=name,
                hint=f"wait for it (`tidegate watch {name}`), or end it (`tidegate abort {name}`)",
            ) from error
        return self.rollout(rollout_id)

    def delete_deployment(self, name: str, happened: NewEvent, now: datetime) -> DeploymentRow:
        """Mark the deployment deleted; its history stays.

        Raises:
            NotFound: there is none of that name.
            ActiveRolloutExists: a rollout is under way.
        """
        with self._database.write() as db:
            found = _living(db, name)
            if found is None:
                raise NotFound(f"there is no deployment {name!r}", subject=name)
            active = select(rollouts.c.id).where(rollouts.c.deployment_id == found.id, rollouts.c.ended_at.is_(None))
            if db.execute(active).first() is not None:
                raise ActiveRolloutExists(
                    f"a rollout of {name!r} is under way",
                    subject=name,
                    hint=f"end it first: `tidegate abort {name}`",
                )
            db.execute(update(deployments).where(deployments.c.id == found.id).values(deleted_at=now))
            self._record(db, found.id, None, happened, now)
        return found

    # Rollouts

    def rollout(self, rollout_id: int) -> RolloutRow:
        """Return one rollout, active or ended; NotFound when there is none of that id."""
        found = self._rollouts(rollouts.c.id == rollout_id)
        if not found:
            raise NotFound(f"there is no rollout {rollout_id}", hint="`tidegate history NAME` shows the rollouts")
        return found[0]

    def active_rollout(self, deployment_id: int) -> RolloutRow | None:
        """Return the deployment's rollout that has not ended, if there is one."""
        found = self._rollouts(rollouts.c.deployment_id == deployment_id, rollouts.c.ended_at.is_(None))
        return found[0] if found else None

    def last_rollout(self, deployment_id: int) -> RolloutRow | None:
        """Return the deployment's latest rollout, active or ended."""
        latest = select(func.max(rollouts.c.id)).where(rollouts.c.deployment_id == deployment_id).scalar_subquery()
        found = self._rollouts(rollouts.c.id == latest)
        return found[0] if found else None

    def outcomes(self, deployment_id: int) -> dict[str, int]:
        """Return how many of the deployment's rollouts ended in each terminal phase; without those that none did."""
        query = (
            select(rollouts.c.phase, func.count().label("ended"))
            .where(rollouts.c.deployment_id == deployment_id, rollouts.c.ended_at.is_not(None))
            .group_by(rollouts.c.phase)
        )
        with self._database.read() as db:
            return {row.phase: row.ended for row in db.execute(query)}

    def rollouts(self, deployment_id: int) -> list[RolloutRow]:
        """Return the deployment's rollouts, oldest first."""
        return self._rollouts(rollouts.c.deployment_id == deployment_id)

    def save_transition(
        self,
        read: RolloutRow,
        state: Mapping[str, Any],
        evidence: Mapping[str, Any],
        happened: Sequence[NewEvent],
        now: datetime,
        *,
        ended: bool,
        promoted: int | None = None,
    ) -> RolloutRow:
        """Store an edge of the state machine: one guarded update, its events, and the new stable revision if promoted.

        At the end of a rollout the aliases of the model registry that follow the stable revision move with it.

        Args:
            promoted: the revision that is stable from now on, and where the rollout led; None while it is not decided.

        Raises:
            StaleState: the rollout is no longer in the version and phase that `read` shows; nothing was changed.
        """
        with self._database.write() as db:
            changes: dict[str, Any] = {"phase": state["phase"], "state": dict(state), "evidence": dict(evidence)}
            if promoted is not None:
                changes["to_revision"] = promoted
            _guarded_update(db, read, {**changes, "ended_at": now if ended else None})
            if promoted is not None:
                done = update(deployments).where(deployments.c.id == read.deployment_id).values(stable=promoted)
                db.execute(done)
            moves = follow(db, read, promoted, _told(happened), now) if ended else []
            # Before the end, which is the last that a rollout tells.
            for one in (*map(_moved, moves), *happened):
                self._record(db, read.deployment_id, read.id, _with_revision(one, read.to_revision), now)
        return self.rollout(read.id)

    def save_look(self, read: RolloutRow, state: Mapping[str, Any], evidence: Mapping[str, Any]) -> RolloutRow:
        """Store what a look added to the evidence; the phase stays. Raises StaleState as `save_transition` does."""
        with self._database.write() as db:
            _guarded_update(db, read, {"state": dict(state), "evidence": dict(evidence)})
        return self.rollout(read.id)

    def add_look(self, rollout_id: int, data: Mapping[str, Any], now: datetime) -> None:
        """Keep what a look saw, for the report."""
        with self._database.write() as db:
            db.execute(insert(looks).values(rollout_id=rollout_id, at=now, data=dict(data)))

    def looks(self, rollout_id: int) -> list[dict[str, Any]]:
        """Return the looks that were kept, oldest first, each with its time as `at`."""
        query = select(looks).where(looks.c.rollout_id == rollout_id).order_by(looks.c.id)
        with self._database.read() as db:
            return [{"at": row.at.isoformat(timespec="microseconds"), **row.data} for row in db.execute(query)]

    # Drift

    def save_drift(self, deployment_id: int, reading: DriftReading, happened: NewEvent | None) -> None:
        """Store a reading and the event that it makes, if any, at its time.

        Raises:
            NotFound: the deployment is not there any more; nothing was stored.
        """
        with self._database.write() as db:
            _require_living(db, reading.deployment, deployment_id)
            self.drift.add(db, reading)
            if happened is not None:
                self._record(db, deployment_id, None, happened, reading.at)

    def save_aspects(self, deployment_id: int, readings: Sequence[AspectRow], happened: Sequence[NewEvent]) -> None:
        """Store readings of one deployment and time, one at least, and the events that they make; see `save_drift`."""
        with self._database.write() as db:
            _require_living(db, readings[0].deployment, deployment_id)
            self.aspects.add(db, readings)
            for one in happened:
                self._record(db, deployment_id, None, one, readings[0].at)

    # Events

    def add_event(self, deployment_id: int, rollout_id: int | None, happened: NewEvent, now: datetime) -> None:
        """Record something that changed no state."""
        with self._database.write() as db:
            self._record(db, deployment_id, rollout_id, happened, now)

    def events(
        self, deployment_id: int, *, after: int = 0, rollout_id: int | None = None, limit: int = 1000
    ) -> list[Event]:
        """Return events with `seq` larger than `after`, oldest first, at most `limit`."""
        query = (
            select(events, deployments.c.name)
            .join(deployments, deployments.c.id == events.c.deployment_id)
            .where(events.c.deployment_id == deployment_id, events.c.seq > after)
            .order_by(events.c.seq)
            .limit(limit)
        )
        if rollout_id is not None:
            query = query.where(events.c.rollout_id == rollout_id)
        with self._database.read() as db:
            return [event_of(row) for row in db.execute(query)]

    def _record(
        self, db: Connection, deployment_id: int, rollout_id: int | None, happened: NewEvent, now: datetime
    ) -> None:
        added = db.execute(
            insert(events).values(
                at=now,
                deployment_id=deployment_id,
                rollout_id=rollout_id,
                revision=happened.revision,
                kind=happened.kind,
                message=happened.message,
                data=dict(happened.data),
            )
        )
        seq = _new_id(added.inserted_primary_key)
        post(db, self._addressees, deployment_id=deployment_id, event_seq=seq, kind=happened.kind, now=now)

    def _rollouts(self, *conditions: Any) -> list[RolloutRow]:
        query = (
            select(rollouts, deployments.c.name.label("deployment"))
            .join(deployments, deployments.c.id == rollouts.c.deployment_id)
            .where(*conditions)
            .order_by(rollouts.c.id)
        )
        with self._database.read() as db:
            return [_rollout(row) for row in db.execute(query)]


def _living(db: Connection, name: str) -> DeploymentRow | None:
    query = select(deployments).where(deployments.c.name == name, deployments.c.deleted_at.is_(None))
    row = db.execute(query).one_or_none()
    return None if row is None else _deployment(row)


def _require_living(db: Connection, name: str, deployment_id: int) -> None:
    found = _living(db, name)
    if found is None or found.id != deployment_id:
        raise NotFound(f"there is no deployment {name!r}", subject=name)


def _guarded_update(db: Connection, read: RolloutRow, values: Mapping[str, Any]) -> None:
    guarded = (
        update(rollouts)
        .where(rollouts.c.id == read.id, rollouts.c.version == read.version, rollouts.c.phase == read.phase)
        .values(version=read.version + 1, **values)
    )
    if db.execute(guarded).rowcount != 1:
        raise StaleState(f"rollout {read.id} is no longer in version {read.version}")


def _told(happened: Sequence[NewEvent]) -> dict[str, Any]:
    """Return who ended a rollout, if the events say so, and why."""
    last = happened[-1] if happened else None
    return {"by": last.data.get("by") if last else None, "reason": last.message if last else ""}


def _moved(move: AliasMove) -> NewEvent:
    message = f"the alias {move.alias} of the model {move.model} "
    if move.number is None:
        message += f"was taken from version {move.before}: what serves is no version of this model"
    elif move.before is None:
        message += f"names version {move.number} from now on"
    else:
        message += f"moved from version {move.before} to version {move.number}"
    data = {"model": move.model, "alias": move.alias, "before": move.before, "version": move.number, "by": move.by}
    return NewEvent(ALIAS_MOVED, message, data=data)


def _with_revision(happened: NewEvent, revision: int) -> NewEvent:
    if happened.revision is not None:
        return happened
    return NewEvent(happened.kind, happened.message, revision, happened.data)


def _new_id(key: Any) -> int:
    return int(key[0])


def _deployment(row: Row[Any]) -> DeploymentRow:
    return DeploymentRow(
        id=row.id,
        name=row.name,
        stable=row.stable,
        created_at=row.created_at,
        deleted_at=row.deleted_at,
    )


def _revision(row: Row[Any]) -> RevisionRow:
    return RevisionRow(
        deployment_id=row.deployment_id,
        number=row.number,
        digest=row.digest,
        request=row.request,
        created_at=row.created_at,
    )


def _rollout(row: Row[Any]) -> RolloutRow:
    return RolloutRow(
        id=row.id,
        deployment_id=row.deployment_id,
        deployment=row.deployment,
        from_revision=row.from_revision,
        to_revision=row.to_revision,
        phase=row.phase,
        version=row.version,
        state=row.state,
        evidence=row.evidence,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )
