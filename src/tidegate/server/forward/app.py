"""The ASGI application: three paths of our own, and everything else passed on to the child as it came.

A request's body is read whole first (see `body`). Answers are passed on piece by piece, each when the client has taken
the one before, so that their size is nobody's limit. Whoever waits for an answer no more, client or deadline, ends the
child's request, too: its connection to us is closed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, MutableMapping
from math import inf, isinf
from time import perf_counter
from typing import Any

import orjson

from tidegate.contract.errors import InvalidInput, TidegateError, Unavailable
from tidegate.server.endpoint import CLIENT_CLOSED_REQUEST, Head
from tidegate.server.forward.body import Body, ClientGone, Receive
from tidegate.server.forward.child import Child, Phase
from tidegate.server.forward.headers import Header, end_to_end, fault_in, target_of
from tidegate.server.forward.reply import JSON, Reply, Send, status_of_failure
from tidegate.server.forward.upstream import BadUpstream, Upstream
from tidegate.server.hot_request import BodyBudget
from tidegate.server.logs import RateLimit
from tidegate.server.metrics import ServerMetrics
from tidegate.server.protocols.base import DeadlineExceeded, NotReady, Overloaded
from tidegate.server.settings import ServerSettings

Scope = MutableMapping[str, Any]

#: Value of the metric label `protocol`: what is spoken is the child's own affair.
PROTOCOL = "http"
#: A child whose connection broke may be ending: so long it is looked whether it is.
_DYING_SECONDS = 0.5

log = logging.getLogger("tidegate.server")


class ForwardApp:
    """Passes requests on to a child.

    Args:
        budget: what the bodies of all requests may hold together.
    """

    def __init__(self, child: Child, metrics: ServerMetrics, settings: ServerSettings, budget: BodyBudget) -> None:
        self._child = child
        self._metrics = metrics
        self._budget = budget
        self._body_limit = settings.limits.body_bytes
        self._default_timeout = settings.timeout_seconds or inf
        self._most = settings.queue_limit
        #: Requests that the child has and has not answered.
        self._under_way = 0
        self._predict_path = child.settings.predict_path.encode()
        self._log_rate = RateLimit(per_second=20)
        self._own = {"/v2/health/live": self._live, "/v2/health/ready": self._ready, "/metrics": self._exposition}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reply = Reply(send, closes=self._child.phase is Phase.DRAINING)
        own = self._own.get(scope["path"])
        if own is not None:
            await reply.whole(*own(scope))
            return
        started = perf_counter()
        self._metrics.in_flight += 1
        try:
            status = await self._answer(scope, receive, reply)
        finally:
            self._metrics.in_flight -= 1
        self._metrics.answered(PROTOCOL, status, perf_counter() - started)

    def _live(self, _: Scope) -> tuple[int, list[Header], bytes]:
        live = not self._child.is_stuck
        return 200 if live else 503, [JSON], orjson.dumps({"live": live})

    def _ready(self, _: Scope) -> tuple[int, list[Header], bytes]:
        document = {"ready": self._child.is_ready, "phase": self._child.phase.value}
        return 200 if self._child.is_ready else 503, [JSON], orjson.dumps(document)

    def _exposition(self, scope: Scope) -> tuple[int, list[Header], bytes]:
        accept = next((value for name, value in scope["headers"] if name == b"accept"), b"")
        body, content_type = self._metrics.exposition(accept.decode("latin-1"))
        return 200, [(b"content-type", content_type.encode())], body

    async def _answer(self, scope: Scope, receive: Receive, reply: Reply) -> int:
        """Answer the request, whatever happens; return the status to count."""
        head = Head(scope["headers"])
        error: TidegateError
        try:
            status, last = await self._take(scope, head, receive, reply)
        except ClientGone:
            return CLIENT_CLOSED_REQUEST
        except asyncio.CancelledError:  # the process ends, and the grace that it had for this request is over
            error = Unavailable("the server ends before this request could be answered")
        except BadUpstream as broken:
            error = broken
            if await self._child.has_ended(_DYING_SECONDS):
                error = Unavailable("the server behind this replica ended before it had answered")
        except TidegateError as found:
            error = found
        else:
            await reply.end(last)  # after its place is free again, which its client may count on
            return status
        status = status_of_failure(error)
        self._note(error, status, scope, head)
        if not reply.has_begun:
            await reply.fail(status, error, head)
        return status

    async def _take(self, scope: Scope, head: Head, receive: Receive, reply: Reply) -> tuple[int, bytes]:
        """Read the request and pass it on; return the status and the last part of the answer, which is not sent yet.

        Raises:
            TidegateError: it has no answer, or not all of one.
            ClientGone: nobody waits for it.
        """
        fault = fault_in(scope["headers"])
        if fault is not None:
            raise InvalidInput(fault)
        self._admit()
        body = Body(receive, self._budget, self._body_limit)
        try:
            content = await body.read(head.length)
            upstream = self._admit()  # others came while it was read
            self._under_way += 1
            try:
                passing = self._pass_on(upstream, scope, content, reply)
                return await _unless_given_up(passing, receive, min(head.timeout_seconds, self._default_timeout))
            finally:
                self._under_way -= 1
        finally:
            body.release()

    def _admit(self) -> Upstream:
        """Return where the request goes; raises NotReady and Overloaded."""
        if self._child.upstream is None:
            raise NotReady("the server is being started")
        if self._under_way >= self._most:
            raise Overloaded("the server is busy: too many requests are under way")
        return self._child.upstream

    async def _pass_on(self, upstream: Upstream, scope: Scope, body: bytes, reply: Reply) -> tuple[int, bytes]:
        target = target_of(scope["raw_path"], scope["query_string"], self._predict_path)
        async with upstream.ask(scope["method"], target, end_to_end(scope["headers"]), body) as answer:
            await reply.begin(answer.status, end_to_end(answer.headers))
            missing, last = answer.length, b""
            async for part in answer.chunks():
                missing = None if missing is None else missing - len(part)
                if missing == 0:
                    last = part
                else:
                    await reply.go_on(part)
        return answer.status, last

    def _note(self, error: TidegateError, status: int, scope: Scope, head: Head) -> None:
        """Count and log a request that failed on our side; what the client did wrong is only counted."""
        if isinstance(error, Overloaded):
            self._metrics.shed += 1
        if status < 500:
            return
        held_back = self._log_rate.admit()
        if held_back is not None:
            facts = {
                "request_id": head.request_id.decode("latin-1"),
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                **({"traceparent": head.traceparent.decode("latin-1")} if head.traceparent else {}),
                **({"not_logged_before": held_back} if held_back else {}),
            }
            log.error(error.message, extra={"fields": facts})


async def _unless_given_up(
    passing: Coroutine[Any, Any, tuple[int, bytes]], receive: Receive, seconds: float
) -> tuple[int, bytes]:
    """Return what the coroutine `passing` does, and cancel it when its client is gone or its time is over.

    Raises:
        ClientGone, DeadlineExceeded: it was cancelled.
    """
    asking, leaving = asyncio.ensure_future(passing), asyncio.ensure_future(_departure(receive))
    try:
        await asyncio.wait(
            (asking, leaving), timeout=None if isinf(seconds) else seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if asking.done():
            return asking.result()
        if leaving.done():
            raise ClientGone
        raise DeadlineExceeded("the request's time was over before its answer was there")
    finally:
        asking.cancel()
        leaving.cancel()
        await asyncio.gather(asking, leaving, return_exceptions=True)


async def _departure(receive: Receive) -> None:
    """Return when the client is gone; the request has been read, so that nothing else comes of it."""
    while (await receive())["type"] != "http.disconnect":
        pass
