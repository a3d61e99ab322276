"""Where the controller listens."""

from __future__ import annotations

import asyncio
import socket

from tidegate.api.process import _listen


def test_an_answer_of_several_parts_is_sent_at_once_and_waits_for_no_acknowledgement() -> None:
    assert asyncio.run(_is_without_delay())


async def _is_without_delay() -> int:
    without_delay: asyncio.Future[int] = asyncio.Future()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection: socket.socket = writer.get_extra_info("socket")
        without_delay.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    listener = _listen("127.0.0.1", 0)
    async with await asyncio.start_server(answer, sock=listener):
        _, writer = await asyncio.open_connection(*listener.getsockname())
        found = await without_delay
        writer.close()
    return found
