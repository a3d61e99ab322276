"""A connection on its way between two processes is not lost where there is no descriptor for it."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.server.processes import DEADLINE_SECONDS
from tidegate.server.handover import HandoverQueue, Intake


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)  # the lowest number that is free
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def handover_was_read(handover: HandoverQueue) -> bool:
    """Say whether nothing waits in the queue any more."""
    try:
        return not handover.reading.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True


async def _handed_over_to_a_process_without_descriptors() -> None:
    loop = asyncio.get_running_loop()
    handover = HandoverQueue.create()
    taken: asyncio.Future[socket.socket] = loop.create_future()
    client, connection = socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener, client, handover.reading, handover.writing:
        listener.setblocking(False)
        intake = Intake(listener, handover, lambda given, _: taken.set_result(given))
        assert handover.put(connection)
        connection.close()
        with no_descriptor_left():
            intake.open(loop)
            async with asyncio.timeout(DEADLINE_SECONDS):
                while intake._pause is None and not handover_was_read(handover):  # noqa: ASYNC110 (nobody tells)
                    await asyncio.sleep(0)
            assert not handover_was_read(handover)
        given = await asyncio.wait_for(taken, DEADLINE_SECONDS)
        with given:
            client.sendall(b"?")
            assert await asyncio.wait_for(loop.sock_recv(given, 1), DEADLINE_SECONDS) == b"?"
        intake.close()


def test_a_connection_for_which_there_is_no_descriptor_waits_until_there_is_one() -> None:
    asyncio.run(_handed_over_to_a_process_without_descriptors())
