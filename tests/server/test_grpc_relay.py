"""Two gRPC servers behind one listening socket: one leaves, and its clients go over to the other."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import grpc
import pytest

from tests.server.processes import DEADLINE_SECONDS
from tidegate.server.frames import (
    ACK,
    ANY_STREAM,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    SETTINGS,
    Follower,
    frame,
    go_away,
)
from tidegate.server.grpc import relayed
from tidegate.server.grpc.health import HealthService
from tidegate.server.grpc.listener import GrpcBounds, GrpcServer

MIB = 1024 * 1024
UNBOUND = (("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1))


class Named:
    """A server that answers with its name, which takes as long as it is told to, or with what it got."""

    def __init__(self, name: bytes) -> None:
        self._name = name
        self.begun = asyncio.Semaphore(0)
        self.may_answer = asyncio.Event()
        methods = {"Name": self._say_name, "Wait": self._wait, "Echo": self._echo}
        handlers = {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()}
        service = grpc.method_handlers_generic_handler("named", handlers)
        bounds = GrpcBounds(body_bytes=32 * MIB, calls=1000, grace_seconds=DEADLINE_SECONDS)
        self.server = GrpcServer(service, HealthService(lambda: True, "model"), bounds)

    async def _say_name(self, _: bytes, __: Any) -> bytes:
        return self._name

    async def _wait(self, _: bytes, __: Any) -> bytes:
        self.begun.release()
        await self.may_answer.wait()
        return self._name

    async def _echo(self, body: bytes, _: Any) -> bytes:
        return body


class Two:
    """An old and a new server; the old one alone takes connections until `leave`."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.old, self.new = Named(b"old"), Named(b"new")
        self.address = f"127.0.0.1:{listener.getsockname()[1]}"

    @contextlib.asynccontextmanager
    async def channel(self) -> AsyncIterator[Callable[[str], Any]]:
        async with grpc.aio.insecure_channel(self.address, UNBOUND) as channel:
            yield lambda name: channel.unary_unary(f"/named/{name}")

    async def leave(self) -> None:
        """Let the new one serve and the old one go."""
        await self.new.server.start_behind(self.listener.dup())
        await self.old.server.let_go()


def run(story: Callable[[Two], Coroutine[Any, Any, None]]) -> None:
    async def told() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            two = Two(listener)
            await two.old.server.start_behind(listener)
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    await story(two)
            finally:
                await two.old.server.stop()
                await two.new.server.stop()

    asyncio.run(told())


def test_what_was_begun_is_finished_and_the_next_call_goes_elsewhere() -> None:
    async def story(two: Two) -> None:
        async with two.channel() as method:
            assert await method("Name")(b"") == b"old"
            in_flight = [asyncio.ensure_future(method("Wait")(b"")) for _ in range(5)]
            for _ in in_flight:
                await two.old.begun.acquire()
            await two.leave()
            assert await method("Name")(b"") == b"new"
            two.old.may_answer.set()
            assert await asyncio.gather(*in_flight) == [b"old"] * 5
            await two.old.server.stop()  # its client has closed the connection: nobody is waited for
            assert await method("Name")(b"") == b"new"

    run(story)


def test_idle_clients_leave_without_a_failure() -> None:
    async def story(two: Two) -> None:
        async with contextlib.AsyncExitStack() as stack:
            methods = [await stack.enter_async_context(two.channel()) for _ in range(20)]
            for method in methods:
                assert await method("Name")(b"") == b"old"
            await two.leave()
            await two.old.server.stop()
            for method in methods:
                assert await method("Name")(b"") == b"new"

    run(story)


def test_messages_larger_than_any_buffer_arrive_whole_while_the_server_leaves() -> None:
    async def story(two: Two) -> None:
        bodies = [bytes((number,)) * (8 * MIB + number) for number in range(6)]
        async with two.channel() as method:
            assert await method("Name")(b"") == b"old"
            echoes = [asyncio.ensure_future(method("Echo")(body)) for body in bodies]
            await asyncio.wait(echoes, return_when=asyncio.FIRST_COMPLETED)
            await two.leave()
            assert await asyncio.gather(*echoes) == bodies

    run(story)


def test_a_client_that_goes_away_ends_its_calls_and_leaves_nothing_behind() -> None:
    async def story(two: Two) -> None:
        async with two.channel() as method:
            asyncio.ensure_future(method("Wait")(b""))  # noqa: RUF006 -- its end is that of the channel
            await two.old.begun.acquire()
        assert two.old.server._relay is not None
        await two.old.server._relay.is_empty()

    run(story)


class Raw:
    """A client that says what it is told to, and knows the frames that it gets."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self._follower = Follower(is_client=False)
        self._data = b""
        self._frames: list[tuple[int, int, bytes]] = []

    async def frame(self, wanted: int) -> tuple[int, bytes]:
        """Return flags and payload of the next frame of a kind."""
        while True:
            while self._frames:
                kind, flags, payload = self._frames.pop(0)
                if kind == wanted:
                    return flags, payload
            data = await self._reader.read(65536)
            assert data, "the connection ended"
            before = len(self._data)
            self._data += data
            start = 0
            for found in self._follower.follow(data):
                end = before + found.end
                self._frames.append((found.kind, found.flags, self._data[start + 9 : end]))
                start = end
            self._data = self._data[start:]

    async def ended(self) -> None:
        while await self._reader.read(65536):
            pass


@contextlib.asynccontextmanager
async def raw(two: Two) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection(*two.listener.getsockname())
    writer.write(PREFACE + frame(SETTINGS))
    client = Raw(reader, writer)
    await client.frame(SETTINGS)
    yield client
    writer.close()


@pytest.mark.parametrize("answers_pings", [True, False])
def test_going_away_has_two_steps_also_for_clients_that_answer_no_ping(
    answers_pings: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relayed, "_CONNECT_SECONDS", 0.05)
    # One that answers is never told because its time is over.
    monkeypatch.setattr(relayed, "_PING_SECONDS", 60.0 if answers_pings else 0.05)

    async def story(two: Two) -> None:
        async with raw(two) as client:
            client.writer.write(frame(SETTINGS, ACK))
            leaving = asyncio.create_task(two.leave())
            assert frame(GOAWAY, payload=(await client.frame(GOAWAY))[1]) == go_away(ANY_STREAM)
            for _ in range(2 if answers_pings else 1):
                flags, payload = await client.frame(PING)
                assert not flags & ACK
                if answers_pings:
                    client.writer.write(frame(PING, ACK, payload=payload))
            assert frame(GOAWAY, payload=(await client.frame(GOAWAY))[1]) == go_away(0)
            await client.ended()
            await leaving

    run(story)


def test_a_call_that_was_begun_before_its_client_read_goaway_is_among_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients answer a PING before they write what they began; else it would be answered here and begun elsewhere."""
    monkeypatch.setattr(relayed, "_CONNECT_SECONDS", 0.05)
    monkeypatch.setattr(relayed, "_PING_SECONDS", 60.0)

    async def story(two: Two) -> None:
        async with raw(two) as client:
            client.writer.write(frame(SETTINGS, ACK))
            leaving = asyncio.create_task(two.leave())
            assert frame(GOAWAY, payload=(await client.frame(GOAWAY))[1]) == go_away(ANY_STREAM)
            _, payload = await client.frame(PING)
            begun = frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x82")  # ":method: GET" of the static table
            client.writer.write(frame(PING, ACK, payload=payload) + begun)
            _, payload = await client.frame(PING)
            client.writer.write(frame(PING, ACK, payload=payload))
            assert frame(GOAWAY, payload=(await client.frame(GOAWAY))[1]) == go_away(1)
            client.writer.close()
            await leaving

    run(story)


def test_a_client_is_not_sent_away_before_it_is_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relayed, "_CONNECT_SECONDS", 0.01)

    async def story(two: Two) -> None:
        async with raw(two) as client:
            leaving = asyncio.create_task(two.leave())
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await client.frame(GOAWAY)
            client.writer.write(frame(SETTINGS, ACK))
            await client.frame(GOAWAY)
            await leaving

    run(story)


def test_a_connection_on_which_nobody_speaks_does_not_keep_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_CONNECT_SECONDS", "_LONGEST_CONNECT_SECONDS", "_PING_SECONDS", "_LINGER_SECONDS"):
        monkeypatch.setattr(relayed, name, 0.05)

    async def story(two: Two) -> None:
        reader, writer = await asyncio.open_connection(*two.listener.getsockname())
        assert await reader.read(1)
        await two.leave()
        await two.old.server.stop()
        writer.close()

    run(story)
