"""The hot path: one raw ASGI application per codec, with nothing between it and the socket that a profile shows.

No request object, no validation model, no response class: the body's bytes go to the data plane, the answer's bytes to
the socket. What every request gets besides: an id (echoed, or made), a count, its duration, and `Server-Timing`.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any

from tidegate.contract.errors import TidegateError
from tidegate.server.dataplane import one_line
from tidegate.server.logs import RateLimit
from tidegate.server.protocols.base import BodyTimeout, Codec, ModelFailed, Overloaded, TooLarge
from tidegate.server.replica import Phase, Replica
from tidegate.server.statuses import status_of

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

#: A client that has begun a request gets this long to send the rest of its body.
BODY_TIMEOUT_SECONDS = 30.0
#: Counted for a client that went away before its request was whole; nothing is sent.
CLIENT_CLOSED_REQUEST = 499

_LONGEST_REQUEST_ID = 128
_RETRY_AFTER = (b"retry-after", b"1")
_CLOSE = (b"connection", b"close")
_ALLOW_POST = (b"allow", b"POST")

log = logging.getLogger("tidegate.server")


class ClientGoneError(Exception):
    """The client closed the connection before its request was whole."""


class InferenceEndpoint:
    """ASGI application that answers `POST` with what one codec makes of the body."""

    def __init__(self, replica: Replica, codec: Codec) -> None:
        self._replica = replica
        self._codec = codec
        self._metrics = replica.metrics
        self._limit = replica.settings.limits.body_bytes
        self._log_rate = RateLimit(per_second=20)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        request_id, traceparent, declared_length = _read_headers(scope["headers"])
        headers = [(b"content-type", self._codec.content_type), (b"x-request-id", request_id)]
        self._metrics.in_flight.inc()
        try:
            if scope["method"] != "POST":
                status, body = 405, b'{"error":"use POST"}'
                headers.append(_ALLOW_POST)
            else:
                answer = await self._replica.answer(self._codec, await self._read(receive, declared_length))
                status, body = 200, answer.body
                self._metrics.inference_duration.observe(answer.model_seconds)
                timing = f"queue;dur={answer.queue_seconds * 1e3:.3f}, model;dur={answer.model_seconds * 1e3:.3f}"
                headers.append((b"server-timing", timing.encode()))
        except TidegateError as error:
            status, body = status_of(error), self._codec.encode_error(error)
            if status == 503:
                headers.append(_RETRY_AFTER)
            self._note(error, status, request_id, traceparent)
        except ClientGoneError:
            self._metrics.answered(self._codec.protocol, CLIENT_CLOSED_REQUEST, perf_counter() - started)
            return
        except asyncio.CancelledError:  # the process ends, and the grace that it had for this request is over
            status, body = 503, b'{"error":"the server ends before this request could be answered"}'
            headers.append(_RETRY_AFTER)
        except Exception:
            log.exception("a request was not served because of a fault of the server", extra=_about(request_id))
            status, body = 500, b'{"error":"internal error; the server\'s log has the details"}'
        finally:
            self._metrics.in_flight.dec()
        headers.append((b"content-length", b"%d" % len(body)))
        if self._replica.phase is Phase.DRAINING:
            headers.append(_CLOSE)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        self._metrics.answered(self._codec.protocol, status, perf_counter() - started)

    async def _read(self, receive: Receive, declared_length: int) -> bytes:
        """Return the whole body.

        Raises:
            TooLarge: it is, or says it will be, larger than the limit.
            BodyTimeout: the rest of it did not come in time.
            ClientGoneError: the connection was closed first.
        """
        if declared_length > self._limit:
            raise self._too_large()
        message = await receive()
        body: bytes = message.get("body", b"")
        if not message.get("more_body", False) and message["type"] == "http.request":
            if len(body) > self._limit:
                raise self._too_large()
            return body
        try:
            async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
                return await self._read_rest(receive, message)
        except TimeoutError:
            raise BodyTimeout("the rest of the request's body did not come in time") from None

    async def _read_rest(self, receive: Receive, message: MutableMapping[str, Any]) -> bytes:
        parts, size = [], 0
        while True:
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            part = message.get("body", b"")
            size += len(part)
            if size > self._limit:
                raise self._too_large()
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)
            message = await receive()

    def _too_large(self) -> TooLarge:
        return TooLarge(
            f"the request's body is larger than {self._limit} bytes", expected=f"at most {self._limit} bytes"
        )

    def _note(self, error: TidegateError, status: int, request_id: bytes, traceparent: bytes) -> None:
        """Count and log a request that failed on our side; what the client did wrong is only counted."""
        if isinstance(error, Overloaded):
            self._metrics.queue_rejected.inc()
        if status < 500:
            return
        held_back = self._log_rate.admit()
        if held_back is None:
            return
        facts: dict[str, Any] = {"protocol": self._codec.protocol, "status": status}
        if traceparent:
            facts["traceparent"] = traceparent.decode("latin-1")
        if held_back:
            facts["not_logged_before"] = held_back
        cause = error.__cause__ if isinstance(error, ModelFailed) else None
        log.log(
            logging.ERROR if status == 500 else logging.WARNING,
            one_line(error),
            exc_info=cause,
            extra=_about(request_id, **facts),
        )


def _about(request_id: bytes, **facts: Any) -> dict[str, Any]:
    return {"fields": {"request_id": request_id.decode("latin-1"), **facts}}


def _read_headers(headers: list[tuple[bytes, bytes]]) -> tuple[bytes, bytes, int]:
    """Return the request's id (made when there is none that may be echoed), its traceparent and declared length."""
    request_id, traceparent, length = b"", b"", 0
    for name, value in headers:
        if name == b"x-request-id":
            request_id = value
        elif name == b"traceparent":
            traceparent = value
        elif name == b"content-length" and value.isdigit():
            length = int(value)
    if not request_id or len(request_id) > _LONGEST_REQUEST_ID or not request_id.decode("latin-1").isprintable():
        request_id = os.urandom(16).hex().encode()
    return request_id, traceparent, length
