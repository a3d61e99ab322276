"""One HTTP connection: inference requests go straight to their endpoint, all others to the ASGI application.

uvicorn's protocol, from which this one inherits, makes a scope, a task and two closures for each request, and sends
head and body apart. For a request to a small model that is most of the work. Here a request to one of the `hot` paths
is collected as it is parsed, handed to the pool when it is whole, and its answer written in one piece by the callback
that the pool calls; nothing is awaited. Everything else about HTTP (parsing, keep-alive, pipelining, flow control, the
slower paths) is uvicorn's.

Slow clients: a request must be whole, and an answer taken, within `CLIENT_SECONDS`. Instead of a timer per request, the
server calls `sweep` on every connection several times a second.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any
from urllib.parse import unquote_to_bytes

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from tidegate.contract.errors import InvalidInput, TidegateError, Unavailable
from tidegate.server.endpoint import CLIENT_CLOSED_REQUEST, Head, InferenceEndpoint
from tidegate.server.exchange import Answer, Exchange
from tidegate.server.protocols.base import BodyTimeout, DeadlineExceeded, MethodNotAllowed

#: A client gets this long to send a request that it has begun, or to take an answer.
CLIENT_SECONDS = 30.0
#: A connection that never brought a request is closed after this time.
FIRST_REQUEST_SECONDS = 60.0
#: Size of a request's line and headers together.
HEAD_BYTES = 64 * 1024
#: A request that is refused before its end is read on up to here, so that its client gets to read the answer.
_DISCARDED_BYTES = 64 * 1024 * 1024

#: After the last answer of a connection that is given up, what its client still sends is taken and dropped so long.
_LINGER_SECONDS = 1.0

_CLOSE = b"connection: close\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


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


class HotRequest:
    """One inference request, from its headers to its answer.

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

    def __init__(self, connection: Connection, endpoint: InferenceEndpoint, headers: list[tuple[bytes, bytes]]) -> None:
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
        self.keep_alive = connection.parser.get_http_version() != "1.0" and connection.parser.should_keep_alive()
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
            self._connection.transport.write(_CONTINUE)

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
            headers += _CLOSE
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


class HeadTooLarge(Exception):  # noqa: N818
    """Raised through the parser to stop it."""


class Connection(HttpToolsProtocol):
    """uvicorn's protocol with a short way for the paths in `hot`.

    Args:
        hot: endpoints by path, percent-decoded.
        budget: shared by all connections of the process.
        idle_seconds: how long a connection may be without a request.
    """

    def __init__(
        self,
        *arguments: Any,
        hot: Mapping[bytes, InferenceEndpoint],
        budget: BodyBudget,
        idle_seconds: float,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self.budget = budget
        self._hot = hot
        self._idle_seconds = idle_seconds
        self._head_bytes = 0
        #: When the request that is being read began, the connection became idle, and writing was paused.
        self._reading_since: float | None = None
        self._idle_since: float | None = None
        self._paused_since: float | None = None
        #: No request yet. A client that never brings one is not waited for as long as one between two requests.
        self.is_new = True
        self._give: Callable[[socket.socket], None] | None = None
        self._default_headers: Any = None
        self._default_head = b""
        #: The request that is being answered. `cycle` is the one that was read last: with pipelining, another.
        self._current: Any = None
        #: What to say before closing, after the answers to what was read before it.
        self._last_words = b""
        self._is_broken = False
        #: Bytes fed to the parser since it last said what it read.
        self._unread = 0
        self._lingers_until: float | None = None

    # -- asyncio -----------------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._idle_since = perf_counter()

    def connection_lost(self, exc: Exception | None) -> None:
        for request in (self._current, self.cycle, *(queued for queued, _ in self.pipeline)):
            if isinstance(request, HotRequest):
                request.lose()
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_broken:
            return
        idle_since, self._idle_since = self._idle_since, None
        self._unread += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline_upgrade(data[offer.args[0] :])
        except httptools.HttpParserError:
            self._refuse_head()
        else:
            if self._unread > HEAD_BYTES:  # a name or value that does not end, which the parser puts together itself
                self._head_bytes = self._unread
                self._refuse_head()
            elif self._unread and self._reading_since is None:  # line ends between requests begin none
                self._idle_since = idle_since

    def pause_writing(self) -> None:
        self._paused_since = perf_counter()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._paused_since = None
        super().resume_writing()
        if self._current is None or self._current.response_complete:
            self._next()

    # -- parser ------------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._head_bytes = self._unread = 0
        self._reading_since = perf_counter()

    def on_url(self, url: bytes) -> None:
        self.url += url
        self._weigh(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))
        self._weigh(len(name) + len(value))
        if len(name) == 6 and name.lower() == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        endpoint = self._hot.get(self.url) or self._endpoint_of(self.url)
        if endpoint is None:
            self._to_application()
            return
        request = HotRequest(self, endpoint, self.headers)
        free = self._is_free() and not self.pipeline
        self.cycle = request  # type: ignore[assignment]
        if free:
            self._current = request
            request.begin()
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((request, self.app))  # type: ignore[arg-type]

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        if isinstance(self.cycle, HotRequest):
            self.cycle.take(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._unread = 0
        if self.parser.should_upgrade():
            return
        self._reading_since = None
        request: Any = self.cycle
        if not isinstance(request, HotRequest):
            super().on_message_complete()
        elif request.response_complete:  # it was refused before its end
            request.is_whole = True
            self.answered(request)
        else:
            request.end()

    # -- answers -----------------------------------------------------------------------------------------------------

    def default_head(self) -> bytes:
        """Return the headers that every answer has, Date among them, as bytes that end with a line end."""
        headers = self.server_state.default_headers
        if headers is not self._default_headers:
            self._default_headers = headers
            self._default_head = b"".join(b"%b: %b\r\n" % header for header in headers)
        return self._default_head

    def answered(self, request: HotRequest) -> None:
        """The answer to a request that is whole was written: go on with the next, or close."""
        if not request.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.is_new = False
        if self._paused_since is None:  # else the client has yet to take what was written
            self._next()

    def _next(self) -> None:
        if self.flow.read_paused and self._reading_since is not None:
            self._reading_since = perf_counter()  # what was not read in the meantime is not the client's slowness
        self.flow.resume_reading()
        if self.pipeline:
            # Later: a thousand requests that are refused at once would be a thousand calls inside each other.
            self.loop.call_soon(self._begin_next)
        elif self._last_words:
            self._say_last_words()
        else:
            self._idle_since = perf_counter()
            if self._give is not None:
                # Later: what was just written may still be on its way to the socket.
                self.loop.call_soon(self._try_handing_over)

    def _begin_next(self) -> None:
        is_free = self._current is None or self._current.response_complete
        if self.pipeline and is_free and self._paused_since is None and not self.transport.is_closing():
            self._start_asgi_task(*self.pipeline.pop())

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._current = cycle
        if isinstance(cycle, HotRequest):
            cycle.begin()
        else:
            super()._start_asgi_task(cycle, app)

    # -- time --------------------------------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Enforce every time limit of the connection; `now` is of `time.perf_counter`."""
        request, current = self.cycle, self._current
        if self._give is not None:
            self._try_handing_over()
        if self._lingers_until is not None:
            if now > self._lingers_until:
                self.transport.close()
        elif self._paused_since is not None and now - self._paused_since > CLIENT_SECONDS:
            self.transport.abort()
        elif self._is_reading() and now - (self._reading_since or now) > CLIENT_SECONDS:
            if isinstance(request, HotRequest) and not request.is_whole:
                request.give_up(BodyTimeout("the rest of the request's body did not come in time"))
            self.transport.close()
        elif self._idle_since is not None:
            if now - self._idle_since > (FIRST_REQUEST_SECONDS if self.is_new else self._idle_seconds):
                self.transport.close()
        elif isinstance(current, HotRequest) and current.exchange is not None and current.exchange.deadline < now:
            current.give_up(DeadlineExceeded("the request's time was over before its answer was there"))

    def give_up(self) -> None:
        """The process ends, and the grace that it had for this connection's request is over."""
        if isinstance(self._current, HotRequest):
            self._current.keep_alive = False
            self._current.give_up(Unavailable("the server ends before this request could be answered"))
        self.transport.close()

    # -- leaving for another process -----------------------------------------------------------------------------------

    def hand_over(self, give: Callable[[socket.socket], None]) -> None:
        """Give the connection away, as a socket, as soon as it is between two requests."""
        self._give = give
        self._try_handing_over()

    def _try_handing_over(self) -> None:
        is_between_requests = self._idle_since is not None and self._reading_since is None and not self.pipeline
        transport = self.transport
        if self._give is None or not is_between_requests or transport.is_closing():
            return
        if transport.get_write_buffer_size():
            return  # `sweep` comes back to it
        transport.pause_reading()  # what its client sends from now on stays in the kernel for the next process
        give, self._give = self._give, None
        give(socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())))
        transport.close()  # this descriptor alone: nothing is said to the client

    # -- inside ------------------------------------------------------------------------------------------------------

    def _is_reading(self) -> bool:
        return self._reading_since is not None and not self.flow.read_paused

    def _is_free(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _endpoint_of(self, url: bytes) -> InferenceEndpoint | None:
        path = url.partition(b"?")[0]
        if path.startswith(b"http"):  # the absolute form, which a proxy may send
            path = httptools.parse_url(path).path
        return self._hot.get(unquote_to_bytes(path) if b"%" in path else path)

    def _to_application(self) -> None:
        """Let uvicorn and the ASGI application have the request."""
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        self.headers.extend((name.lower(), value) for name, value in headers)
        super().on_headers_complete()
        if not self.pipeline or self.pipeline[0][0] is not self.cycle:
            self._current = self.cycle

    def _decline_upgrade(self, rest: bytes) -> None:
        """Read a request again without its offer to speak another protocol.

        A server may leave such an offer be; Java's client makes it (h2c) with every first request. The parser takes the
        body for the other protocol, therefore it gets the request anew.
        """
        if self.parser.get_method() == b"CONNECT":  # is an upgrade by itself, whatever its headers say
            self._refuse_head()
            return
        offer = (b"upgrade", b"connection", b"http2-settings")
        kept = [header for header in self.headers if header[0].lower() not in offer]
        head = b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        lines = b"".join(b"%b: %b\r\n" % header for header in kept)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.data_received(head + lines + b"\r\n" + rest)

    def _weigh(self, size: int) -> None:
        self._unread = 0
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES:
            raise HeadTooLarge

    def _say_last_words(self) -> None:
        """Write the last answer and stay a moment: closed with bytes unread, a socket takes back what it has sent."""
        self.transport.write(self._last_words)
        if not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        self.flow.resume_reading()
        self._lingers_until = perf_counter() + _LINGER_SECONDS

    def _refuse_head(self) -> None:
        """Answer what is no HTTP, after everything that was asked before it, and close."""
        too_large = self._head_bytes > HEAD_BYTES
        sentence = (
            f"the request line and headers hold more than {HEAD_BYTES} bytes"
            if too_large
            else "this is not an HTTP request"
        )
        self._is_broken = True
        self._reading_since = None
        request: Any = self.cycle
        if isinstance(request, HotRequest) and not request.is_whole:
            request.break_off(InvalidInput("the request's body breaks off: what follows is no HTTP"))
            return
        text = b'{"error":"%b"}' % sentence.encode()
        head = b"content-type: application/json\r\ncontent-length: %d\r\n" % len(text)
        self._last_words = STATUS_LINE[431 if too_large else 400] + head + _CLOSE + b"\r\n" + text
        if self.transport.is_closing():
            return
        if self._is_free() and not self.pipeline:
            self._say_last_words()
        elif not isinstance(request, HotRequest) and getattr(request, "more_body", False):
            self.transport.close()  # the application still waits for the body that broke off
        else:
            self.flow.pause_reading()
