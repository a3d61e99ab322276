"""What stands in for the workers answers whatever is asked, and keeps no connection once one of them serves."""

from __future__ import annotations

import asyncio
import re
import socket
from typing import Any

import pytest

from tests.server.processes import DEADLINE_SECONDS
from tidegate.server.handover import HandoverQueue, Intake
from tidegate.server.supervisor.standin import StandIn


async def _nobody(method: str, path: str, body: bytes) -> tuple[int, Any]:
    return 503, {"error": "nobody serves"}


async def _accepted_just_before_a_worker_serves() -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        handover = HandoverQueue.create()
        standin = StandIn(listener, handover, _nobody)
        taken: asyncio.Future[socket.socket] = loop.create_future()
        worker = Intake(listener, handover, lambda connection, _: taken.set_result(connection))
        with socket.create_connection(listener.getsockname()) as client:
            accepted, _ = listener.accept()
            standin.open()
            standin._adopt(accepted, True)  # what its intake calls; the worker serves before the loop turns again
            standin.close()
            worker.open(loop)
            given = await asyncio.wait_for(taken, DEADLINE_SECONDS)
            with given:
                assert given.getpeername() == client.getsockname()
        worker.close()
        standin.end()


async def _answers_to(sent: bytes, count: int) -> bytes:
    """Return what comes back from one that answers with what it was asked, until there are `count` answers."""

    async def repeat(method: str, path: str, body: bytes) -> tuple[int, Any]:
        return 200, [method, path, body.decode()]

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        standin = StandIn(listener, HandoverQueue.create(), repeat)
        standin.open()
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(sent)
        found = b""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while found.count(b"HTTP/1.1 ") < count or not found.endswith((b"]", b"}")):
                part = await reader.read(1 << 16)
                assert part, found
                found += part
        writer.close()
        standin.end()
    return found


GET = b"GET /first HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST /second HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody"


def test_requests_that_were_sent_together_are_answered_in_their_order() -> None:
    found = asyncio.run(_answers_to(GET + POST + GET, 3))
    first, second = b'["GET", "/first", ""]', b'["POST", "/second", "body"]'
    assert re.findall(rb"\[.*?\]", found) == [first, second, first]


def test_a_request_that_began_behind_another_is_waited_for() -> None:
    async def ask() -> bytes:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            handover = HandoverQueue.create()
            standin = StandIn(listener, handover, _nobody)
            standin.open()
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(GET + POST[:30])
            async with asyncio.timeout(DEADLINE_SECONDS):
                await reader.readuntil(b'"nobody serves"}')
                standin.close()  # hands over what is between two requests, and this one is not
                writer.write(POST[30:])
                found = await reader.readuntil(b'"nobody serves"}')
            writer.close()
            standin.end()
        return found

    assert asyncio.run(ask()).startswith(b"HTTP/1.1 503 ")


def test_what_is_no_request_is_refused_after_the_answers_to_what_came_before() -> None:
    found = asyncio.run(_answers_to(GET + b"nonsense\r\n\r\n", 2))
    assert found.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 400 " in found


def test_an_offer_to_speak_another_protocol_is_left_alone() -> None:
    offer = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n"
    found = asyncio.run(_answers_to(POST.replace(b"host: x\r\n", b"host: x\r\n" + offer), 1))
    assert b'["POST", "/second", "body"]' in found


def test_a_connection_accepted_just_before_a_worker_serves_is_handed_over() -> None:
    asyncio.run(_accepted_just_before_a_worker_serves())


async def _told_again(method: str, path: str, body: bytes) -> tuple[int, Any]:
    return 503, [method, path, body.decode()]


async def _asked_at_once(sent: bytes) -> bytes:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        standin = StandIn(listener, HandoverQueue.create(), _told_again)
        standin.open()
        reading, writing = await asyncio.open_connection(*listener.getsockname())
        writing.write(sent)
        answers = await asyncio.wait_for(reading.read(), DEADLINE_SECONDS)
        writing.close()
        standin.end()
        return answers


@pytest.mark.parametrize(
    ("last", "status"),
    [(b"GET /c HTTP/1.1\r\nconnection: close\r\n\r\n", b"503"), (b"this is no HTTP\r\n\r\n", b"400")],
)
def test_requests_that_come_before_the_first_has_its_answer_are_answered_in_order(last: bytes, status: bytes) -> None:
    first = b"POST /a HTTP/1.1\r\ncontent-length: 2\r\n\r\nhi" + b"GET /b?x HTTP/1.1\r\n\r\n"
    answers = asyncio.run(_asked_at_once(first + last)).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"503", b"503", status]
    assert [answer.partition(b"\r\n\r\n")[2] for answer in answers[:2]] == [
        b'["POST", "/a", "hi"]',
        b'["GET", "/b", ""]',
    ]
    assert [b"connection: close" in answer for answer in answers] == [False, False, True]
