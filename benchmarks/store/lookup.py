"""How long does a look-up take among millions of vectors, of one entity and of a hundred, by random keys?

One after the other, so that a duration is that of the look-up alone: through `tidegate.features`, as programs ask; as
a replica asks, which completes a request by an entity's features; and of Redis, which a replica asks first where
answers are kept there.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import text

from benchmarks.store.filled import Filled
from benchmarks.store.place import described, shown
from benchmarks.store.spread import spread
from benchmarks.store.vectors import VIEW, key, keys
from tests.support.valkey import Valkey
from tidegate.features import FeatureStore
from tidegate.server.features.sources import RedisVectors, Source, source_at
from tidegate.store.versions import connected

ENTITIES = (1, 100)
#: Keys that Redis holds when it is asked, at most.
_IN_REDIS = 20_000
_WARM_SECONDS = 2.0
_SIZES = """
SELECT c.relname AS name, c.relkind IN ('i', 'I') AS is_index, pg_relation_size(c.oid) AS bytes
FROM pg_class c WHERE c.oid = 'features.feature_vectors'::regclass
   OR c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'features.feature_vectors'::regclass)
UNION ALL
SELECT 'feature_history', false, sum(pg_table_size(inhrelid)) FROM pg_inherits
WHERE inhparent = 'features.feature_history'::regclass
UNION ALL
SELECT 'feature_history, its keys', true, sum(pg_indexes_size(inhrelid)) FROM pg_inherits
WHERE inhparent = 'features.feature_history'::regclass
"""


def measure(filled: Filled, seconds: float) -> dict[str, Any]:
    """Look up for so long in each way; return how long look-ups took, how vectors came in, and what they take."""
    found, warm = [], min(_WARM_SECONDS, seconds)
    with FeatureStore(filled.url) as store:
        for count in ENTITIES:
            drawn = keys(count, filled.vectors, seed=count)
            _through_features(store, drawn, warm)
            found.append(_row("tidegate.features", count, _through_features(store, drawn, seconds)))
    found += asyncio.run(_as_a_replica(filled, seconds))
    return {
        "vectors": filled.vectors,
        "loaded": filled.loaded,
        "server": described(filled.server),
        "sizes": _sizes(filled),
        "look_ups": found,
    }


def _row(way: str, entities: int, taken: Sequence[float]) -> dict[str, Any]:
    return {"way": way, "entities": entities, **spread(taken), "per_second": round(len(taken) / sum(taken))}


def _through_features(store: FeatureStore, drawn: Iterator[list[str]], seconds: float) -> list[float]:
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < end:
        wanted = next(drawn)
        begun = time.perf_counter()
        found = store.get(VIEW, wanted)
        taken.append(time.perf_counter() - begun)
        assert found.keys() == set(wanted)
    return taken


async def _as_a_replica(filled: Filled, seconds: float) -> list[dict[str, Any]]:
    source = source_at(shown(filled.url))
    found, warm = [], min(_WARM_SECONDS, seconds)
    for count in ENTITIES:
        drawn = keys(count, filled.vectors, seed=100 + count)

        async def ask(wanted: list[str]) -> Any:
            return await source.get(VIEW, wanted)

        await _asked(ask, drawn, warm)
        found.append(_row("a replica, of PostgreSQL", count, await _asked(ask, drawn, seconds)))
    with tempfile.TemporaryDirectory(prefix="tg-valkey-") as folder:
        redis = Valkey(Path(folder))
        try:
            kept = RedisVectors(redis.url, "benchmark:", 3600)
            held = min(_IN_REDIS, filled.vectors)
            await _fill(kept, source, held)
            for count in ENTITIES:
                # A small set of keys: they are all in Redis.
                drawn = keys(count, held, seed=200 + count)
                await _asked(kept.get, drawn, warm, aside=True)
                found.append(_row("a replica, of Redis", count, await _asked(kept.get, drawn, seconds, aside=True)))
        finally:
            redis.kill()
    return found


async def _asked(
    ask: Callable[[list[str]], Awaitable[Any]], drawn: Iterator[list[str]], seconds: float, *, aside: bool = False
) -> list[float]:
    """Ask for so long; return how long each answer took.

    Args:
        aside: whether what is asked may give no answer in time and is then left aside for a second: Redis. How long it
            was waited for counts, and what would be asked meanwhile is not.
    """
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        wanted = next(drawn)
        begun = time.perf_counter()
        found = await ask(wanted)
        taken.append(time.perf_counter() - begun)
        if aside and not found:
            await asyncio.sleep(1.0)
        else:
            assert found.keys() == set(wanted)
    return taken


async def _fill(kept: RedisVectors, source: Source, count: int) -> None:
    """Put the vectors of the first keys into Redis."""
    for begin in range(0, count, 1000):
        some = [key(number) for number in range(begin, min(begin + 1000, count))]
        vectors = await source.get(VIEW, some)
        while (await kept.get(some)).keys() != vectors.keys():
            kept.put(vectors)
            await asyncio.sleep(0.01)


def _sizes(filled: Filled) -> list[dict[str, Any]]:
    database = connected(filled.url)
    try:
        with database.read() as db:
            return [
                {"name": row.name, "is_index": row.is_index, "bytes": int(row.bytes)}
                for row in db.execute(text(_SIZES))
            ]
    finally:
        database.close()
