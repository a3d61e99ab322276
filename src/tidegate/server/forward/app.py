"""The ASGI application: three paths of our own, and everything else passed on to the child as it came.

Answers are passed on piece by piece, so that their size is nobody's limit; a request's body is read whole first, up to
the limit, because a child that has to wait for a slow client is a child that does not work.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any

import orjson

from tidegate.contract.errors import TidegateError
from tidegate.server.forward.child import Child
from tidegate.server.forward.headers import Header, end_to_end, target_of
from tidegate.server.forward.upstream import Upstream, UpstreamTimeout
from tidegate.server.logs import RateLimit
from tidegate.server.metrics import ServerMetrics

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

#: Value of the metric label `protocol`: what is spoken is the child's own affair.
PROTOCOL = "http"
#: A client that has begun a request gets this long to send the rest of its body.
BODY_TIMEOUT_SECONDS = 30.0
#: Counted for a client that went away before its request was whole; nothing is sent.
CLIENT_CLOSED_REQUEST = 499

_JSON: list[Header] = [(b"content-type", b"application/json")]
_RETRY_AFTER: Header = (b"retry-after", b"1")

log = logging.getLogger("tidegate.server")


class _RefusedError(Exception):
    """The request is answered by us, with this status and reason; status 499 is answered to nobody."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class ForwardApp:
    """Passes requests on to a child.

    Args:
        body_bytes: size of the largest request body; more is answered 413.
        most: requests that may be under way; more are answered 503.
    """

    def __init__(self, child: Child, metrics: ServerMetrics, *, body_bytes: int, most: int) -> None:
        self._child = child
        self._metrics = metrics
        self._limit = body_bytes
        self._most = most
        self._predict_path = child.settings.predict_path.encode()
        self._log_rate = RateLimit(per_second=20)
        self._own = {"/v2/health/live": self._live, "/v2/health/ready": self._ready, "/metrics": self._exposition}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        own = self._own.get(scope["path"])
        if own is not None:
            await _send(send, *own(scope))
            return
        started = perf_counter()
        self._metrics.in_flight += 1
        try:
            status = await self._pass_on(scope, receive, send)
        finally:
            self._metrics.in_flight -= 1
        self._metrics.answered(PROTOCOL, status, perf_counter() - started)

    def _live(self, _: Scope) -> tuple[int, bytes, list[Header]]:
        live = not self._child.is_stuck
        return 200 if live else 503, orjson.dumps({"live": live}), _JSON

    def _ready(self, _: Scope) -> tuple[int, bytes, list[Header]]:
        document = {"ready": self._child.is_ready, "phase": self._child.phase.value}
        return 200 if self._child.is_ready else 503, orjson.dumps(document), _JSON

    def _exposition(self, scope: Scope) -> tuple[int, bytes, list[Header]]:
        accept = next((value for name, value in scope["headers"] if name == b"accept"), b"")
        body, content_type = self._metrics.exposition(accept.decode("latin-1"))
        return 200, body, [(b"content-type", content_type.encode())]

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> int:
        """Answer the request; return the status to count."""
        begun = False
        try:
            upstream = self._admit()
            body = await self._read(scope, receive)
            target = target_of(scope["raw_path"], scope["query_string"], self._predict_path)
            async with upstream.ask(scope["method"], target, end_to_end(scope["headers"]), body) as answer:
                begun = True
                headers = end_to_end(answer.headers)
                await send({"type": "http.response.start", "status": answer.status, "headers": headers})
                async for chunk in answer.chunks():
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
                return answer.status
        except _RefusedError as refused:
            status, reason = refused.status, refused.reason
        except TidegateError as error:
            status, reason = 504 if isinstance(error, UpstreamTimeout) else 502, error.message
            self._note(scope, status, reason)
        except asyncio.CancelledError:  # the process ends, and the grace that it had for this request is over
            status, reason = 503, "the server ends before this request could be answered"
        if begun:
            # What went out cannot be taken back. Without its last piece the server closes the connection, and the
            # client sees that it has not got all.
            return 502
        if status != CLIENT_CLOSED_REQUEST:
            headers = [*_JSON, _RETRY_AFTER] if status == 503 else _JSON
            await _send(send, status, orjson.dumps({"error": reason}), headers)
        return status

    def _admit(self) -> Upstream:
        """Return where the request goes, or raise `_RefusedError`."""
        if self._child.upstream is None:
            raise _RefusedError(503, "the server is being started")
        if self._metrics.in_flight > self._most:
            self._metrics.shed += 1
            raise _RefusedError(503, "too many requests are under way")
        return self._child.upstream

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        """Return the whole body, or raise `_RefusedError`."""
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if declared.isdigit() and int(declared) > self._limit:
            raise self._too_large()
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            whole: bytes = message.get("body", b"")
            if len(whole) > self._limit:
                raise self._too_large()
            return whole
        try:
            async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
                return await self._read_rest(receive, message)
        except TimeoutError:
            raise _RefusedError(408, "the rest of the request's body did not come in time") from None

    async def _read_rest(self, receive: Receive, message: MutableMapping[str, Any]) -> bytes:
        parts, size = [], 0
        while True:
            if message["type"] == "http.disconnect":
                raise _RefusedError(CLIENT_CLOSED_REQUEST, "the client is gone")
            part = message.get("body", b"")
            size += len(part)
            if size > self._limit:
                raise self._too_large()
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)
            message = await receive()

    def _too_large(self) -> _RefusedError:
        return _RefusedError(413, f"the request's body is larger than {self._limit} bytes")

    def _note(self, scope: Scope, status: int, reason: str) -> None:
        held_back = self._log_rate.admit()
        if held_back is not None:
            facts = {"method": scope["method"], "path": scope["path"], "status": status}
            log.error(reason, extra={"fields": {**facts, **({"not_logged_before": held_back} if held_back else {})}})


async def _send(send: Send, status: int, body: bytes, headers: list[Header]) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
