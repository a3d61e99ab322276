"""Asking replicas over HTTP whether they live and are ready, beside everything else and never in its way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import httpx

from tidegate.gateway.base import Endpoint

#: A replica is asked this often at most, and has this long to answer.
INTERVAL_SECONDS = 0.25
TIMEOUT_SECONDS = 1.0


@dataclass(frozen=True)
class Probe:
    """What a replica last answered. Times are of the clock that the prober was given.

    Attributes:
        ready: it said that it takes requests.
        silent_since: when it first failed to say that it lives, None when its last answer said so.
    """

    ready: bool = False
    silent_since: float | None = None

    def silent_seconds(self, now: float) -> float:
        return 0.0 if self.silent_since is None else now - self.silent_since


class Prober:
    """Keeps one question per replica on its way. Keys are the caller's; one key is one process at one address."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._client: httpx.AsyncClient | None = None
        self._probes: dict[Hashable, Probe] = {}
        self._asked_at: dict[Hashable, float] = {}
        self._tasks: dict[Hashable, asyncio.Task[None]] = {}

    def last(self, key: Hashable) -> Probe:
        """Return the last answer; a replica that was never asked is not ready and not silent."""
        return self._probes.get(key, Probe())

    def ask(self, key: Hashable, endpoint: Endpoint) -> None:
        """Ask the replica unless it was asked just now; returns at once."""
        now = self._clock()
        if key in self._tasks or now - self._asked_at.get(key, float("-inf")) < INTERVAL_SECONDS:
            return
        self._asked_at[key] = now
        self._tasks[key] = asyncio.create_task(self._ask(key, endpoint))

    def forget(self, key: Hashable) -> None:
        self._probes.pop(key, None)
        self._asked_at.pop(key, None)
        if task := self._tasks.pop(key, None):
            task.cancel()

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _ask(self, key: Hashable, endpoint: Endpoint) -> None:
        try:
            ready = await self._says(endpoint, "ready")
            live = ready or await self._says(endpoint, "live")
            before = self.last(key).silent_since
            silent_since = None if live else before if before is not None else self._clock()
            self._probes[key] = Probe(ready, silent_since)
        finally:
            if self._tasks.get(key) is asyncio.current_task():
                del self._tasks[key]

    async def _says(self, endpoint: Endpoint, what: str) -> bool:
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False)
        try:
            response = await self._client.get(f"http://{endpoint.host}:{endpoint.port}/v2/health/{what}")
        except httpx.HTTPError:
            return False
        return response.status_code == 200
