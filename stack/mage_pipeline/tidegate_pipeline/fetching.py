"""Asking an HTTP API for pages: a bound on what is asked at once, a rate, waits, and attempts that are made again."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import tenacity
from aiolimiter import AsyncLimiter

from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate_pipeline.backoff import Meaning, delay_seconds, meaning_of, retry_after_seconds
from tidegate_pipeline.paging import Page, Position, UnfitPageError, read, request_of
from tidegate_pipeline.source import Source, Stream

_SHOWN = 200


class LostPageError(Exception):
    """A page that cannot be had; the message says why."""


class _PassingError(Exception):
    """An attempt that failed and may go better later; `asked_for` are the seconds of a `Retry-After`, or None."""

    def __init__(self, message: str, asked_for: float | None = None) -> None:
        super().__init__(message)
        self.asked_for = asked_for


@dataclass
class Counted:
    """What was done; grows."""

    requests: int = 0
    throttled: int = 0
    failed: int = 0


class Fetcher:
    """Asks for the pages of one source; for all of its streams together.

    Args:
        client: without redirects; closed by who made it.
        sleep: waits.
        chance: returns a number from 0 to 1.
    """

    def __init__(
        self,
        source: Source,
        client: httpx.AsyncClient,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._source = source
        self._client = client
        self._sleep = sleep
        self._chance = chance
        self._at_once = asyncio.Semaphore(source.concurrency)
        self._rate = AsyncLimiter(source.burst, source.burst / source.requests_per_second)
        #: Until when, by the loop's clock, the server wants to hear nothing of us, whichever page it is about.
        self._closed_until = 0.0
        self.counted = Counted()

    async def page(self, stream: Stream, position: Position) -> Page:
        """Return a page, after as many attempts as the source allows.

        Raises:
            LostPageError: the server refuses this page, or all attempts failed.
            InvalidInput: it would refuse any page.
            Unavailable: it asks to come again later than this run waits.
        """
        patience, failures = self._source.patience, 0

        async def attempt() -> Page:
            nonlocal failures
            try:
                return await self._once(stream, position)
            except _PassingError as error:
                # Who says when to come again is there and will answer; only the time that it may take is bounded.
                failures += error.asked_for is None
                raise

        def is_enough(state: tenacity.RetryCallState) -> bool:
            return failures >= patience.attempts or (state.seconds_since_start or 0.0) >= patience.seconds

        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome is not None else None
            asked_for = error.asked_for if isinstance(error, _PassingError) else None
            return delay_seconds(max(1, failures), asked_for, patience, self._chance())

        attempts = tenacity.AsyncRetrying(
            stop=is_enough,
            wait=wait,
            retry=tenacity.retry_if_exception_type(_PassingError),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return await attempts(attempt)
        except _PassingError as error:
            raise LostPageError(f"{error}, asked for again until the source's patience was over") from error

    async def _once(self, stream: Stream, position: Position) -> Page:
        async with self._at_once:
            loop = asyncio.get_running_loop()
            while (closed := self._closed_until - loop.time()) > 0:
                await self._sleep(closed)
            await self._rate.acquire()
            self.counted.requests += 1
            url, parameters = request_of(self._source, stream, position)
            try:
                answer = await self._client.get(url, params=parameters or None)
            except (httpx.TransportError, httpx.DecodingError) as error:
                self.counted.failed += 1
                raise _PassingError(f"{type(error).__name__} {error}".strip()) from error
        return self._understood(answer, position)

    def _understood(self, answer: httpx.Response, position: Position) -> Page:
        meaning = meaning_of(answer.status_code)
        said = f"answered {answer.status_code} {answer.text[:_SHOWN]}".strip()
        if meaning is Meaning.AGAIN:
            asked_for = retry_after_seconds(answer.headers.get("retry-after"), datetime.now(UTC))
            self._heed(answer.status_code, asked_for)
            raise _PassingError(said, asked_for)
        if meaning is Meaning.STOP:
            raise InvalidInput(
                f"the source {self._source.name!r} {said}",
                subject=str(answer.url.copy_with(query=None)),
                expected="an answer with a page",
                hint="see that the address is the right one, and the token in the variable that tokenFromEnv names",
            )
        if meaning is Meaning.LOST:
            raise LostPageError(said)
        try:
            return read(self._source, answer.content)
        except UnfitPageError as error:
            # Half an answer of a proxy is no JSON either, and is whole the next time.
            self.counted.failed += 1
            raise _PassingError(f"{position} {error}") from error

    def _heed(self, status: int, asked_for: float | None) -> None:
        """Have all requests wait, where the server says for how long."""
        if status != 429 and asked_for is None:
            self.counted.failed += 1
            return
        self.counted.throttled += 1
        if asked_for is None:
            return
        if asked_for > self._source.longest_delay_seconds:
            raise Unavailable(
                f"the source {self._source.name!r} asks to come again in {asked_for:,.0f} s",
                subject=self._source.name,
                expected=f"at most {self._source.longest_delay_seconds:g} s (longestDelaySeconds)",
                hint="what was read is kept: run it again then, and it goes on from here",
            )
        self._closed_until = max(self._closed_until, asyncio.get_running_loop().time() + asked_for)


def client_of(source: Source) -> httpx.AsyncClient:
    """Return a client for a source; InvalidInput where the variable of its token is not set."""
    headers = {"accept": "application/json"}
    if source.token_from_env is not None:
        token = os.environ.get(source.token_from_env)
        if not token:
            raise InvalidInput(
                f"the variable {source.token_from_env} is not set",
                subject="tokenFromEnv",
                hint="it holds the token that the source asks for",
            )
        headers["authorization"] = f"Bearer {token}"
    limits = httpx.Limits(max_connections=source.concurrency, max_keepalive_connections=source.concurrency)
    return httpx.AsyncClient(headers=headers, timeout=source.timeout_seconds, limits=limits)
