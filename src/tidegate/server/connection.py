"""One HTTP connection: inference requests go straight to their endpoint, all others to the ASGI application.

uvicorn's protocol, from which this one inherits, makes a scope, a task and two closures for each request, and sends
head and body apart. For a request to a small model that is most of the work. Here a request to one of the `hot` paths
is collected as it is parsed (see `hot_request`), handed to the pool when it is whole, and its answer written in one
piece. Everything else about HTTP (parsing, keep-alive, pipelining, flow control, the slower paths) is uvicorn's.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any
from urllib.parse import unquote_to_bytes

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.server.departure import Give, try_to_leave
from tidegate.server.endpoint import InferenceEndpoint
from tidegate.server.hot_request import BodyBudget, HotRequest
from tidegate.server.http_offer import header_lines, without_offer
from tidegate.server.http_text import HEAD_BYTES, refusal
from tidegate.server.patience import LINGER_SECONDS, Overdue, Patience
from tidegate.server.protocols.base import BodyTimeout, DeadlineExceeded


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
        self.patience = Patience(idle_seconds)
        self._head_bytes = 0
        self._give: Give | None = None
        self._default_headers: Any = None
        self._default_head = b""
        #: The request that is being answered. `cycle` is the one that was read last: with pipelining, another.
        self._current: Any = None
        #: What to say before closing, after the answers to what was read before it.
        self._last_words = b""
        self._is_broken = False
        #: Bytes fed to the parser since it last said what it read.
        self._unread = 0

    # -- asyncio -----------------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.patience.idle_since = perf_counter()

    def connection_lost(self, exc: Exception | None) -> None:
        for request in (self._current, self.cycle, *(queued for queued, _ in self.pipeline)):
            if isinstance(request, HotRequest):
                request.lose()
        if self._current is not None:  # uvicorn tells the application only of the request that was read last
            self._current.disconnected = True
            self._current.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_broken:
            return
        idle_since, self.patience.idle_since = self.patience.idle_since, None
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
            elif self._unread and self.patience.reading_since is None:  # line ends between requests begin none
                self.patience.idle_since = idle_since

    def pause_writing(self) -> None:
        self.patience.paused_since = perf_counter()
        super().pause_writing()

    def resume_writing(self) -> None:
        self.patience.paused_since = None
        super().resume_writing()
        if self._current is None or self._current.response_complete:
            self._next()

    # -- parser ------------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._head_bytes = self._unread = 0
        self.patience.reading_since = perf_counter()

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
        self.patience.reading_since = None
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
            self._default_head = header_lines(headers)
        return self._default_head

    def answered(self, request: HotRequest) -> None:
        """The answer to a request that is whole was written: go on with the next, or close."""
        if not request.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        self.patience.unsent_since = None  # each answer has its own time
        if self.transport.is_closing():
            return
        self.patience.is_new = False
        if self.patience.paused_since is None:  # else the client has yet to take what was written
            self._next()

    def _next(self) -> None:
        patience = self.patience
        if self.flow.read_paused and patience.reading_since is not None:
            patience.reading_since = perf_counter()  # what was not read in the meantime is not the client's slowness
        self.flow.resume_reading()
        if self.pipeline:
            # Later: a thousand requests that are refused at once would be a thousand calls inside each other.
            self.loop.call_soon(self._begin_next)
        elif self._last_words:
            self._say_last_words()
        else:
            patience.idle_since = perf_counter()
            if self._give is not None:
                # The next request is for the next process: it waits in the kernel until that has the connection.
                self.flow.pause_reading()
                self.loop.call_soon(self._try_handing_over)

    def _begin_next(self) -> None:
        is_free = self._current is None or self._current.response_complete
        if self.pipeline and is_free and self.patience.paused_since is None and not self.transport.is_closing():
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
        if self._give is not None:
            self._try_handing_over()
        request, current = self.cycle, self._current
        unsent = self.transport.get_write_buffer_size() > 0
        match self.patience.overdue(now, reads=not self.flow.read_paused, unsent=unsent):
            case Overdue.TAKING:
                self.transport.abort()
            case Overdue.SENDING:
                if isinstance(request, HotRequest) and not request.is_whole:
                    request.give_up(BodyTimeout("the rest of the request's body did not come in time"))
                self.transport.close()
            case Overdue.BEGINNING | Overdue.GOING:
                self.transport.close()
            case None:
                if isinstance(current, HotRequest) and current.exchange is not None and current.exchange.deadline < now:
                    current.give_up(DeadlineExceeded("the request's time was over before its answer was there"))

    def give_up(self) -> None:
        """The process ends, and the grace that it had for this connection's request is over."""
        if isinstance(self._current, HotRequest):
            self._current.keep_alive = False
            self._current.give_up(Unavailable("the server ends before this request could be answered"))
        self.transport.close()

    # -- leaving for another process -----------------------------------------------------------------------------------

    def hand_over(self, give: Give) -> None:
        """Give the connection away, as a socket, as soon as it is between two requests."""
        self._give = give
        self._try_handing_over()

    def _try_handing_over(self) -> None:
        give, patience = self._give, self.patience
        is_between_requests = patience.idle_since is not None and patience.reading_since is None and not self.pipeline
        if give is not None and is_between_requests and not self.transport.is_closing():
            self._give = None
            # Who leaves comes back, and `sweep` does, when what was written is still on its way to the socket.
            if not try_to_leave(self.transport, give):
                self._give = give

    # -- inside ------------------------------------------------------------------------------------------------------

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
        head = without_offer(self.parser.get_method(), self.url, self.parser.get_http_version(), self.headers)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.data_received(head + rest)

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
        self.patience.lingers_until = perf_counter() + LINGER_SECONDS

    def _refuse_head(self) -> None:
        """Answer what is no HTTP, after everything that was asked before it, and close."""
        self._is_broken = True
        self.patience.reading_since = None
        request: Any = self.cycle
        if isinstance(request, HotRequest) and not request.is_whole:
            request.break_off(InvalidInput("the request's body breaks off: what follows is no HTTP"))
            return
        self._last_words = refusal(is_head_too_large=self._head_bytes > HEAD_BYTES)
        if self.transport.is_closing():
            return
        if self._is_free() and not self.pipeline:
            self._say_last_words()
        elif not isinstance(request, HotRequest) and getattr(request, "more_body", False):
            self._break_off(request)
        else:
            self.flow.pause_reading()

    def _break_off(self, cycle: Any) -> None:
        """Tell the application, which waits for a body that broke off, that its client is gone; answer in its place."""
        cycle.disconnected = True
        cycle.message_event.set()
        if cycle is self._current and not cycle.response_started:
            self._say_last_words()
        else:
            self.transport.close()
