"""The cache as the data plane sees it: look-up, one computation for equal requests, and its own switch."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from tidegate.server.cache.base import CacheStore, Outputs
from tidegate.server.cache.key import key_of
from tidegate.server.cache.worth import Worth
from tidegate.server.exchange import Exchange
from tidegate.server.protocols.base import Call

REQUESTS_TOTAL = "tidegate_server_cache_requests_total"
ACTIVE = "tidegate_server_cache_active"
OVERHEAD_SECONDS_TOTAL = "tidegate_server_cache_overhead_seconds_total"

HIT, MISS, BYPASS = "hit", "miss", "bypass"

Member = tuple[Exchange, Call]

log = logging.getLogger("tidegate.server")


class Lookup:
    """What became of the members of one batch.

    Attributes:
        hits: members that were found, with their outputs.
        leaders: members whose outputs must be computed, each with its key; no two have the same.
        outcome: what the cache did for the leaders, "miss" or "bypass".
    """

    __slots__ = ("hits", "leaders", "outcome")

    def __init__(self) -> None:
        self.hits: list[tuple[Member, Outputs]] = []
        self.leaders: list[tuple[Member, bytes]] = []
        self.outcome = MISS


class PredictionCache:
    """Answers of one model. Called from several threads at once.

    Only what the model answered is kept, never an error.

    Args:
        store: where answers are kept.
        model: digest of the bundle.
        clock: seconds, monotonic.
    """

    def __init__(self, store: CacheStore, model: bytes, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._model = model
        self._clock = clock
        self._worth = Worth()
        self._lock = threading.Lock()
        #: Keys that are being computed, and who waits for them.
        self._under_way: dict[bytes, list[Member]] = {}
        self._outcomes = dict.fromkeys((HIT, MISS, BYPASS), 0)
        self._overhead = 0.0
        #: Whether the store answered last. What is asked while it is gone says nothing about what the cache is worth.
        self._is_there = True

    def is_off(self) -> bool:
        """Say whether the cache is left aside at the moment."""
        return self._worth.is_off(self._clock())

    def bypass(self, requests: int) -> None:
        """Count requests that were answered without the cache."""
        self._outcomes[BYPASS] += requests

    def look_up(self, members: Sequence[Member]) -> Lookup:
        """Let equal requests wait for one of them, and find what is kept for that one.

        A member that is in no list of the result waits for a leader, here or on another thread; the thread of that
        leader gets it from `keep` or `give_up`, one of which must be called for every leader.
        """
        started = perf_counter()
        lookup = Lookup()
        # Before the first of them leads: from there on nothing may fail, or those who wait for it wait for ever.
        keys = [key_of(self._model, call) for _, call in members]
        # First who leads, then what is kept: what a leader before put into the store is there when the next one looks.
        leading = [pair for pair in zip(members, keys, strict=True) if self._leads(*pair)]
        found = self._found([key for _, key in leading])
        if leading:
            self._is_there = found is not None
        if found is None:
            found, lookup.outcome = [None] * len(leading), BYPASS
        for (member, key), outputs in zip(leading, found, strict=True):
            if outputs is None:
                lookup.leaders.append((member, key))
            else:
                lookup.hits += [(one, outputs) for one in (member, *self._land(key))]
        self._outcomes[HIT] += len(members) - len(lookup.leaders)  # who waits is spared the model, too
        self._outcomes[lookup.outcome] += len(lookup.leaders)
        self._spend(len(members), len(members) - len(lookup.leaders), perf_counter() - started)
        return lookup

    def keep(self, answers: Sequence[tuple[bytes, Outputs]], model_seconds: float) -> list[list[Member]]:
        """Keep what leaders got; return those who waited for each."""
        started = perf_counter()
        try:
            self._store.put_many(answers)
        except Exception:  # those who wait get their answers all the same
            log.exception("the cache failed to keep answers")
        if self._is_there:
            self._worth.computed(len(answers), model_seconds)
        self._spend(0, 0, perf_counter() - started)
        if self._worth.settle(self._clock()):
            log.warning("the cache costs more than it saves and is left aside for a while")
        return [self._land(key) for key, _ in answers]

    def give_up(self, key: bytes) -> list[Member]:
        """Keep nothing for a leader that failed; return those who waited for it.

        Not to be called after `keep`: the key may have another leader by then.
        """
        return self._land(key)

    def metrics(self, names: tuple[str, ...], values: tuple[str, ...]) -> Iterator[Metric]:
        """Yield the cache's metrics; see `metrics.Source`."""
        requests = CounterMetricFamily(
            REQUESTS_TOTAL, "Requests by what the cache did for them.", labels=(*names, "store", "outcome")
        )
        for outcome, count in self._outcomes.items():
            requests.add_metric((*values, self._store.name, outcome), count)
        yield requests
        active = GaugeMetricFamily(
            ACTIVE,
            "1 while the cache is in use, 0 while it is left aside because it costs more than it saves.",
            labels=(*names, "store"),
        )
        active.add_metric((*values, self._store.name), 0 if self._worth.is_off(self._clock()) else 1)
        yield active
        overhead = CounterMetricFamily(
            OVERHEAD_SECONDS_TOTAL, "Time spent on looking up and keeping answers.", labels=(*names, "store")
        )
        overhead.add_metric((*values, self._store.name), self._overhead)
        yield overhead

    def close(self) -> None:
        self._store.close()

    def _found(self, keys: list[bytes]) -> list[Outputs | None] | None:
        try:
            return self._store.get_many(keys) if keys else []
        except Exception:  # whoever leads must go on, or those who wait for it wait for ever
            log.exception("the cache failed; requests go on without it")
            return None

    def _leads(self, member: Member, key: bytes) -> bool:
        """Say whether the member leads; else it waits for another from now on."""
        with self._lock:
            waiting = self._under_way.get(key)
            if waiting is not None:
                waiting.append(member)
                return False
            self._under_way[key] = []
        return True

    def _land(self, key: bytes) -> list[Member]:
        with self._lock:
            return self._under_way.pop(key, [])

    def _spend(self, requests: int, hits: int, seconds: float) -> None:
        self._overhead += seconds
        if self._is_there:
            self._worth.note(requests, hits, seconds)
