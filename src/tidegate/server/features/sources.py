"""Where vectors are: PostgreSQL or a SQLite file, asked by one statement, and Redis in front of either.

Nothing here is the store's own code: a replica reads two tables and holds nothing else of what controls it.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from tidegate.contract.errors import Unavailable

#: One row of nothing where there is the view alone, no row where there is none.
_STATEMENT = (
    "SELECT f.entity, {vector} FROM {schema}feature_views v LEFT JOIN {schema}feature_vectors f "
    "ON f.view_id = v.id AND f.entity {among} WHERE v.name = {name}"
)
_POSTGRESQL = _STATEMENT.format(vector="f.vector::text", schema="features.", among="= ANY(%(keys)s)", name="%(view)s")
_SQLITE = _STATEMENT.format(vector="f.vector", schema="", among="IN (SELECT value FROM json_each(:keys))", name=":view")
#: Connections of one process.
_CONNECTIONS = 4
_REDIS_SECONDS = 0.03
_ASIDE_SECONDS = 1.0

Vectors = dict[str, str | bytes]


class Source(Protocol):
    """Asked on one event loop."""

    async def get(self, view: str, keys: Sequence[str]) -> Vectors:
        """Return the JSON of each entity that has a vector.

        Raises:
            Unavailable: there is no such view, or the store cannot be asked.
        """
        ...


def source_at(store: str) -> Source:
    """Return the source at an address.

    Raises:
        Unavailable: the address is of something else, or the client of PostgreSQL is not installed.
    """
    scheme, is_url, rest = store.partition("://")
    if not is_url:
        return SqliteSource(Path(store))
    if scheme.partition("+")[0] not in ("postgresql", "postgres"):
        raise Unavailable("the feature store is at an address of no known form", hint="see TIDEGATE_STORE")
    return PostgresqlSource(f"postgresql://{rest}")


class PostgresqlSource:
    """Vectors in PostgreSQL, by a few connections that are kept."""

    def __init__(self, url: str) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise Unavailable(
                "a feature store in PostgreSQL needs psycopg, which is not installed",
                hint="pip install 'tidegate[postgresql]'",
            ) from error
        self._psycopg = psycopg
        self._url = url
        self._idle: list[Any] = []
        self._free = asyncio.Semaphore(_CONNECTIONS)

    async def get(self, view: str, keys: Sequence[str]) -> Vectors:
        async with self._free:
            try:
                rows = await self._rows(view, keys)
            except self._psycopg.Error as error:
                raise Unavailable(f"the feature store cannot be asked: {_first_line(error)}") from error
        return _vectors(rows, view)

    async def _rows(self, view: str, keys: Sequence[str]) -> list[Any]:
        while self._idle:
            connection = self._idle.pop()
            try:
                return await self._ask(connection, view, keys)
            except self._psycopg.OperationalError:
                # It may have died while nobody looked; a new one tells whether the server has.
                continue
        connection = await self._psycopg.AsyncConnection.connect(
            self._url,
            autocommit=True,
            connect_timeout=2,
            tcp_user_timeout=3000,
            application_name="tidegate-features",
            options="-c statement_timeout=1000 -c default_transaction_read_only=on",
        )
        return await self._ask(connection, view, keys)

    async def _ask(self, connection: Any, view: str, keys: Sequence[str]) -> list[Any]:
        try:
            cursor = await connection.execute(_POSTGRESQL, {"keys": list(keys), "view": view})
            rows: list[Any] = await cursor.fetchall()
        except BaseException:
            connection.pgconn.finish()
            raise
        self._idle.append(connection)
        return rows


class SqliteSource:
    """Vectors in a file, read by threads of its own: a disk may be slow."""

    def __init__(self, path: Path) -> None:
        self._address = f"{path.absolute().as_uri()}?mode=rw"
        self._threads = ThreadPoolExecutor(2, "features-file")
        self._local = threading.local()

    async def get(self, view: str, keys: Sequence[str]) -> Vectors:
        import orjson

        told = orjson.dumps(keys).decode()
        try:
            rows = await asyncio.get_running_loop().run_in_executor(self._threads, self._rows, view, told)
        except sqlite3.Error as error:
            raise Unavailable(f"the feature store cannot be asked: {_first_line(error)}") from error
        return _vectors(rows, view)

    def _rows(self, view: str, keys: str) -> list[Any]:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._address, uri=True, timeout=0.5, isolation_level=None)
            connection.execute("PRAGMA query_only = ON")
            self._local.connection = connection
        return connection.execute(_SQLITE, {"keys": keys, "view": view}).fetchall()


class RedisVectors:
    """Vectors that were looked up lately, for all replicas. Never raises; what does not answer at once is left aside.

    Args:
        url: never logged, for it may hold a password.
        prefix: of every key: it tells stores and views apart.
    """

    def __init__(self, url: str, prefix: str, max_age_seconds: float) -> None:
        import redis.asyncio

        self._client: Any = redis.asyncio.Redis.from_url(url)
        self._prefix = prefix
        self._age_ms = max(1, round(max_age_seconds * 1000))
        self._aside_until = 0.0
        self._writing: set[asyncio.Task[None]] = set()

    async def get(self, keys: Sequence[str]) -> Vectors:
        """Return what is kept of these, as far as Redis answers."""
        if time.monotonic() < self._aside_until:
            return {}
        asking = asyncio.ensure_future(self._client.mget([self._prefix + key for key in keys]))
        values: Any = await self._in_time(asking)
        if values is None:
            return {}
        return {key: value for key, value in zip(keys, values, strict=True) if value is not None}

    def put(self, vectors: Mapping[str, str | bytes]) -> None:
        """Keep these, when there is time for it; nobody waits."""
        if not vectors or self._writing or time.monotonic() < self._aside_until:
            return
        task = asyncio.ensure_future(self._put(dict(vectors)))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _put(self, vectors: Vectors) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for key, value in vectors.items():
            pipeline.set(self._prefix + key, value, px=self._age_ms)
        await self._in_time(asyncio.ensure_future(pipeline.execute(raise_on_error=False)))

    async def _in_time(self, asking: asyncio.Future[Any]) -> Any:
        done, _ = await asyncio.wait({asking}, timeout=_REDIS_SECONDS)
        if done and asking.exception() is None:
            return asking.result()
        asking.cancel()
        self._aside_until = time.monotonic() + _ASIDE_SECONDS
        return None


def _vectors(rows: Sequence[Any], view: str) -> Vectors:
    if not rows:
        raise Unavailable(
            f"the feature store has no view {view!r}", subject=view, hint=f"tidegate features create {view} --entity …"
        )
    return {entity: vector for entity, vector in rows if entity is not None}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
