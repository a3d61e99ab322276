"""Makes one attempt of a check, within its time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import httpx

from tidegate.contract.errors import TidegateError
from tidegate.gate.asking import ask
from tidegate.gate.kept import read_kept
from tidegate.health import subprocesses
from tidegate.health.base import Attempt, Check, GoldenProbe, HttpProbe, Replica

#: Programs that run at once, over all replicas: each is a process or two.
MOST_PROGRAMS = 8

_FIRST_FAILURE = 400


class RealAttempts:
    """`Attempts` over HTTP and by processes; holds a client, which `close` lets go."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None
        self._programs = asyncio.Semaphore(MOST_PROGRAMS)

    async def make(self, check: Check, replica: Replica | None) -> Attempt:
        """See `Attempts.make`."""
        if replica is None:
            return Attempt(passed=False, detail="it does not listen yet")
        match check.probe:
            case HttpProbe() as probe:
                attempt = self._http(probe, replica)
            case GoldenProbe() as probe:
                attempt = self._golden(probe, replica, check.timeout_seconds)
            case probe:
                async with self._programs:
                    return await self._within(check, subprocesses.run(probe, replica))
        return await self._within(check, attempt)

    async def close(self) -> None:
        """See `Attempts.close`."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _within(self, check: Check, attempt: Coroutine[Any, Any, Attempt]) -> Attempt:
        try:
            async with asyncio.timeout(check.timeout_seconds):
                return await attempt
        except TimeoutError:
            return Attempt(passed=False, detail=f"no end within {check.timeout_seconds:g} s")

    async def _http(self, probe: HttpProbe, replica: Replica) -> Attempt:
        if self._client is None:
            # No connection is kept: the next attempt is to show that one can connect. The time limit is that of the
            # whole attempt, and certificates, which take long to load, are for no one on loopback.
            limits = httpx.Limits(max_keepalive_connections=0)
            self._client = httpx.AsyncClient(timeout=None, limits=limits, trust_env=False, verify=False)  # noqa: S113, S501
        url = f"{replica.url}{probe.path}"
        try:
            # The body is not read: it may be large, or never end.
            async with self._client.stream("GET", url, headers=dict(probe.headers)) as response:
                status = response.status_code
        except httpx.HTTPError as error:
            return Attempt(passed=False, detail=f"no answer: {error or type(error).__name__}"[:200])
        passed = 200 <= status < _FIRST_FAILURE
        return Attempt(passed=passed, detail=f"answered {status}")

    async def _golden(self, probe: GoldenProbe, replica: Replica, timeout_seconds: float) -> Attempt:
        try:
            golden = await asyncio.to_thread(read_kept, probe.file)
            asked = await ask(golden, f"{replica.host}:{replica.port}", replica.deployment, timeout_seconds)
        except TidegateError as error:
            return Attempt(passed=False, detail=error.message[:200])
        return Attempt(passed=asked.outcome.passed, detail=asked.outcome.sentence[:300])
