"""One inference request over HTTP, from its headers to its answer.

Nothing is awaited: the connection brings the parts, the pool calls back with the outcome, and the answer is written in
one piece by that callback.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from tidegate.contract.errors import TidegateError, Unavailable
from tidegate.server.endpoint import CLIENT_CLOSED_REQUEST, Head, InferenceEndpoint
from tidegate.server.exchange import Answer, Exchange
from tidegate.server.http_text import CLOSE, CONTINUE
from tidegate.server.protocols.base import MethodNotAllowed

#: A request that is refused before its end is read on up to here, so that its client gets to read the answer.
_DISCARDED_BYTES = 64 * 1024 * 1024


class _NeverMind:
    """Stands where uvicorn's own request has an event that its task waits for; here nobody waits."""

    def set(self) -> None:
        pass


_NEVER_MIND = _NeverMind()


class BodyBudget:
    """Bytes of bodies that this process has read and not yet answered, over all connections."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0


class Carrier(Protocol):
    """The connection that a request came over, as far as the request knows it.

    Attributes:
        parser: at the request's headers, when the request is made.
        transport: where the answer goes.
    """

    parser: Any
    transport: Any
    budget: BodyBudget
    expect_100_continue: bool

    def default_head(self) -> bytes:
        """Return the headers that every answer has, Date among them, as bytes that end with a line end."""
        ...

    def answered(self, request: HotRequest) -> None:
        """The answer to a request that is whole was written."""
        ...


class HotRequest:
    """One inference request.

    `keep_alive`, `disconnected`, `response_complete` and `message_event` are what uvicorn's protocol looks at.
    """

    __slots__ = (
        "_body",
        "_connection",
        "_endpoint",
        "_expects_continue",
        "_head",
        "_is_head_method",
        "_refused",
        "_size",
        "_started",
        "disconnected",
        "exchange",
        "is_current",
        "is_whole",
        "keep_alive",
        "response_complete",
    )

    message_event = _NEVER_MIND

    def __init__(self, connection: Carrier, endpoint: InferenceEndpoint, headers: list[tuple[bytes, bytes]]) -> None:
        self._connection = connection
        self._endpoint = endpoint
        self._head = Head(headers)
        self._started = perf_counter()
        self._body: list[bytes] = []
        self._size = 0
        self._refused: TidegateError | None = None
        method = connection.parser.get_method()
        self._is_head_method = method == b"HEAD"
        self._expects_continue = connection.expect_100_continue
        self.keep_alive = connection.parser.should_keep_alive()
        if self.keep_alive and self._head.says_connection:
            # A client of HTTP/1.0 that asks for it would need an answer that says so; without the header it does not.
            self.keep_alive = connection.parser.get_http_version() != "1.0"
        self.exchange: Exchange | None = None
        self.is_whole = False
        self.is_current = False
        self.disconnected = False
        self.response_complete = False
        endpoint.begun()
        if method != b"POST":
            self._refused = MethodNotAllowed(f"this path takes POST, not {method.decode('ascii')}", expected="POST")
        elif self._head.length > endpoint.body_limit:
            self._refused = endpoint.too_large()

    def begin(self) -> None:
        """Be answered next: the answers to all earlier requests of the connection are written."""
        self.is_current = True
        if self._refused is not None:
            self._fail(self._refused)
        elif self.is_whole:
            self._submit()
        elif self._expects_continue:
            self._connection.transport.write(CONTINUE)

    def take(self, part: bytes) -> None:
        """Take a part of the body."""
        self._size += len(part)
        if self.response_complete or self._refused is not None:
            if self._size > _DISCARDED_BYTES:
                self._connection.transport.close()
            return
        budget = self._connection.budget
        if self._size > self._endpoint.body_limit:
            self._refuse(self._endpoint.too_large())
        elif budget.used + len(part) > budget.limit:
            self._refuse(Unavailable("the server is busy: the requests that it reads hold too much"))
        else:
            budget.used += len(part)
            self._body.append(part)

    def end(self) -> None:
        """The body is whole."""
        self.is_whole = True
        if self.is_current and not self.response_complete:
            self._submit()

    def lose(self) -> None:
        """The client is gone."""
        if self.response_complete:
            return
        self.disconnected = self.response_complete = True
        self._release()
        if self.exchange is not None:
            self._endpoint.cancel(self.exchange)
        self._endpoint.ended(CLIENT_CLOSED_REQUEST, self._seconds(), self._head)

    def give_up(self, error: TidegateError) -> None:
        """Answer with an error now, whatever the model is at."""
        if self.response_complete or not self.is_current:
            return
        if self.exchange is not None:
            self._endpoint.cancel(self.exchange)
        self._fail(error)

    def break_off(self, error: TidegateError) -> None:
        """What follows in the connection is no HTTP, hence the rest of this request will never be known."""
        self.keep_alive = False
        if self.response_complete:
            self._connection.transport.close()
            return
        self.is_whole = True
        self._refuse(error)

    def _refuse(self, error: TidegateError) -> None:
        self._refused = error
        self._release()
        if self.is_current:
            self._fail(error)

    def _submit(self) -> None:
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = [body]
        try:
            self.exchange = self._endpoint.submit(self._head, body, self._done)
        except TidegateError as error:
            self._fail(error)

    def _done(self, exchange: Exchange) -> None:
        if self.response_complete:
            return
        self.exchange = None  # it refers to this request: without a circle neither waits for the garbage collector
        if exchange.answer is None:
            self._fail(exchange.error or Unavailable("the request has no answer"))
            return
        headers, body = self._endpoint.success(exchange, self._head)
        self._write(200, headers, body, exchange.answer)

    def _fail(self, error: TidegateError) -> None:
        status, headers, body = self._endpoint.failure(error, self._head)
        self._write(status, headers, body)

    def _write(self, status: int, headers: bytes, body: bytes, answer: Answer | None = None) -> None:
        connection = self._connection
        if not self.is_whole and self._head.length > _DISCARDED_BYTES:
            self.keep_alive = False
        if not self.keep_alive or self._endpoint.is_draining:
            self.keep_alive = False
            headers += CLOSE
        self.response_complete = True
        self._release()
        connection.transport.write(
            b"%b%b%bcontent-length: %d\r\n\r\n%b"
            % (
                STATUS_LINE[status],
                connection.default_head(),
                headers,
                len(body),
                b"" if self._is_head_method else body,
            )
        )
        self._endpoint.ended(status, self._seconds(), self._head, answer)
        if self.is_whole:
            connection.answered(self)

    def _release(self) -> None:
        for part in self._body:
            self._connection.budget.used -= len(part)
        self._body = []

    def _seconds(self) -> float:
        return perf_counter() - self._started
