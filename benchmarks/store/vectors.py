"""The vectors that are looked up: what is known of so many passengers, made of real flights and drawn numbers.

Each is the flight that a passenger took last, from those that left New York in 2013, with two figures of the
passenger's own. The same numbers give the same vectors.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from examples.flights.data import load_flights

VIEW, ENTITY = "passengers", "passenger"
#: Of the flight.
_TAKEN = ("carrier", "origin", "dest", "distance", "dep_delay", "seats")
_BEGIN, _DAYS = datetime(2026, 1, 1, tzinfo=UTC), 300
#: One vector in some hundred thousand has both.
CONTAINED = {"carrier": "HA", "flights": 9}
#: Coprime to the number of vectors, so that each is drawn once: loads come in no order of keys.
_STEP = 7_368_787


def key(number: int) -> str:
    return f"passenger-{number:08d}"


def rows(begin: int, end: int, of: int) -> Iterator[dict[str, Any]]:
    """Yield the vectors from `begin` up to, but without, `end` of a set of `of`, each of another entity."""
    flights = _flights()
    chance = random.Random(begin)
    for place in range(begin, end):
        number = place * _STEP % of
        yield {
            ENTITY: key(number),
            "at": _BEGIN + timedelta(days=chance.randrange(_DAYS), seconds=chance.randrange(86_400)),
            **flights[number % len(flights)],
            "flights": int(chance.paretovariate(1.2)),
            "mean_delay": round(chance.gauss(7, 20), 2),
        }


def keys(count: int, of: int, seed: int) -> Iterator[list[str]]:
    """Yield `count` different keys at a time, at random, without end."""
    chance = random.Random(seed)
    while True:
        yield [key(number) for number in chance.sample(range(of), count)]


@cache
def _flights() -> list[dict[str, Any]]:
    table = load_flights()[list(_TAKEN)].astype(object)
    found: list[dict[str, Any]] = table.where(table.notna(), None).to_dict("records")
    return found
