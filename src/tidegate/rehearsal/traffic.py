"""Traffic of a rehearsal: requests that leave when the schedule says so, and a record of what became of each.

It runs on a thread with an event loop of its own. A request is never sent again, so what failed did fail.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx

from tidegate.contract.errors import Unavailable
from tidegate.judge.agreement import Allowed, disagreement

REVISION_HEADER = "x-tidegate-revision"
#: Requests that may wait for an answer at a time; one that is due meanwhile is not sent, and counted.
_MOST_WAITING = 500
#: Answers whose time tells how much the machine bears.
_TIMED = 50

#: The tolerance of an output.
Tolerances = Callable[[str], Allowed]


class Answered(StrEnum):
    """What became of a request; the first that fits, from the top."""

    FAILED = "failed"
    WRONG = "wrong"
    SLOW = "slow"
    WELL = "well"


@dataclass(frozen=True)
class Sent:
    """One request.

    Attributes:
        at: when it left, seconds since 1970.
        revision: that answered, None when the answer names none.
    """

    at: float
    revision: int | None
    answered: Answered


@dataclass(frozen=True)
class Expected:
    """Bodies with the predictions that stable gives for them."""

    bodies: Sequence[bytes]
    predictions: Sequence[Any]
    #: The median time of one answer when nothing else is asked.
    answer_seconds: float


def learn(url: str, bodies: Sequence[bytes], timeout_seconds: float) -> Expected:
    """Ask a healthy deployment each body once, and keep those that it answers.

    Raises:
        Unavailable: it answers none of them.
    """
    kept: list[bytes] = []
    predictions: list[Any] = []
    seconds: list[float] = []
    said = "nothing"
    with httpx.Client(trust_env=False, timeout=timeout_seconds) as http:
        for body in bodies:
            began = time.perf_counter()
            answer = http.post(url, content=body, headers={"content-type": "application/json"})
            if answer.status_code != httpx.codes.OK:
                said = f"{answer.status_code} {answer.text[:200]}"
                continue
            seconds.append(time.perf_counter() - began)
            kept.append(body)
            predictions.append(answer.json().get("predictions"))
        if not kept:
            raise Unavailable("the copy of stable answers none of the rehearsal's requests", subject=url, got=said)
        while len(seconds) < _TIMED:
            began = time.perf_counter()
            http.post(url, content=kept[len(seconds) % len(kept)], headers={"content-type": "application/json"})
            seconds.append(time.perf_counter() - began)
    return Expected(kept, predictions, statistics.median(seconds))


class Traffic:
    """Sends requests from `start` to `stop`.

    Args:
        url: of `/predict` at the rehearsal's gateway.
        objective_seconds: an answer that takes longer is slow.
        tolerances: how far an answer may lie from the expected one.
    """

    def __init__(
        self,
        url: str,
        expected: Expected,
        *,
        rate: float,
        timeout_seconds: float,
        objective_seconds: float,
        tolerances: Tolerances,
    ) -> None:
        self._url = url
        self._expected = expected
        self._rate = rate
        self._timeout = timeout_seconds
        self._objective = objective_seconds
        self._tolerances = tolerances
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="rehearsal", daemon=True)
        self._sent: list[Sent] = []
        #: Requests that were due and not sent, since too many waited.
        self.held_back = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the sending and wait for what is under way."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(self._timeout + 5)

    def since(self, at: float) -> list[Sent]:
        """Return what became of the requests that left at `at` (seconds since 1970) or later and are over."""
        return [sent for sent in list(self._sent) if sent.at >= at]

    async def _run(self) -> None:
        limits = httpx.Limits(max_connections=_MOST_WAITING, max_keepalive_connections=_MOST_WAITING)
        waiting: set[asyncio.Task[None]] = set()
        async with httpx.AsyncClient(trust_env=False, timeout=self._timeout, limits=limits) as http:
            due = time.monotonic()
            number = 0
            while not self._stopping.is_set():
                # As users come who do not know of each other.
                due += random.expovariate(self._rate)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if len(waiting) >= _MOST_WAITING:
                    self.held_back += 1
                    continue
                task = asyncio.create_task(self._send(http, number % len(self._expected.bodies)))
                waiting.add(task)
                task.add_done_callback(waiting.discard)
                number += 1
            await asyncio.gather(*waiting)

    async def _send(self, http: httpx.AsyncClient, which: int) -> None:
        at, began = time.time(), time.perf_counter()
        try:
            answer = await http.post(
                self._url, content=self._expected.bodies[which], headers={"content-type": "application/json"}
            )
        except httpx.HTTPError:
            self._sent.append(Sent(at, None, Answered.FAILED))
            return
        seconds = time.perf_counter() - began
        named = answer.headers.get(REVISION_HEADER, "")
        revision = int(named) if named.isdecimal() else None
        self._sent.append(Sent(at, revision, self._judged(answer, seconds, which)))

    def _judged(self, answer: httpx.Response, seconds: float, which: int) -> Answered:
        if answer.status_code != httpx.codes.OK:
            return Answered.FAILED
        try:
            predictions = answer.json().get("predictions")
        except ValueError:
            return Answered.FAILED
        if not agree(self._expected.predictions[which], predictions, self._tolerances):
            return Answered.WRONG
        return Answered.SLOW if seconds > self._objective else Answered.WELL


def agree(expected: Any, got: Any, tolerances: Tolerances) -> bool:
    """Say whether two lists of predictions agree, output by output."""
    if not isinstance(expected, list) or not isinstance(got, list) or len(expected) != len(got):
        return bool(expected == got)
    return all(
        disagreement(one, other, tolerances) is None
        if isinstance(one, Mapping) and isinstance(other, Mapping)
        else one == other
        for one, other in zip(expected, got, strict=True)
    )
