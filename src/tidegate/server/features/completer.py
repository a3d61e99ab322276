"""Completes requests on a thread and an event loop of its own: neither the server nor the model waits for a store.

A look-up has a second. When the store has failed, requests that need it are refused at once for a second more, so that
a store that is gone costs its own requests little and the others nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

from tidegate.contract.errors import TidegateError, Unavailable
from tidegate.server.features.counts import REDIS, STORE, UNAVAILABLE, UNKNOWN, FeatureCounts
from tidegate.server.features.rows import ENTITIES, Asked, asked, completed
from tidegate.server.features.settings import FeatureSettings
from tidegate.server.features.sources import RedisVectors, Source, Vectors, source_at
from tidegate.server.protocols.base import Limits, Message, ModelFailed, Overloaded
from tidegate.server.protocols.media import COMMON_CONTENT_TYPES
from tidegate.server.wording import one_line

#: For one look-up, connecting included.
LOOK_UP_SECONDS = 1.0
_REFUSED_SECONDS = 1.0
#: Requests that may be at it at once.
_MOST = 256

log = logging.getLogger("tidegate.server")

#: Gets the body that is whole, or why there is none.
Done = Callable[[bytes | TidegateError], None]


class Completer:
    """Completes requests to one model; called on the server's event loop.

    Args:
        inputs: names of the model's inputs.
    """

    def __init__(self, settings: FeatureSettings, inputs: Collection[str], limits: Limits) -> None:
        self._settings = settings
        self._inputs = frozenset(inputs)
        self._limits = limits
        # In JSON as programs write it. Who spells a name by escapes sends rows that are taken as they are.
        self._signs = (f'"{ENTITIES}"'.encode(), f'"{settings.entity}"'.encode())
        self.counts = FeatureCounts()
        self._under_way = 0
        self._source: Source | None = None
        self._kept: RedisVectors | None = None
        self._refuses_until = 0.0
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="features", daemon=True).start()

    def wants(self, message: Message) -> bool:
        """Say whether a request may name an entity; a request that does not is none of this one's business."""
        body = message.body
        return message.content_type in COMMON_CONTENT_TYPES and any(sign in body for sign in self._signs)

    def complete(self, body: bytes, done: Done) -> None:
        """Complete a request; `done` is called on the running loop.

        Raises:
            Overloaded: too many are at it.
        """
        if self._under_way >= _MOST:
            raise Overloaded(
                "the server is busy: too many requests wait for the feature store", expected=f"at most {_MOST}"
            )
        self._under_way += 1
        loop = asyncio.get_running_loop()

        def over(outcome: bytes | TidegateError) -> None:
            self._under_way -= 1
            done(outcome)

        async def work() -> None:
            try:
                outcome: bytes | TidegateError = await self._completed(body)
            except TidegateError as error:
                outcome = error
            except Exception as error:  # noqa: BLE001 -- whatever it was, the request must be answered
                outcome = ModelFailed(f"the request was not completed: {one_line(error)}")
                outcome.__cause__ = error
            try:
                loop.call_soon_threadsafe(over, outcome)
            except RuntimeError:  # the loop has ended, and with it everybody who waited
                return

        asyncio.run_coroutine_threadsafe(work(), self._loop)

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _completed(self, body: bytes) -> bytes:
        found = asked(body, self._settings.entity, self._inputs, self._limits)
        if found is None:
            return body
        vectors = await self._counted(found)
        return completed(found, vectors, self._settings.view, self._inputs, self._limits.body_bytes)

    async def _counted(self, found: Asked) -> Vectors:
        keys = found.wanted
        if not keys:
            return {}
        started = time.perf_counter()
        outcome = UNAVAILABLE
        try:
            vectors, is_kept = await self._vectors(keys)
            outcome = UNKNOWN if len(vectors) < len(keys) else REDIS if is_kept else STORE
        finally:
            self.counts.note(outcome, time.perf_counter() - started)
        return vectors

    async def _vectors(self, keys: list[str]) -> tuple[Vectors, bool]:
        """Return the vectors that there are, and whether Redis had all of them."""
        kept = await self._cache().get(keys) if self._settings.cache_url is not None else {}
        missing = [key for key in keys if key not in kept]
        if not missing:
            return kept, True
        fresh = await self._looked_up(missing)
        if self._settings.cache_url is not None:
            self._cache().put(fresh)
        return {**kept, **fresh}, False

    async def _looked_up(self, keys: list[str]) -> Vectors:
        if time.monotonic() < self._refuses_until:
            raise _gone("it did not answer a moment ago")
        try:
            if self._source is None:
                self._source = source_at(self._settings.store)
            asking = asyncio.ensure_future(self._source.get(self._settings.view, keys))
            # Not `wait_for`: to be cancelled may take a client that waits for a dead server as long as the answer.
            done, _ = await asyncio.wait({asking}, timeout=LOOK_UP_SECONDS)
            if not done:
                asking.cancel()
                raise _gone(f"it did not answer within {LOOK_UP_SECONDS:g} s")
            return asking.result()
        except Unavailable as error:
            if time.monotonic() >= self._refuses_until:
                log.warning("%s", one_line(error))
            self._refuses_until = time.monotonic() + _REFUSED_SECONDS
            raise

    def _cache(self) -> Any:
        if self._kept is None:
            settings = self._settings
            of_store = hashlib.blake2b(settings.store.encode(), digest_size=8).hexdigest()
            prefix = f"tidegate:features:{of_store}:{settings.view}:"
            self._kept = RedisVectors(str(settings.cache_url), prefix, settings.max_age_seconds)
        return self._kept


def _gone(why: str) -> Unavailable:
    return Unavailable(
        f"the feature store cannot be asked: {why}",
        hint="rows that have all inputs of the model are answered meanwhile",
    )
