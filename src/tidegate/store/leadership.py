"""Which of several controllers of one PostgreSQL database leads.

A lock that PostgreSQL keeps for as long as a connection lives says who leads, and lets go of it by itself when that
controller dies. A connection can break under a controller that lives and does not know it yet: each that comes to lead
begins a new term, and the database refuses what is written in an old one.
"""

from __future__ import annotations

import threading
from datetime import datetime

from sqlalchemy import Connection, insert, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from tidegate.contract.errors import Unavailable
from tidegate.store.database import LOCKS, Database
from tidegate.store.schema.delivery import leadership

#: Which of our advisory locks this is; see `database.WRITING`.
LEADING = 2
#: Of the connection that holds the lock: a machine that is gone is noticed by the server within six seconds; our side
#: notices as `database` says.
_KEEPALIVES = {"idle": 2, "interval": 2, "count": 2}
_USER_TIMEOUT_MS = 6000


class NoLongerLeading(Unavailable):
    """Another controller leads now: what this one wanted to write was not written."""


class Leadership:
    """One controller's part in it; for several threads.

    Args:
        holder: who this is, for people: a machine and a process.
    """

    def __init__(self, database: Database, holder: str) -> None:
        self._database = database
        self._holder = holder
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._term: int | None = None

    @property
    def term(self) -> int | None:
        """The term in which this controller leads, or led last; None before the first."""
        return self._term

    def try_take(self, now: datetime) -> bool:
        """Lead, if nobody else does; from then on writes of this database are those of a new term.

        Whoever led before and lost its connection only goes on in its term when nobody led in between.

        Raises:
            Unavailable: the database cannot be reached.
        """
        with self._lock:
            self._drop()
            connection = self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            try:
                _keep_alive(connection)
                taken = bool(
                    connection.execute(
                        text("SELECT pg_try_advisory_lock(:locks, :leading)"), {"locks": LOCKS, "leading": LEADING}
                    ).scalar_one()
                )
                if taken:
                    self._begin(connection, now)
            except BaseException:
                connection.invalidate()
                connection.close()
                raise
            if not taken:
                connection.close()
                return False
            self._connection = connection
            return True

    def is_held(self) -> bool:
        """Say whether the connection that holds the lock lives."""
        with self._lock:
            if self._connection is None:
                return False
            try:
                self._connection.execute(text("SELECT 1"))
            except (SQLAlchemyError, Unavailable):
                self._drop()
                return False
            return True

    def led_by(self) -> str | None:
        """Return who leads or led last, None when nobody did yet."""
        with self._database.read() as db:
            return db.execute(select(leadership.c.holder)).scalar_one_or_none()

    def release(self) -> None:
        """Let another lead."""
        with self._lock:
            self._term = None
            self._drop()

    def _begin(self, connection: Connection, now: datetime) -> None:
        """Begin a term, or go on in the one that nobody has ended."""
        term = connection.execute(select(leadership.c.term)).scalar_one_or_none()
        if term is not None and term == self._term:
            return
        begun = (term or 0) + 1
        values = {"term": begun, "holder": self._holder, "since": now}
        if term is None:
            connection.execute(insert(leadership).values(id=1, **values))
        else:
            connection.execute(update(leadership).values(**values))
        self._term = begun
        self._database.fence(self._refuse_old_terms)

    def _refuse_old_terms(self, db: Connection) -> None:
        row = db.execute(select(leadership)).one()
        if row.term != self._term:
            raise NoLongerLeading(
                f"another controller leads: {row.holder}, since {row.since.isoformat(timespec='seconds')}",
                hint="commands go to that one",
            )

    def _drop(self) -> None:
        if self._connection is not None:
            # Not back into the pool: the lock is the connection's.
            self._connection.invalidate()
            self._connection.close()
            self._connection = None


def _keep_alive(connection: Connection) -> None:
    for name, seconds in _KEEPALIVES.items():
        connection.execute(text(f"SET tcp_keepalives_{name} = {seconds}"))
    connection.execute(text(f"SET tcp_user_timeout = {_USER_TIMEOUT_MS}"))
    connection.execute(text("SET idle_session_timeout = 0"))
