"""What the supervisor and a worker say to each other: JSON lines over a pair of sockets.

A message has a `kind` and fields. One with an `id` is a question and is answered by `{"reply": id, …}`. Each end may
ask. The end of the channel is the end of the other process.

Imports next to nothing: the supervisor, which must stay small, uses it, too.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tidegate.contract.errors import Unavailable

#: A line; the metrics of a worker are its longest.
_LINE_BYTES = 16 << 20

Document = dict[str, Any]
#: Called with each message; what it returns is the reply to a question.
Handler = Callable[[Document], Awaitable[Mapping[str, Any] | None]]

log = logging.getLogger("tidegate.server")


class Channel:
    """One end. Constructed on the event loop; `run` reads until the other end is gone."""

    def __init__(self, end: socket.socket, handle: Handler) -> None:
        end.setblocking(False)
        self._end = end
        self._handle = handle
        self._writer: asyncio.StreamWriter | None = None
        self._questions: dict[int, asyncio.Future[Document]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._early: list[bytes] = []
        self._last_id = 0
        self._is_over = False

    async def run(self) -> None:
        """Read and handle messages until the other end is gone; questions that wait then get Unavailable."""
        reader, self._writer = await asyncio.open_connection(sock=self._end, limit=_LINE_BYTES)
        self._writer.writelines(self._early)
        self._early.clear()
        try:
            while line := await reader.readline():
                self._take(json.loads(line))
        except (ConnectionError, ValueError) as error:
            log.error("the channel between supervisor and worker broke: %s", error)  # noqa: TRY400
        finally:
            self._is_over = True
            self._writer.close()
            for question in self._questions.values():
                if not question.done():
                    question.set_exception(Unavailable("the process that was asked is gone"))

    def tell(self, kind: str, **fields: Any) -> None:
        """Send a message; one to a process that is gone is forgotten."""
        self._send({"kind": kind, **fields})

    async def ask(self, kind: str, timeout_seconds: float, **fields: Any) -> Document:
        """Send a question and return the reply.

        Raises:
            Unavailable: there was none in time, or the other process is gone.
        """
        if self._is_over:
            raise Unavailable("the process that was asked is gone")
        self._last_id += 1
        number = self._last_id
        future: asyncio.Future[Document] = asyncio.get_running_loop().create_future()
        self._questions[number] = future
        self._send({"kind": kind, "id": number, **fields})
        try:
            async with asyncio.timeout(timeout_seconds):
                return await future
        except TimeoutError:
            raise Unavailable(f"no answer to {kind!r} within {timeout_seconds:g} s") from None
        finally:
            del self._questions[number]

    def _send(self, document: Document) -> None:
        line = json.dumps(document, separators=(",", ":")).encode() + b"\n"
        if self._writer is None:
            self._early.append(line)
        elif not self._is_over:
            self._writer.write(line)

    def _take(self, message: Document) -> None:
        if "reply" in message:
            question = self._questions.get(message.pop("reply"))
            if question is not None and not question.done():
                question.set_result(message)
            return
        task = asyncio.create_task(self._answer(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, message: Document) -> None:
        reply = await self._handle(message)
        if "id" in message:
            self._send({"reply": message["id"], **(reply or {})})
