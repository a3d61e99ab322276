"""Asking replicas over HTTP whether they live and are ready, beside everything else and never in its way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from tidegate.gateway.base import Endpoint
from tidegate.polling import Poller, PollError

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
        self._pollers: dict[Hashable, tuple[Endpoint, Poller]] = {}
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
        if kept := self._pollers.pop(key, None):
            kept[1].close()
        if task := self._tasks.pop(key, None):
            task.cancel()

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()
        for _, poller in self._pollers.values():
            poller.close()
        self._pollers.clear()

    async def _ask(self, key: Hashable, endpoint: Endpoint) -> None:
        poller = self._poller(key, endpoint)
        try:
            ready = await _says(poller, "ready")
            live = ready or await _says(poller, "live")
            before = self.last(key).silent_since
            silent_since = None if live else before if before is not None else self._clock()
            self._probes[key] = Probe(ready, silent_since)
        finally:
            if self._tasks.get(key) is asyncio.current_task():
                del self._tasks[key]

    def _poller(self, key: Hashable, endpoint: Endpoint) -> Poller:
        kept = self._pollers.get(key)
        if kept is None or kept[0] != endpoint:
            if kept is not None:
                kept[1].close()
            kept = self._pollers[key] = (endpoint, Poller(endpoint.host, endpoint.port, TIMEOUT_SECONDS))
        return kept[1]


async def _says(poller: Poller, what: str) -> bool:
    try:
        answer = await poller.ask(f"/v2/health/{what}")
    except PollError:
        return False
    return answer.status == 200
