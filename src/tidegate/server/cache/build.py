"""The cache that the settings ask for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tidegate.contract.errors import Unavailable
from tidegate.server.cache.base import CacheStore
from tidegate.server.cache.cache import PredictionCache
from tidegate.server.cache.memory import MemoryStore

_MODEL_BYTES = 16


@dataclass(frozen=True)
class CacheSettings:
    """What the server was told about its cache.

    Attributes:
        store: "off" for none.
        url: of Redis, which may hold a password; None for the one on this machine, and unless `store` is "redis".
        ttl_seconds: how long an answer is given out again.
        limit_bytes: of the store in memory.
    """

    store: Literal["off", "memory", "redis"] = "off"
    url: str | None = field(default=None, repr=False)
    ttl_seconds: float = 300.0
    limit_bytes: int = 64 * 1024 * 1024


def build_cache(settings: CacheSettings, digest: str) -> PredictionCache | None:
    """Return the cache of one model, None when there is to be none.

    Args:
        digest: of the bundle, in hexadecimal.

    Raises:
        Unavailable: Redis is asked for and its client is not installed.
        InvalidInput: the URL is none of Redis.
    """
    if settings.store == "off":
        return None
    model = bytes.fromhex(digest)
    store: CacheStore
    if settings.store == "memory":
        store = MemoryStore(settings.limit_bytes, settings.ttl_seconds)
    else:
        try:
            from tidegate.server.cache.redis import RedisStore
        except ImportError as error:
            raise Unavailable(
                "A cache in Redis needs Redis' client.", subject="redis", hint="pip install 'tidegate[redis]'"
            ) from error
        prefix = b"tidegate:" + model[:_MODEL_BYTES].hex().encode() + b":"
        store = RedisStore(settings.url or "redis://127.0.0.1:6379/0", prefix, settings.ttl_seconds)
    return PredictionCache(store, model)
