"""The answer to one request on its way out, in the form of ASGI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from tidegate.contract.errors import TidegateError
from tidegate.server.endpoint import Head
from tidegate.server.forward.headers import Header
from tidegate.server.forward.upstream import BadUpstream, UpstreamTimeout
from tidegate.server.statuses import status_of

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON: Header = (b"content-type", b"application/json")
_RETRY_AFTER: Header = (b"retry-after", b"1")
_CLOSE: Header = (b"connection", b"close")


class Reply:
    """One answer.

    Args:
        closes: whether its connection gets no other one.

    Attributes:
        has_begun: its head went out, which cannot be taken back. When the rest does not follow, the server closes the
            connection, and the client sees that it has not got all.
    """

    def __init__(self, send: Send, *, closes: bool) -> None:
        self.has_begun = False
        self._send = send
        self._closes = closes

    async def begin(self, status: int, headers: list[Header]) -> None:
        self.has_begun = True
        if self._closes:
            headers = [*headers, _CLOSE]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def go_on(self, part: bytes) -> None:
        """Send a part of the body; returns when there is room for another."""
        await self._send({"type": "http.response.body", "body": part, "more_body": True})

    async def end(self, part: bytes) -> None:
        """Send the last part of the body."""
        await self._send({"type": "http.response.body", "body": part})

    async def whole(self, status: int, headers: list[Header], body: bytes) -> None:
        """Send all of an answer of our own."""
        await self.begin(status, [*headers, (b"content-length", b"%d" % len(body))])
        await self.end(body)

    async def fail(self, status: int, error: TidegateError, head: Head) -> None:
        """Send an error, in the words and with the headers of a replica of ours."""
        headers = [JSON, (b"x-request-id", head.request_id)]
        if status == 503:
            headers.append(_RETRY_AFTER)
        await self.whole(status, headers, orjson.dumps({"error": error.message}))


def status_of_failure(error: TidegateError) -> int:
    """Return the status of an answer that is an error; what is the child's fault is a gateway's (RFC 9110, 15.6)."""
    if isinstance(error, BadUpstream):
        return 502
    return 504 if isinstance(error, UpstreamTimeout) else status_of(error)
