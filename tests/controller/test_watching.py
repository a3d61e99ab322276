"""Who watches a revision gets what was counted since they last asked, and replicas count no more than is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from tidegate.contract.errors import Conflict
from tidegate.controller.watching import LAPSE_SECONDS, MOST_READERS, Watching
from tidegate.gateway.base import RevisionRef
from tidegate.target.base import Counted, Target

REF = RevisionRef("churn", 1)


class Replicas:
    """Replicas that are asked some requests a second, of which they count the share that is wanted."""

    def __init__(self, rate: float) -> None:
        self.rate, self.share, self.now = rate, 0.0, 0.0
        self.asked: list[float] = []

    async def count_columns(self, ref: RevisionRef, share: float) -> None:
        self.share = share
        self.asked.append(share)

    def counts_reader(self, ref: RevisionRef) -> Any:
        replicas, last = self, self.now

        class Reader:
            def read(self) -> Sequence[Counted]:
                nonlocal last
                seconds, last = replicas.now - last, replicas.now
                requests = round(replicas.rate * replicas.share * seconds)
                return [Counted(requests)] if requests else []

        return Reader()


def watched(replicas: Replicas) -> Watching:
    return Watching(cast("Target", replicas), clock=lambda: replicas.now)


def ask(watching: Watching, reader: str, *, ref: RevisionRef = REF, is_judged: bool = False) -> int:
    return sum(one.requests for one in asyncio.run(watching.counted(ref, reader, is_judged=is_judged)))


def test_the_first_question_begins_and_later_ones_get_what_came_since() -> None:
    replicas = Replicas(50.0)
    watching = watched(replicas)
    assert ask(watching, "ada") == 0
    replicas.now += 2.0
    assert ask(watching, "bob") == 0
    replicas.now += 2.0
    assert ask(watching, "ada") == 200
    assert ask(watching, "bob") == 100


def test_of_many_requests_so_many_are_counted_as_are_wanted() -> None:
    replicas = Replicas(10_000.0)
    watching = watched(replicas)
    for _ in range(4):
        ask(watching, "ada")
        replicas.now += 2.0
    assert 100 <= ask(watching, "ada") / 2.0 <= 400
    replicas.rate = 100.0
    for _ in range(4):
        replicas.now += 2.0
        ask(watching, "ada")
    assert replicas.share == 1.0


def test_while_the_judge_has_replicas_count_nobody_else_tells_them_how_much() -> None:
    replicas = Replicas(50.0)
    watching = watched(replicas)
    ask(watching, "ada", is_judged=True)
    assert replicas.asked == []


def test_another_revision_is_begun_anew() -> None:
    replicas = Replicas(50.0)
    watching = watched(replicas)
    ask(watching, "ada")
    replicas.now += 2.0
    assert ask(watching, "ada", ref=RevisionRef("churn", 2)) == 0


def test_no_more_than_some_watch_and_who_asks_no_more_makes_room() -> None:
    replicas = Replicas(50.0)
    watching = watched(replicas)
    for number in range(MOST_READERS):
        ask(watching, str(number))
    with pytest.raises(Conflict, match="too many"):
        ask(watching, "one more")
    # The controller's own watches are none of theirs, even under the same name.
    assert asyncio.run(watching.counted(REF, "0", is_judged=False, is_own=True)) == []
    replicas.now += LAPSE_SECONDS + 1
    ask(watching, "one more")
