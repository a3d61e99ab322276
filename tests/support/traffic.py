"""Bounded load on loopback, and what came back."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

import httpx

from tidegate.gateway.base import Endpoint

T = TypeVar("T")


@dataclass
class Answers:
    """What a load got: statuses (0 for a broken connection, and what broke it), the replica that answered each 200."""

    statuses: Counter[int] = field(default_factory=Counter)
    names: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(self.statuses.values())

    @property
    def failed(self) -> int:
        return self.total - self.statuses[200]


class Client:
    """One kept-alive connection that sends one request after the other; cheap, so that a test measures the server."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname or "", parts.port or 80
        lines = [f"GET {parts.path} HTTP/1.1", f"host: {parts.netloc}", *(f"{k}: {v}" for k, v in headers.items())]
        self._request = ("\r\n".join(lines) + "\r\n\r\n").encode()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, answers: Answers) -> None:
        """Send the request and note what came back."""
        try:
            status, body = await asyncio.wait_for(self._send(), 10)
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            answers.statuses[0] += 1
            answers.broken.append(repr(error))
            return
        answers.statuses[status] += 1
        if status == 200:
            answers.names[json.loads(body)["name"]] += 1

    async def _send(self) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        writer.write(self._request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        _, _, length = head.partition("\r\ncontent-length: ")
        body = await reader.readexactly(int(length.partition("\r\n")[0] or 0))
        return int(head.split(" ", 2)[1]), body

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Load:
    """Clients that send one request after the other until the block ends; `answers` grows meanwhile."""

    def __init__(self, url: str, clients: int = 4, headers: dict[str, str] | None = None) -> None:
        self.answers = Answers()
        self._clients = [Client(url, headers or {}) for _ in range(clients)]
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.create_task(self._run(client)) for client in self._clients]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)

    async def more(self, count: int, of: str | None = None, seconds: float = 15.0) -> None:
        """Wait until so many more answers are there, of one replica when it is named."""

        async def ask() -> int:
            return self.answers.total if of is None else self.answers.names[of]

        before = await ask()
        await until(ask, lambda seen: seen >= before + count, seconds)

    async def _run(self, client: Client) -> None:
        while not self._stopping:
            await client.send(self.answers)
        client.close()


async def send_many(url: str, count: int, headers: dict[str, str] | None = None, clients: int = 4) -> Answers:
    """Send exactly `count` requests over a few kept-alive connections."""
    answers, left = Answers(), iter(range(count))

    async def work(client: Client) -> None:
        for _ in left:
            await client.send(answers)
        client.close()

    await asyncio.gather(*(work(Client(url, headers or {})) for _ in range(clients)))
    return answers


async def served(endpoint: Endpoint) -> int:
    """Return how many requests a tiny replica has begun to answer, asked past the gateway."""
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        answer = await client.get(f"http://{endpoint.host}:{endpoint.port}/v2/health/live")
    return int(answer.json()["served"])


async def until(
    ask: Callable[[], Awaitable[T]], met: Callable[[T], bool], seconds: float = 30.0, pause: float = 0.01
) -> T:
    """Ask again and again until the answer is right; fail with the last answer after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = await ask()
        if met(answer):
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"still not so after {seconds} s: {answer!r}")
        await asyncio.sleep(pause)
