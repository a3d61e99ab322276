"""What an inference request over HTTP gets, whatever protocol its body speaks.

Every request gets an id (echoed, or made), a count, its duration, and `Server-Timing`; every error its status and a
sentence. `connection` brings requests here and carries the answers away.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from itertools import count
from math import inf
from time import perf_counter
from typing import Any

from tidegate.contract.errors import TidegateError, ValueRefused
from tidegate.server.exchange import Answer, Exchange
from tidegate.server.logs import RateLimit
from tidegate.server.protocols.base import Codec, Message, ModelFailed, Overloaded, TooLarge
from tidegate.server.protocols.content_encoding import codec_of_encoded
from tidegate.server.replica import Phase, Replica
from tidegate.server.statuses import status_of
from tidegate.server.wording import one_line

#: Counted for a client that went away before its answer; nothing is sent.
CLIENT_CLOSED_REQUEST = 499

_LONGEST_REQUEST_ID = 128
_RETRY_AFTER = b"retry-after: 1\r\n"
_ALLOW = b"allow: POST\r\n"
_JSON = b"application/json"
_UNWRITABLE = b'{"error":"the request failed, and its error could not be written as JSON"}'

#: An id made here: 80 random bits of this process, then a number. Random bits for each would cost a system call.
_PROCESS = os.urandom(10).hex().encode()
_numbers = count(1)

Headers = list[tuple[bytes, bytes]]

log = logging.getLogger("tidegate.server")


class Head:
    """What the headers of a request say.

    Attributes:
        request_id: the client's, or one made here when there is none that may be echoed.
        is_copied: whether the gateway sent the same request to another revision as well.
        length: of the body in bytes as declared; 0 when it is not.
        says_connection: whether there is a `Connection` header.
        timeout_seconds: how long the client waits; infinite when it does not say.
    """

    __slots__ = (
        "accept",
        "content_encoding",
        "content_type",
        "is_copied",
        "json_length",
        "length",
        "request_id",
        "says_connection",
        "timeout_seconds",
        "traceparent",
        "tracestate",
    )

    def __init__(self, headers: Headers) -> None:  # noqa: PLR0912 -- one branch for each header, and no other
        self.content_type = self.content_encoding = self.accept = b""
        self.traceparent = self.tracestate = request_id = b""
        self.json_length: int | None = None
        self.length = 0
        self.is_copied = self.says_connection = False
        self.timeout_seconds = inf
        for name, value in headers:
            match name.lower():
                case b"content-length":
                    self.length = int(value) if value.isdigit() and len(value) < 20 else 0
                case b"content-type":
                    self.content_type = value
                case b"accept":
                    self.accept = value
                case b"x-request-id":
                    request_id = value
                case b"connection":
                    self.says_connection = True
                case b"traceparent":
                    self.traceparent = value
                case b"tracestate":  # may come in several headers, which are one list
                    self.tracestate = self.tracestate + b"," + value if self.tracestate else value
                case b"x-request-timeout-ms" | b"x-envoy-expected-rq-timeout-ms" if value.isdigit() and len(value) < 10:
                    self.timeout_seconds = min(self.timeout_seconds, int(value) / 1000 or inf)
                case b"inference-header-content-length" if value.isdigit() and len(value) < 20:
                    self.json_length = int(value)
                case b"content-encoding":
                    self.content_encoding = value
                case b"x-tidegate-copied":  # see `gateway.copies`
                    self.is_copied = True
        if not request_id or len(request_id) > _LONGEST_REQUEST_ID or not request_id.decode("latin-1").isprintable():
            request_id = _PROCESS + b"%012x" % next(_numbers)
        self.request_id = request_id


class InferenceEndpoint:
    """The answer to `POST` at one path: what one codec makes of the body."""

    def __init__(self, replica: Replica, codec: Codec) -> None:
        self._replica = replica
        self._codec = codec
        self._metrics = replica.metrics
        self._tracer = replica.tracer
        self._default_timeout = replica.settings.timeout_seconds or inf
        self._log_rate = RateLimit(per_second=20)
        self.body_limit = replica.settings.limits.body_bytes

    def too_large(self) -> TooLarge:
        """Return the error for a body beyond the limit."""
        return TooLarge(
            f"the request's body is larger than {self.body_limit} bytes", expected=f"at most {self.body_limit} bytes"
        )

    def submit(self, head: Head, body: bytes, done: Callable[[Exchange], None]) -> Exchange:
        """Hand a whole request over; `done` is called with it later.

        Raises:
            NotReady, Overloaded: it is not taken.
            UnsupportedMediaType: its body is compressed in a way that is not known.
        """
        exchange = self.exchange(head, body, done)
        self._replica.submit(exchange)
        return exchange

    def exchange(self, head: Head, body: bytes, done: Callable[[Exchange], None]) -> Exchange:
        """Return a whole request as it is handed over; see `submit`."""
        codec = self._codec
        if head.content_encoding:
            codec = codec_of_encoded(codec, head.content_encoding, self.body_limit)
        now = perf_counter()
        message = Message(body, head.content_type, head.accept, head.json_length)
        deadline = now + min(head.timeout_seconds, self._default_timeout)
        return Exchange(
            codec,
            message,
            now,
            done,
            deadline=deadline,
            request_id=head.request_id,
            traceparent=head.traceparent,
            is_copied=head.is_copied,
        )

    def cancel(self, exchange: Exchange) -> None:
        """Let go of an exchange whose answer nobody wants any more."""
        self._replica.cancel(exchange)

    def success(self, exchange: Exchange, head: Head) -> tuple[bytes, bytes]:
        """Return the headers, as bytes that end with a line end, and the body of a successful answer."""
        answer = exchange.answer
        assert answer is not None  # noqa: S101 (the caller looked)
        self._metrics.served(answer.rows, answer.queue_seconds, answer.model_seconds, answer.batch_requests)
        encoded = answer.encoded
        headers = b"content-type: %b\r\nx-request-id: %b\r\nserver-timing: queue;dur=%.3f, model;dur=%.3f%b\r\n" % (
            encoded.content_type,
            head.request_id,
            answer.queue_seconds * 1e3,
            answer.model_seconds * 1e3,
            b"" if answer.cache is None else b", cache;desc=" + answer.cache.encode(),
        )
        for name, value in encoded.headers:
            headers += name + b": " + value + b"\r\n"
        return headers, encoded.body

    def failure(self, error: TidegateError, head: Head) -> tuple[int, bytes, bytes]:
        """Return status, headers and body of an answer that is an error; count and log it."""
        status = status_of(error)
        self._note(error, status, head)
        headers = b"content-type: %b\r\nx-request-id: %b\r\n" % (_JSON, head.request_id)
        if status == 503:
            headers += _RETRY_AFTER
        elif status == 405:
            headers += _ALLOW
        try:
            return status, headers, self._codec.encode_error(error)
        except Exception as unwritable:  # noqa: BLE001 -- whatever the error holds, the request must be answered
            unwritten = ModelFailed("an error could not be written as an answer")
            unwritten.__cause__ = unwritable
            self._note(unwritten, 500, head)
            headers = b"content-type: %b\r\nx-request-id: %b\r\n" % (_JSON, head.request_id)
            return 500, headers, _UNWRITABLE

    def begun(self) -> None:
        """Count a request whose headers are here."""
        self._metrics.in_flight += 1

    def ended(self, status: int, seconds: float, head: Head, answer: Answer | None = None) -> None:
        """Count and trace a request that was answered, or whose client is gone; `answer` is None when it failed."""
        self._metrics.in_flight -= 1
        self._metrics.answered(self._codec.protocol, status, seconds)
        if self._tracer is not None:
            self._tracer.request(
                self._codec.protocol,
                traceparent=head.traceparent,
                tracestate=head.tracestate,
                request_id=head.request_id,
                status=status,
                seconds=seconds,
                answer=answer,
            )

    @property
    def is_draining(self) -> bool:
        return self._replica.phase is Phase.DRAINING

    def _note(self, error: TidegateError, status: int, head: Head) -> None:
        """Count and log what failed on our side or is refused by this model alone; clients' own faults are counted."""
        if isinstance(error, Overloaded):
            self._metrics.shed += 1
        if status < 500 and not isinstance(error, ValueRefused):
            return
        held_back = self._log_rate.admit()
        if held_back is None:
            return
        facts: dict[str, Any] = {
            "request_id": head.request_id.decode("latin-1"),
            "protocol": self._codec.protocol,
            "status": status,
        }
        if head.traceparent:
            facts["traceparent"] = head.traceparent.decode("latin-1")
        if held_back:
            facts["not_logged_before"] = held_back
        cause = error.__cause__ if isinstance(error, ModelFailed) else None
        level = logging.ERROR if status == 500 else logging.WARNING
        log.log(level, one_line(error), exc_info=cause, extra={"fields": facts})
