"""The database of a store: SQLite in a file, or PostgreSQL; reads and writes, and what its refusals are to users.

Writes of one store come one after another: what a write has read stays true until it is over, whoever else writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, ExceptionContext, Row, Select, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import IntegrityError

from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.store.schema import WITHOUT_SCHEMAS

#: What serialises the writers of one PostgreSQL database: the first half of our advisory locks, and which one it is.
LOCKS, WRITING = 0x7469_6465, 1

#: The log is moved into the file by `checkpoint` alone, and made small again when it had grown.
_OF_THE_LOG = ("wal_autocheckpoint = 0", "journal_size_limit = 16777216")
#: How the names of SQLite's errors begin that a file, a disk or another process is the reason of.
_REFUSALS = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_BUSY")
#: Of those of a file that is no database, or no whole one.
_NO_DATABASE, _CORRUPT = "SQLITE_NOTADB", "SQLITE_CORRUPT"
#: Classes of PostgreSQL's errors that are the server's state or ours to it, and none of what was asked: connections,
#: resources, intervention by an operator, the system's errors, and transactions that were rolled back for others.
_STATES = ("08", "53", "57", "58", "40", "25006", "55P03")
_SECONDS_TO_CONNECT = 3
#: When a connection ends whose other end is gone and could not say so: else a query waits for a quarter of an hour.
_TO_NOTICE = {"keepalives_idle": 2, "keepalives_interval": 2, "keepalives_count": 2, "tcp_user_timeout": 6000}
#: Of a database: in others names and values cannot be kept, or come back as bytes.
_ENCODING = "UTF8"
_SESSION = {
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
}
_IS_WRITE = "tidegate_write"

#: Called in each write, within its transaction: raises where this process must not write.
Fence = Callable[[Connection], None]


class Damaged(Unavailable):
    """The file is no SQLite database, or no whole one."""


class Database:
    """Connections to one database; for several threads.

    Args:
        engine: of `sqlite_engine` or `postgresql_engine`.
        asking: of `asking_engine`; None for SQLite, to whose file there is no way that costs.
    """

    def __init__(self, engine: Engine, asking: Engine | None = None) -> None:
        self.engine = engine
        self._asking = asking
        self._fence: Fence | None = None

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    def fence(self, fence: Fence | None) -> None:
        """Ask this before each write from now on; None for nothing."""
        self._fence = fence

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """See one state of the database, whoever writes meanwhile."""
        with self.engine.connect() as connection:
            if not self.is_sqlite:
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                yield connection

    def ask(self, query: Select[Any], parameters: Mapping[str, Any]) -> Sequence[Row[Any]]:
        """Return the rows of one query, in one round trip: it sees one state of the database without a transaction.

        A connection is not tried before it is used. One that died meanwhile is replaced, and the query asked again.
        """
        if self._asking is None:
            with self.read() as connection:
                return connection.execute(query, parameters).all()
        with self._asking.connect() as connection:
            try:
                return connection.execute(query, parameters).all()
            except Unavailable:
                if not connection.invalidated:
                    raise
        with self._asking.connect() as connection:
            return connection.execute(query, parameters).all()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Write, all of it or nothing. No other write of this database is under way meanwhile."""
        with self.engine.connect() as connection:
            connection.execution_options(**{_IS_WRITE: True})
            with connection.begin():
                if not self.is_sqlite:
                    lock = text("SELECT pg_advisory_xact_lock(:locks, :writing)")
                    connection.execute(lock, {"locks": LOCKS, "writing": WRITING})
                self.refuse_outsider(connection)
                yield connection

    def refuse_outsider(self, connection: Connection) -> None:
        """Raise, within a transaction that is to write, where this process must not: another controller leads."""
        if self._fence is not None:
            self._fence(connection)

    def insert(self, table: Table) -> Any:
        """Return an insert that knows what to do when there is such a row (`on_conflict_do_update`)."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def close(self) -> None:
        self.engine.dispose()
        if self._asking is not None:
            self._asking.dispose()


def sqlite_engine(path: Path) -> Engine:
    """Return the engine of a file, which is made when there is none."""
    engine = create_engine(
        f"sqlite:///{path}", connect_args={"timeout": 10, "check_same_thread": False}, hide_parameters=True
    ).execution_options(schema_translate_map=WITHOUT_SCHEMAS)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        # Transactions are begun by SQLAlchemy's own BEGIN below: sqlite3's implicit ones would start too late to guard
        # a read that an update depends on.
        connection.isolation_level = None
        # The journal's mode is kept in the file; that of others' files is theirs until our tables are in it.
        mode = () if _is_of_others(connection) else ("journal_mode = WAL",)
        for pragma in (*mode, "synchronous = NORMAL", "foreign_keys = ON", *_OF_THE_LOG):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "handle_error")
    def _refused(context: ExceptionContext) -> None:
        error = context.original_exception
        if not isinstance(error, sqlite3.DatabaseError):
            return
        # The module's own errors, such as that a parameter is missing, have no name.
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith((_NO_DATABASE, _CORRUPT)):
            raise _damaged(path, error, is_database=name.startswith(_CORRUPT)) from error
        if name.startswith(_REFUSALS):
            raise Unavailable(
                f"the store cannot be used: {error}",
                subject=str(path),
                hint="make room on its disk, or see what else is wrong with: tidegate doctor",
            ) from error

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        is_write = connection.get_execution_options().get(_IS_WRITE, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")

    return engine


def _is_of_others(connection: sqlite3.Connection) -> bool:
    """Say whether a file has something in it and no number of ours."""
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    return number == 0 and connection.execute("SELECT 1 FROM sqlite_master").fetchone() is not None


def _damaged(path: Path, error: sqlite3.DatabaseError, *, is_database: bool) -> Damaged:
    what = "is damaged" if is_database else "is no SQLite database, or the beginning of it is damaged"
    another = "" if is_database else "name another file with --store or TIDEGATE_STORE, or "
    return Damaged(
        f"the store cannot be used: {path} {what}",
        subject=str(path),
        expected="a SQLite database that is whole",
        got=str(error),
        hint=f"{another}restore it from a copy; what can be read of it says: tidegate db check",
    )


def postgresql_engine(url: URL) -> Engine:
    """Return the engine of a PostgreSQL database; nothing is connected yet.

    Raises:
        Unavailable: the extra `postgresql` is not installed.
    """
    return _engine(url, _SESSION, pool_pre_ping=True)


def asking_engine(url: URL) -> Engine:
    """Return an engine for `Database.ask`, with connections of its own; as `postgresql_engine` otherwise."""
    return _engine(url, {**_SESSION, "default_transaction_read_only": "on"}, isolation_level="AUTOCOMMIT")


def _engine(url: URL, settings: Mapping[str, str], **further: Any) -> Engine:
    try:
        import psycopg
    except ImportError as error:
        raise Unavailable(
            "PostgreSQL needs psycopg, which is not installed",
            subject=url.render_as_string(hide_password=True),
            hint="pip install 'tidegate[postgresql]'",
        ) from error
    session = " ".join(f"-c {name}={value}" for name, value in settings.items())
    given = url.query.get("options", "")
    options = f"{session} {given if isinstance(given, str) else ' '.join(given)}".strip()
    defaults = {"connect_timeout": _SECONDS_TO_CONNECT, "application_name": "tidegate", **_TO_NOTICE}
    engine = create_engine(
        url.set(drivername="postgresql+psycopg").difference_update_query(["options"]),
        connect_args={**{name: value for name, value in defaults.items() if name not in url.query}, "options": options},
        hide_parameters=True,
        pool_size=5,
        max_overflow=5,
        pool_timeout=10,
        **further,
    )

    @event.listens_for(engine, "do_connect")
    def _connect(dialect: Dialect, _record: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        connection: Any = dialect.connect(*arguments, **named)
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != _ENCODING:
            connection.close()
            raise InvalidInput(
                "the database cannot keep every text",
                subject=url.render_as_string(hide_password=True),
                expected=f"the encoding {_ENCODING}",
                got=encoding,
                hint=f"make another: createdb --encoding={_ENCODING} --template=template0 --locale=C NAME",
            )
        return connection

    @event.listens_for(engine, "handle_error")
    def _refused(context: ExceptionContext) -> None:
        error = context.original_exception
        # What the pool finds dead before it is used is replaced by the pool.
        if context.is_pre_ping or not isinstance(error, psycopg.Error):
            return
        state = error.sqlstate
        if (state is None and isinstance(error, psycopg.OperationalError)) or (state or "").startswith(_STATES):
            raise Unavailable(
                f"the store cannot be used: {_first_line(error)}",
                subject=url.render_as_string(hide_password=True),
                hint="see that PostgreSQL runs and takes connections; what serves goes on serving meanwhile",
            ) from error

    return engine


def is_of(error: IntegrityError, name: str, columns: str) -> bool:
    """Say whether this constraint was violated: by name, or, since SQLite does not tell it, by its columns."""
    diagnosis = getattr(error.orig, "diag", None)
    if diagnosis is not None:
        return bool(diagnosis.constraint_name == name)
    return columns in str(error.orig)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
