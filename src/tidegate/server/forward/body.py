"""The body of a request that is passed on: read whole first, because a child that waits for a slow client is a child
that does not work. Bounded by itself, together with all others, and in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from tidegate.contract.errors import Unavailable
from tidegate.server.hot_request import BodyBudget
from tidegate.server.patience import CLIENT_SECONDS
from tidegate.server.protocols.base import BodyTimeout, TooLarge

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

#: A client that has begun a request gets this long to send its body: a little less than its connection gives it, so
#: that it is answered before it is let go.
BODY_SECONDS = CLIENT_SECONDS - 1.0


class ClientGone(Exception):  # noqa: N818
    """Nobody waits for the answer any more."""


class Body:
    """One body, counted in the budget from its first byte until it is let go.

    Args:
        limit: its size in bytes at most.
    """

    def __init__(self, receive: Receive, budget: BodyBudget, limit: int) -> None:
        self._receive = receive
        self._budget = budget
        self._limit = limit
        self._held = 0

    async def read(self, declared: int) -> bytes:
        """Return all of it; `declared` is what its head says of its length, 0 for nothing.

        Raises:
            TooLarge, BodyTimeout: it is too large, or does not come.
            Unavailable: all bodies together are.
            ClientGone: its client is.
        """
        if declared > self._limit:
            raise self._too_large()
        part, is_last = await self._part()
        if is_last:
            return part
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await self._rest(part)
        except TimeoutError:
            raise BodyTimeout("the rest of the request's body did not come in time") from None

    def release(self) -> None:
        """Let go of it."""
        self._budget.used -= self._held
        self._held = 0

    async def _rest(self, begin: bytes) -> bytes:
        whole, is_last = bytearray(begin), False
        while not is_last:
            part, is_last = await self._part()
            whole += part
        return bytes(whole)

    async def _part(self) -> tuple[bytes, bool]:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part: bytes = message.get("body", b"")
        if self._held + len(part) > self._limit:
            raise self._too_large()
        if self._budget.used + len(part) > self._budget.limit:
            raise Unavailable("the server is busy: the requests that it reads hold too much")
        self._budget.used += len(part)
        self._held += len(part)
        return part, not message.get("more_body", False)

    def _too_large(self) -> TooLarge:
        return TooLarge(f"the request's body is larger than {self._limit} bytes")
