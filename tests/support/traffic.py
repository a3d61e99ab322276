"""Bounded load on loopback, and what came back."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import httpx

from tidegate.gateway.base import Endpoint

T = TypeVar("T")


@dataclass
class Answers:
    """What a load got: statuses (0 for a broken connection) and the replica that answered each 200."""

    statuses: Counter[int] = field(default_factory=Counter)
    names: Counter[str] = field(default_factory=Counter)
    revisions: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        return sum(count for status, count in self.statuses.items() if status != 200)


class Load:
    """Clients that send one request after the other until the block ends; `answers` grows meanwhile."""

    def __init__(self, url: str, clients: int = 4, headers: dict[str, str] | None = None) -> None:
        self.answers = Answers()
        self._url = url
        self._clients = clients
        self._headers = headers or {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    async def __aenter__(self) -> Load:
        self._client = httpx.AsyncClient(
            trust_env=False, timeout=10.0, limits=httpx.Limits(max_connections=self._clients)
        )
        self._tasks = [asyncio.create_task(self._run()) for _ in range(self._clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)
        await self._client.aclose()

    async def _run(self) -> None:
        while not self._stopping:
            await send(self._client, self._url, self._headers, self.answers)


async def send(client: httpx.AsyncClient, url: str, headers: dict[str, str], answers: Answers) -> None:
    """Send one request and note what came back."""
    try:
        response = await client.get(url, headers=headers)
    except httpx.HTTPError:
        answers.statuses[0] += 1
        return
    answers.statuses[response.status_code] += 1
    if response.status_code == 200:
        answers.names[response.json()["name"]] += 1
    answers.revisions[response.headers.get("x-tidegate-revision", "")] += 1


async def send_many(url: str, count: int, headers: dict[str, str] | None = None, clients: int = 4) -> Answers:
    """Send exactly `count` requests over a few kept-alive connections."""
    answers, left = Answers(), iter(range(count))

    async def work(client: httpx.AsyncClient) -> None:
        for _ in left:
            await send(client, url, headers or {}, answers)

    async with httpx.AsyncClient(trust_env=False, timeout=10.0) as client:
        await asyncio.gather(*(work(client) for _ in range(clients)))
    return answers


async def served(endpoint: Endpoint) -> int:
    """Return how many requests a tiny replica has begun to answer, asked past the gateway."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://{endpoint.host}:{endpoint.port}/v2/health/live")
    return int(answer.json()["served"])


async def until(
    ask: Callable[[], Awaitable[T]], met: Callable[[T], bool], seconds: float = 10.0, pause: float = 0.01
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
