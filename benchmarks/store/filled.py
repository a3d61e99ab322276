"""A feature view with millions of vectors, loaded once by Tidegate's own loads and kept for the next run."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, text

from benchmarks.serving.surroundings import load_average
from benchmarks.store.place import database_of, server, vacuumed
from benchmarks.store.vectors import ENTITY, VIEW, rows
from tests.support.postgresql import Postgresql
from tidegate.features import FeatureStore
from tidegate.store.versions import VERSION, connected

#: Rows of one load.
AT_ONCE = 500_000


@dataclass(frozen=True)
class Filled:
    """A database whose view `VIEW` has `vectors` vectors.

    Attributes:
        loaded: how they came in, and when.
    """

    server: Postgresql
    url: URL
    vectors: int
    loaded: dict[str, Any]


@contextmanager
def filled(vectors: int, data: Path | None) -> Iterator[Filled]:
    """Run a server with the vectors, which are loaded where they are not there yet.

    Args:
        data: where they stay for the next run, which goes on where this one was ended; None for nowhere. Whoever the
            server runs as must be able to reach it.
    """
    with server(data) as running:
        name = f"passengers_{vectors}"
        told = _told(running, name)
        if told is None:
            running.run(f"DROP DATABASE IF EXISTS {name}")
            told = {"schema": VERSION, "loads": []}
        url = database_of(running, name)
        if "vacuum_seconds" not in told:
            with FeatureStore(url) as store:
                if not told["loads"]:
                    store.create(VIEW, ENTITY)
                while (begin := sum(load["rows"] for load in told["loads"])) < vectors:
                    told["loads"].append(_load(store, begin, min(begin + AT_ONCE, vectors), vectors))
                    _tell(running, name, told)
            told["vacuum_seconds"] = _tidied(url)
            _tell(running, name, told)
        _warm(url)
        yield Filled(running, url, vectors, told)


def _told(running: Postgresql, name: str) -> dict[str, Any] | None:
    """Return how the vectors of a database came in, None where there is none, or one with older tables."""
    database = connected(running.url)
    try:
        with database.read() as db:
            query = text("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = :name")
            found = db.execute(query, {"name": name}).scalar_one_or_none()
    finally:
        database.close()
    told: dict[str, Any] = json.loads(found) if found else {}
    return told if told.get("schema") == VERSION else None


def _tell(running: Postgresql, name: str, told: dict[str, Any]) -> None:
    """Write down how the vectors came in, beside them."""
    running.run(f"COMMENT ON DATABASE {name} IS '{json.dumps(told)}'".replace(":", r"\:"))


def _load(store: FeatureStore, begin: int, end: int, of: int) -> dict[str, Any]:
    at, load, read = datetime.now(UTC).isoformat(timespec="seconds"), load_average(), 0.0
    begun = time.perf_counter()

    def merging(done: int | None, _refused: int) -> None:
        nonlocal read
        if done is None:
            read = time.perf_counter() - begun

    loaded = store.load(VIEW, rows(begin, end, of), progress=merging)
    assert (loaded.read, loaded.quarantined) == (end - begin, 0)
    taken = time.perf_counter() - begun
    sys.stderr.write(f"  {end:,} vectors, the last {end - begin:,} in {taken:.0f} s\n")
    return {"rows": end - begin, "read_seconds": read, "seconds": taken, "at": at, "load_before": load}


def _warm(url: URL) -> None:
    """Have what is looked up in the server's memory, as it is after some hours of look-ups."""
    database = connected(url)
    with database.engine.begin() as db:
        if db.execute(text("SELECT FROM pg_available_extensions WHERE name = 'pg_prewarm'")).first() is not None:
            db.execute(text("CREATE EXTENSION IF NOT EXISTS pg_prewarm"))
            for name in ("feature_vectors", "feature_vectors_pkey"):
                db.execute(text(f"SELECT pg_prewarm('features.{name}')"))
    database.close()


def _tidied(url: URL) -> float:
    """Do what autovacuum and the next checkpoint would; return how many seconds it took."""
    database = connected(url)
    begun = time.perf_counter()
    for table in ("features.feature_vectors", "features.feature_history"):
        vacuumed(database, table)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("SET statement_timeout = 0"))
        db.execute(text("CHECKPOINT"))
    database.close()
    return time.perf_counter() - begun
