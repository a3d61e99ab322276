"""What a pipeline remembers between its runs: cursors, dead letters, retrainings, their trainings and outcomes.

It is in the schema `pipeline` of the store's database, in PostgreSQL; beside the store's file it is a file of its own,
`pipeline.db`. Neither is Tidegate's own: the tables are made here, when they are first needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import (
    Column,
    Connection,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    delete,
    func,
    inspect,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.schema import CreateSchema

from tidegate.contract.errors import Conflict, InvalidInput, NotFound
from tidegate.store.address import Address, shown
from tidegate.store.database import Database
from tidegate.store.place import place_of
from tidegate.store.schema.types import Big, Document, Flag, Moment, SearchedOrNone, Words
from tidegate.store.versions import connected
from tidegate_pipeline.limits import Retrained
from tidegate_pipeline.outcomes import Outcome, worst

SCHEMA = "pipeline"
FILE = "pipeline.db"
#: Who makes the tables, or claims a retraining, is alone while it does: an advisory lock of PostgreSQL.
_LOCK = 0x7469_6470
#: Of one dead letter, in characters.
KEPT = 20_000

metadata = MetaData(schema=SCHEMA)

cursors = Table(
    "cursors",
    metadata,
    Column("source", Text, primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("position", Document, nullable=False),
    Column("is_done", Flag, nullable=False),
    Column("pages", Big, nullable=False),
    Column("records", Big, nullable=False),
    Column("updated_at", Moment, nullable=False),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=True),
    Column("source", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("position", Document, nullable=False),
    Column("payload", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("seen", Integer, nullable=False),
    Column("first_at", Moment, nullable=False),
    Column("last_at", Moment, nullable=False),
    Column("resolved_at", Moment),
    UniqueConstraint("source", "stream", "kind", "digest", name="dead_letters_key"),
)

retrainings = Table(
    "retrainings",
    metadata,
    Column("run", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("why", Words, nullable=False),
    Column("claimed_at", Moment, nullable=False),
    Column("planned_at", Moment),
    Column("ended_at", Moment),
    Column("setup", SearchedOrNone),
    Column("report", SearchedOrNone),
)

trainings = Table(
    "trainings",
    metadata,
    Column("run", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("segment", Words),
    Column("configuration", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("begun_at", Moment),
    Column("ended_at", Moment),
    Column("result", SearchedOrNone),
)

retraining_outcomes = Table(
    "retraining_outcomes",
    metadata,
    Column("run", Text, primary_key=True),
    Column("training", Text, primary_key=True),
    Column("reference", Text, nullable=False),
    Column("deployment", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Words, nullable=False),
    Column("evaluation", SearchedOrNone),
    Column("after_rollout", Big),
    Column("rollout", Text),
    Column("on_trial_at", Moment),
    Column("ended_at", Moment),
)


@dataclass(frozen=True)
class Cursor:
    """How far a stream was read: the position to go on at, and what was read so far, pages that came again included."""

    position: Mapping[str, Any]
    is_done: bool
    pages: int
    records: int


@dataclass(frozen=True)
class DeadLetter:
    """What could not be taken: a record, or a whole page.

    Attributes:
        kind: "record" or "page".
        position: of the page.
        payload: the record as JSON, cut short; of a page nothing.
        reason: a sentence.
    """

    stream: str
    kind: str
    position: Mapping[str, Any]
    payload: str
    reason: str

    @property
    def digest(self) -> str:
        """What makes it the same letter when it comes again."""
        told = self.payload if self.kind == "record" else orjson.dumps(self.position, option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(told.encode() if isinstance(told, str) else told).hexdigest()


def utc_now() -> datetime:
    return datetime.now(UTC)


class PipelineState:
    """The tables of the pipeline; for several threads and processes at once.

    Args:
        address: the file of the pipeline, or the URL of the store's PostgreSQL database.
        clock: returns now, aware.

    Raises:
        InvalidInput: there is no schema `pipeline`, and this role may not make one.
        Unavailable: the database cannot be reached.
    """

    def __init__(self, address: Address, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = connected(address)
        self._clock = clock
        if self._database.is_sqlite:
            engine = self._database.engine.execution_options(schema_translate_map={SCHEMA: None})
            self._database = Database(engine)
        try:
            self._make(address)
        except BaseException:
            self.close()
            raise

    @classmethod
    def at(cls, store: str | None, home: Path) -> PipelineState:
        """Open the tables that belong to a store: by `store`, else by TIDEGATE_STORE, else the home's own.

        Raises:
            InvalidInput, Unavailable: see the class, and `tidegate.store.place`.
        """
        address = place_of(home, store)
        if isinstance(address, Path):
            address.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            address = address.with_name(FILE)
        return cls(address)

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> PipelineState:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make(self, address: Address) -> None:
        schema = None if self._database.is_sqlite else SCHEMA
        if all(inspect(self._database.engine).has_table(table.name, schema) for table in metadata.tables.values()):
            return
        try:
            with self._write() as db:
                if schema is not None and not inspect(db).has_schema(schema):
                    db.execute(CreateSchema(schema))
                metadata.create_all(db, checkfirst=True)
        except ProgrammingError as error:
            raise InvalidInput(
                f"the tables of the pipeline cannot be made: {(str(error.orig).splitlines() or [''])[0]}",
                subject=shown(address),
                hint=f"as a role that may: CREATE SCHEMA {SCHEMA} AUTHORIZATION the role that runs the pipeline",
            ) from error

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        """Write, all of it or nothing, and alone."""
        if self._database.is_sqlite:
            with self._database.write() as db:
                yield db
            return
        # Not the lock of the store's own writers: a controller shall not wait for a pipeline.
        with self._database.engine.begin() as db:
            db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            yield db

    # Ingestion

    def cursor(self, source: str, stream: str) -> Cursor | None:
        """Return how far a stream was read; None where it was not begun."""
        row = cursors.c
        query = select(row.position, row.is_done, row.pages, row.records)
        with self._database.read() as db:
            found = db.execute(query.where(row.source == source, row.stream == stream)).one_or_none()
        return None if found is None else Cursor(*found)

    def advance(self, source: str, stream: str, cursor: Cursor, letters: Sequence[DeadLetter]) -> None:
        """Store how far a stream was read, and what could not be taken before that; both, or neither."""
        with self._write() as db:
            self._bury(db, source, letters)
            values = {"source": source, "stream": stream, **vars(cursor), "updated_at": self._clock()}
            put = self._database.insert(cursors).values(**values)
            kept = {name: put.excluded[name] for name in values if name not in ("source", "stream")}
            db.execute(put.on_conflict_do_update(index_elements=["source", "stream"], set_=kept))

    def forget(self, source: str) -> None:
        """Delete the cursors of a source, so that it is read from the beginning."""
        with self._write() as db:
            db.execute(cursors.delete().where(cursors.c.source == source))

    def bury(self, source: str, letters: Sequence[DeadLetter]) -> None:
        """Store what could not be taken; one that is there already is counted."""
        if letters:
            with self._write() as db:
                self._bury(db, source, letters)

    def _bury(self, db: Connection, source: str, letters: Sequence[DeadLetter]) -> None:
        now, there = self._clock(), dead_letters.c
        for letter in letters:
            put = self._database.insert(dead_letters).values(
                source=source,
                stream=letter.stream,
                kind=letter.kind,
                digest=letter.digest,
                position=dict(letter.position),
                payload=letter.payload[:KEPT],
                reason=letter.reason[:KEPT],
                seen=1,
                first_at=now,
                last_at=now,
            )
            again = {"seen": there.seen + 1, "last_at": now, "reason": put.excluded.reason, "resolved_at": None}
            keys = ["source", "stream", "kind", "digest"]
            db.execute(put.on_conflict_do_update(index_elements=keys, set_=again))

    def lost_pages(self, source: str, stream: str) -> list[tuple[int, Mapping[str, Any]]]:
        """Return id and position of each page that was given up and not read since, the oldest first."""
        row = dead_letters.c
        query = select(row.id, row.position).where(
            row.source == source, row.stream == stream, row.kind == "page", row.resolved_at.is_(None)
        )
        with self._database.read() as db:
            return [(found.id, found.position) for found in db.execute(query.order_by(row.id))]

    def resolve(self, letter: int) -> None:
        """Note that what a dead letter was about has been taken since."""
        with self._write() as db:
            db.execute(update(dead_letters).where(dead_letters.c.id == letter).values(resolved_at=self._clock()))

    def letters(self, source: str | None = None, *, unresolved: bool = True, limit: int = 100) -> list[dict[str, Any]]:
        """Return dead letters, the newest first."""
        row = dead_letters.c
        query = select(dead_letters).order_by(row.last_at.desc(), row.id.desc()).limit(limit)
        if source is not None:
            query = query.where(row.source == source)
        if unresolved:
            query = query.where(row.resolved_at.is_(None))
        with self._database.read() as db:
            return [dict(found) for found in db.execute(query).mappings()]

    # Retraining

    def claim(
        self, run: str, model: str, why: str, may: Callable[[Sequence[Retrained]], str | None] | None = None
    ) -> str | None:
        """Put a retraining on record, where nothing speaks against it.

        Args:
            may: given those before, the newest first, returns what speaks against it; None for nothing.

        Returns:
            What speaks against it; None where it is on record now. Of two who ask at once only one is told so.
        """
        with self._write() as db:
            if may is not None:
                against = may(_past(db, model))
                if against is not None:
                    return against
            values = {"run": run, "model": model, "why": why, "claimed_at": self._clock()}
            db.execute(retrainings.insert().values(**values))
        return None

    def release(self, run: str) -> bool:
        """Take back a claim whose retraining could not be started; return whether there was one that is not planned."""
        row = retrainings.c
        with self._write() as db:
            taken = db.execute(delete(retrainings).where(row.run == run, row.planned_at.is_(None)).returning(row.run))
            return taken.one_or_none() is not None

    def retrained(self, model: str) -> list[Retrained]:
        """Return the retrainings of a model, the newest first."""
        with self._database.read() as db:
            return _past(db, model)

    def plan(self, run: str, setup: Mapping[str, Any], planned: Sequence[Mapping[str, Any]]) -> None:
        """Put the trainings of a run on record; a run that was not claimed is from now on.

        Args:
            planned: `name`, `segment` and `configuration` of each.

        Raises:
            Conflict: others are on record; the same ones are no error, and stay as they are.
        """
        now, row = self._clock(), retrainings.c
        with self._write() as db:
            found = db.execute(select(row.planned_at, row.setup).where(row.run == run)).one_or_none()
            if found is None:
                values = {"run": run, "model": setup["model"], "why": "asked for", "claimed_at": now}
                db.execute(retrainings.insert().values(**values))
            elif found.planned_at is not None and found.setup == dict(setup):
                return
            elif found.planned_at is not None:
                raise Conflict(f"the run {run!r} was planned by another setup", subject=run)
            db.execute(update(retrainings).where(row.run == run).values(planned_at=now, setup=dict(setup)))
            for one in planned:
                db.execute(trainings.insert().values(run=run, state="planned", attempts=0, **one))

    def setup(self, run: str) -> dict[str, Any]:
        """Return the document that a run was planned by; NotFound where there is no such plan."""
        with self._database.read() as db:
            found = db.execute(select(retrainings.c.setup).where(retrainings.c.run == run)).scalar_one_or_none()
        if found is None:
            raise NotFound(f"there is no plan of a run {run!r}", subject=run, hint="make one: plan SETUP")
        return dict(found)

    def training(self, run: str, name: str) -> dict[str, Any]:
        """Return one training of a run; NotFound where there is none of that name."""
        found = next((one for one in self.trainings(run) if one["name"] == name), None)
        if found is None:
            raise NotFound(f"the run {run!r} has no training {name!r}", subject=name)
        return found

    def trainings(self, run: str) -> list[dict[str, Any]]:
        """Return the trainings of a run by name."""
        query = select(trainings).where(trainings.c.run == run).order_by(trainings.c.name)
        with self._database.read() as db:
            return [dict(found) for found in db.execute(query).mappings()]

    def begin(self, run: str, name: str) -> None:
        """Note that a training, or a further attempt at it, begins."""
        row = trainings.c
        first = func.coalesce(row.begun_at, literal(self._clock(), Moment), type_=Moment)
        values = {"state": "running", "attempts": row.attempts + 1, "begun_at": first}
        with self._write() as db:
            db.execute(update(trainings).where(row.run == run, row.name == name).values(**values))

    def end(self, run: str, name: str, state: str, result: Mapping[str, Any]) -> None:
        """Note how a training ended: "trained" or "failed"."""
        row = trainings.c
        values = {"state": state, "ended_at": self._clock(), "result": dict(result)}
        with self._write() as db:
            db.execute(update(trainings).where(row.run == run, row.name == name).values(**values))

    def report(self, run: str | None) -> dict[str, Any]:
        """Return what came of a run, None being the last that ended; NotFound while it is under way, or is none."""
        row = retrainings.c
        query = select(row.report).where(row.ended_at.is_not(None)).order_by(row.ended_at.desc()).limit(1)
        if run is not None:
            query = query.where(row.run == run)
        with self._database.read() as db:
            found = db.execute(query).scalar_one_or_none()
        if found is None:
            raise NotFound(f"there is no report of {'any run' if run is None else f'a run {run!r}'} yet", subject=run)
        return dict(found)

    def conclude(self, run: str, report: Mapping[str, Any]) -> None:
        """Store what came of a run."""
        values = {"ended_at": self._clock(), "report": dict(report)}
        with self._write() as db:
            db.execute(update(retrainings).where(retrainings.c.run == run).values(**values))

    def run(self, run: str) -> dict[str, Any]:
        """Return which model a run is of, why, and when it was claimed, planned and ended; NotFound for none."""
        row = retrainings.c
        query = select(row.run, row.model, row.why, row.claimed_at, row.planned_at, row.ended_at)
        with self._database.read() as db:
            found = db.execute(query.where(row.run == run)).mappings().one_or_none()
        if found is None:
            raise NotFound(f"there is no run {run!r}", subject=run)
        return dict(found)

    # Outcomes

    def compared(self, run: str, training: str, **values: Any) -> dict[str, Any]:
        """Store what a comparison of a run's model with stable led to, once; return what is on record.

        Args:
            values: `reference`, `deployment`, `state`, `reason` and `evaluation`.
        """
        ended = self._clock() if Outcome(values["state"]).is_end else None
        put = self._database.insert(retraining_outcomes).values(run=run, training=training, ended_at=ended, **values)
        with self._write() as db:
            db.execute(put.on_conflict_do_nothing(index_elements=["run", "training"]))
        return self.outcome(run, training)

    def outcome(self, run: str, training: str) -> dict[str, Any]:
        """Return what came of one model of a run; NotFound where it was not compared."""
        found = next((one for one in self.outcomes(run) if one["training"] == training), None)
        if found is None:
            raise NotFound(f"{training!r} of the run {run!r} was not compared with stable", subject=training)
        return found

    def outcomes(self, run: str) -> list[dict[str, Any]]:
        """Return what came of the models of a run that were compared with stable, by the names of their trainings."""
        query = select(retraining_outcomes).where(retraining_outcomes.c.run == run)
        with self._database.read() as db:
            return [dict(found) for found in db.execute(query.order_by(retraining_outcomes.c.training)).mappings()]

    def on_trial(self, model: str) -> list[dict[str, Any]]:
        """Return the outcomes of a model's retrainings whose rollout may be under way."""
        row = retraining_outcomes.c
        query = select(retraining_outcomes).join(retrainings, retrainings.c.run == row.run)
        query = query.where(retrainings.c.model == model, row.state == Outcome.ON_TRIAL.value)
        with self._database.read() as db:
            return [dict(found) for found in db.execute(query.order_by(row.run, row.training)).mappings()]

    def try_out(self, run: str, training: str, after_rollout: int) -> dict[str, Any]:
        """Note, before it happens, that a model is put on trial; what was noted first stays.

        Args:
            after_rollout: the number of the deployment's last rollout of before.
        """
        values = {"state": Outcome.ON_TRIAL.value, "after_rollout": after_rollout, "on_trial_at": self._clock()}
        self._change(run, training, Outcome.PASSED, values)
        return self.outcome(run, training)

    def began(self, run: str, training: str, rollout: str) -> None:
        """Note which rollout it is that a model is on trial in."""
        self._change(run, training, Outcome.ON_TRIAL, {"rollout": rollout})

    def ended(self, run: str, training: str, outcome: Outcome, reason: str) -> dict[str, Any]:
        """Store what came of a model that was on trial, or could not be put on trial; what ended before stays."""
        values = {"state": outcome.value, "reason": reason, "ended_at": self._clock()}
        self._change(run, training, Outcome.PASSED, values)
        self._change(run, training, Outcome.ON_TRIAL, values)
        return self.outcome(run, training)

    def _change(self, run: str, training: str, only: Outcome, values: Mapping[str, Any]) -> None:
        row = retraining_outcomes.c
        query = update(retraining_outcomes).where(row.run == run, row.training == training, row.state == only.value)
        with self._write() as db:
            db.execute(query.values(**values))


def _past(db: Connection, model: str) -> list[Retrained]:
    row, of = retrainings.c, retraining_outcomes.c
    query = select(row.run, row.claimed_at).where(row.model == model).order_by(row.claimed_at.desc(), row.run)
    runs = db.execute(query).all()
    ends: dict[str, list[tuple[Outcome, datetime | None]]] = {}
    known = select(of.run, of.state, of.ended_at).join(retrainings, row.run == of.run).where(row.model == model)
    for run, state, ended_at in db.execute(known):
        ends.setdefault(run, []).append((Outcome(state), ended_at))
    return [
        Retrained(
            claimed_at,
            worst(outcome for outcome, _ in ends.get(run, [])),
            max((at for _, at in ends.get(run, []) if at is not None), default=None),
        )
        for run, claimed_at in runs
    ]
