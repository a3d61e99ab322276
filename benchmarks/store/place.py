"""A PostgreSQL of our own: Debian's with stack/warehouse/postgresql.conf, else the one that pip installs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, text

from tests.support.debian_postgresql import CONFIG, debian_postgresql, lacking
from tests.support.postgresql import Postgresql, postgresql
from tidegate.contract.errors import Unavailable
from tidegate.store.database import Database
from tidegate.store.versions import bring_to_date, connected

#: What bears on the figures.
_SETTINGS = (
    "shared_buffers", "effective_cache_size", "work_mem", "maintenance_work_mem", "fsync", "synchronous_commit",
    "full_page_writes", "wal_compression", "max_wal_size", "checkpoint_timeout", "random_page_cost", "jit",
    "max_parallel_workers_per_gather",
)  # fmt: skip


@contextmanager
def server(data: Path | None = None) -> Iterator[Postgresql]:
    """Run a server that waits for its disk, as one in use does, and end it.

    Args:
        data: where Debian's keeps its data, which stay; None, or without Debian's, they go with it.
    """
    if lacking(partman=True) is not None:
        with postgresql() as running:
            running.run("ALTER SYSTEM SET fsync = on")
            running.run("SELECT pg_reload_conf()")
            yield running
        return
    with debian_postgresql({"fsync": "on", "port": "5432"}, config=CONFIG, data=data) as running:
        yield running


def described(running: Postgresql) -> dict[str, Any]:
    """Return which server it is, and its settings."""
    database = connected(running.url)
    try:
        with database.read() as db:
            version = db.execute(text("SHOW server_version")).scalar_one()
            settings = {name: db.execute(text(f"SHOW {name}")).scalar_one() for name in _SETTINGS}
            partman = db.execute(
                text("SELECT default_version FROM pg_available_extensions WHERE name = 'pg_partman'")
            ).scalar_one_or_none()
    finally:
        database.close()
    return {
        "version": str(version).split(" ", maxsplit=1)[0],
        "is_configured": lacking(partman=True) is None,
        "partman": partman,
        "settings": settings,
    }


def database_of(running: Postgresql, name: str) -> URL:
    """Return the URL of a database with today's schema, made where there is none."""
    url = running.url.set(database=name)
    database = connected(url)
    try:
        with database.write() as db:
            bring_to_date(db, url)
    except Unavailable:
        running.run(f"CREATE DATABASE {name}")
        with database.write() as db:
            bring_to_date(db, url)
    finally:
        database.close()
    return url


def shown(url: URL) -> str:
    """Return a URL as the environment and arguments hold it."""
    return url.render_as_string(hide_password=False).replace(":@", "@")


def vacuumed(database: Database, table: str) -> None:
    """Bring a table's statistics and visibility map to date, as autovacuum does in time."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("SET statement_timeout = 0"))
        db.execute(text(f"VACUUM (ANALYZE) {table}"))
