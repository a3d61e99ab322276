"""Questions over HTTP to real servers: ours, and ones that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate import polling
from tidegate.polling import Answer, Poller, PollError

_Say = Callable[[int, asyncio.StreamWriter], Awaitable[None]]


class _Server:
    """Says over each connection what it is told to; counts connections and keeps the heads of requests."""

    def __init__(self, say: _Say) -> None:
        self._say = say
        self.connections = 0
        self.heads: list[bytes] = []
        #: A client has closed a connection.
        self.gone = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                await self._say(len(self.heads), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.gone.set()
            writer.close()


@asynccontextmanager
async def _serving(say: _Say, timeout_seconds: float = 20.0) -> AsyncIterator[tuple[_Server, Poller]]:
    server = _Server(say)
    listening = await asyncio.start_server(server, "127.0.0.1", 0)
    poller = Poller("127.0.0.1", listening.sockets[0].getsockname()[1], timeout_seconds)
    try:
        yield server, poller
    finally:
        poller.close()
        listening.close()


def _in_pieces(*pieces: bytes) -> _Say:
    async def say(_: int, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)

    return say


_OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def _asked(say: _Say, targets: Sequence[str] = ("/",), timeout_seconds: float = 20.0) -> tuple[_Server, list[Answer]]:
    async def run() -> tuple[_Server, list[Answer]]:
        async with _serving(say, timeout_seconds) as (server, poller):
            return server, [await poller.ask(target) for target in targets]

    return asyncio.run(run())


def test_questions_go_over_one_connection() -> None:
    server, answers = _asked(_in_pieces(_OK), ["/a?b=c", "/d", "/e"])
    assert answers == [Answer(200, b"ok")] * 3
    assert server.connections == 1
    assert [head.split(b"\r\n")[0] for head in server.heads] == [
        b"GET /a?b=c HTTP/1.1", b"GET /d HTTP/1.1", b"GET /e HTTP/1.1",
    ]  # fmt: skip


def test_questions_that_are_asked_at_once_have_a_connection_each() -> None:
    async def run() -> tuple[int, list[Answer]]:
        all_came = asyncio.Event()

        async def say(number: int, writer: asyncio.StreamWriter) -> None:
            if number == 3:
                all_came.set()
            await all_came.wait()
            writer.write(_OK)

        async with _serving(say) as (server, poller):
            return server.connections, await asyncio.gather(*(poller.ask("/") for _ in range(3)))

    assert asyncio.run(run())[1] == [Answer(200, b"ok")] * 3


@given(st.binary(max_size=200), st.lists(st.integers(1, 50), max_size=8), st.booleans())
def test_an_answer_is_the_same_however_it_is_cut(body: bytes, cuts: list[int], chunked: bool) -> None:
    if chunked:
        parts = [body[at : at + 7] for at in range(0, len(body), 7)]
        told = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        whole = b"HTTP/1.1 503 Busy\r\ntransfer-encoding: chunked\r\n\r\n" + told
    else:
        whole = b"HTTP/1.1 503 Busy\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(whole[at : at + cut])
        at += cut
    _, answers = _asked(_in_pieces(*pieces, whole[at:]), ["/", "/"])
    assert answers == [Answer(503, body)] * 2


def test_what_was_closed_while_nothing_was_asked_is_opened_again() -> None:
    async def run() -> tuple[int, list[Answer]]:
        closed = asyncio.Event()

        async def say(number: int, writer: asyncio.StreamWriter) -> None:
            writer.write(_OK)
            if number == 1:
                writer.close()
                await writer.wait_closed()
                closed.set()

        async with _serving(say) as (server, poller):
            answers = [await poller.ask("/")]
            await closed.wait()
            answers.append(await poller.ask("/"))
            return server.connections, answers

    assert asyncio.run(run()) == (2, [Answer(200, b"ok")] * 2)


def test_a_server_that_closes_after_each_answer_is_asked_over_new_connections() -> None:
    answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"
    server, answers = _asked(_in_pieces(answer), ["/", "/"])
    assert answers == [Answer(200, b"ok")] * 2
    assert server.connections == 2


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", "no HTTP"),
    ],
)
def test_what_is_no_http_is_an_error(said: bytes, why: str) -> None:
    with pytest.raises(PollError, match=why):
        _asked(_in_pieces(said))


def test_an_answer_that_breaks_off_is_an_error_and_is_not_asked_for_again() -> None:
    async def say(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok")
        writer.close()

    with pytest.raises(PollError, match="in the middle"):
        _asked(say)


def test_a_server_that_says_nothing_is_waited_for_no_longer_than_told() -> None:
    with pytest.raises(PollError, match=r"no answer within 0\.05 s"):
        _asked(_in_pieces(), timeout_seconds=0.05)


def test_an_answer_after_its_time_is_not_taken_for_the_next() -> None:
    async def run() -> Answer:
        late = asyncio.Event()

        async def say(number: int, writer: asyncio.StreamWriter) -> None:
            if number == 1:
                await late.wait()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nold")
            else:
                writer.write(_OK)

        async with _serving(say, timeout_seconds=0.2) as (_, poller):
            with pytest.raises(PollError):
                await poller.ask("/")
            late.set()
            return await poller.ask("/")

    assert asyncio.run(run()) == Answer(200, b"ok")


def test_where_nobody_listens_there_is_an_error_with_the_reason() -> None:
    async def run() -> None:
        async with _serving(_in_pieces(_OK)) as (_, poller):
            pass
        await poller.ask("/")

    with pytest.raises(PollError, match=r"(?i)connect"):
        asyncio.run(run())


def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "MOST_BYTES", 1000)
    with pytest.raises(PollError, match="more than"):
        _asked(_in_pieces(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n", b"x" * 5000))


def test_a_question_that_is_under_way_when_the_poller_is_closed_is_answered_and_leaves_no_connection() -> None:
    async def run() -> Answer:
        asked, ended = asyncio.Event(), asyncio.Event()

        async def say(_: int, writer: asyncio.StreamWriter) -> None:
            asked.set()
            await ended.wait()
            writer.write(_OK)

        async with _serving(say) as (server, poller):
            question = asyncio.create_task(poller.ask("/"))
            await asked.wait()
            poller.close()
            ended.set()
            answer = await question
            await server.gone.wait()
            return answer

    assert asyncio.run(run()) == Answer(200, b"ok")
