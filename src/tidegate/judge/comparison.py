"""Which of several revisions is better, two by two, for a person who is to choose among them. Pure.

For each signal and each two revisions there is an e-process against "the first is not worse than the second", bet on
block by block like the judge's own (`bets`): only what was served side by side is compared, so a change of weights or
of the hour changes nothing about the guarantee. All statements together are wrong with probability at most alpha,
however often one looks: each is held to its part of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

from tidegate.judge import bernoulli, bets, clusters
from tidegate.judge.evidence import Clustering, Memory
from tidegate.judge.looks import (
    BLOCK_REQUESTS,
    CANDIDATE_MEMORY,
    HEADROOM,
    PRIOR_BAD_EVENTS,
    PRIOR_REQUESTS,
    remember,
)
from tidegate.judge.records import NOTHING, Policy, SignalPolicy, Tally, tally_in
from tidegate.judge.verdicts import LEAST_BAD_EVENTS
from tidegate.judge.wealth import Wealth

#: Of the stored form.
VERSION = 1


@dataclass(frozen=True)
class Standing:
    """What is known of one signal.

    Attributes:
        counted: by revision, since the comparison began.
        open: by revision, of the block that is not complete yet.
        recent: by revision, fading memories of complete blocks.
        clustering: by revision, of its bad events.
        worse: by two revisions, the e-process against "the first is not worse than the second".
    """

    counted: Mapping[int, Tally]
    open: Mapping[int, Tally]
    recent: Mapping[int, Memory]
    clustering: Mapping[int, Clustering]
    worse: Mapping[tuple[int, int], Wealth]


@dataclass(frozen=True)
class Pair:
    """What is known of two revisions on one signal.

    Attributes:
        evidence: that `worse` is worse than `better`, as a share of what it takes to say so; 1 and above is enough.
    """

    signal: str
    better: int
    worse: int
    evidence: float
    better_counted: Tally
    worse_counted: Tally

    @property
    def is_shown(self) -> bool:
        return self.evidence >= 1.0 and self.worse_counted.bad >= LEAST_BAD_EVENTS

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "signal": self.signal,
            "better": self.better,
            "worse": self.worse,
            "evidence": round(self.evidence, 4),
            "shown": self.is_shown,
            "better_counted": self.better_counted.as_dict(),
            "worse_counted": self.worse_counted.as_dict(),
        }


@dataclass(frozen=True)
class Comparison:
    """What is known of all signals, by name; `revisions` are those that it began with, stable among them."""

    revisions: tuple[int, ...]
    signals: Mapping[str, Standing]

    @classmethod
    def begin(cls, policy: Policy, revisions: tuple[int, ...]) -> Comparison:
        none = dict.fromkeys(revisions, NOTHING)
        pairs = {pair: Wealth.start(bets.HARM_STAKES) for pair in permutations(revisions, 2)}
        blank = Standing(none, none, dict.fromkeys(revisions, Memory()), dict.fromkeys(revisions, Clustering()), pairs)
        return cls(revisions, {signal.name: blank for signal in policy.signals})

    def observe(self, policy: Policy, grown: Mapping[int, Mapping[str, Tally]]) -> Comparison:
        """Return what is known after one look.

        Args:
            grown: growth since the last look, by revision and signal; a revision that is missing takes part no more.
        """
        known = {
            signal.name: _observe(
                self.signals[signal.name],
                signal,
                {revision: tally_in(counted, signal) for revision, counted in grown.items()},
                self._threshold(policy),
            )
            for signal in policy.signals
            if signal.name in self.signals
        }
        return replace(self, signals={**self.signals, **known})

    def pairs(self, policy: Policy) -> tuple[Pair, ...]:
        """Return every two revisions on every signal, the strongest evidence first."""
        found = (
            Pair(name, better, worse, wealth.log / self._threshold(policy), at.counted[better], at.counted[worse])
            for name, at in self.signals.items()
            for (worse, better), wealth in at.worse.items()
        )
        return tuple(sorted(found, key=lambda pair: -pair.evidence))

    def _threshold(self, policy: Policy) -> float:
        """Return the log e-value that it takes; Bonferroni, over signals and every two revisions in either order."""
        count = len(self.revisions)
        return -math.log(policy.alpha / (len(policy.signals) * count * (count - 1)))

    def for_storage(self) -> dict[str, Any]:
        """Return plain JSON values; `from_storage` gives back an equal object."""
        return {
            "version": VERSION,
            "revisions": list(self.revisions),
            "signals": {name: _stored(at) for name, at in self.signals.items()},
        }

    @classmethod
    def from_storage(cls, stored: Mapping[str, Any]) -> Comparison:
        """Raises ValueError on a form that another version wrote."""
        if stored.get("version") != VERSION:
            raise ValueError(f"a comparison was stored as version {stored.get('version')!r}, expected {VERSION}")
        return cls(tuple(stored["revisions"]), {name: _read(at) for name, at in stored["signals"].items()})


def _observe(known: Standing, signal: SignalPolicy, grown: Mapping[int, Tally], threshold: float) -> Standing:
    counted = {revision: tally + grown.get(revision, NOTHING) for revision, tally in known.counted.items()}
    waiting = {revision: known.open[revision] + tally for revision, tally in grown.items()}
    # Complete by counts of requests alone, never by how they went; bets are placed from earlier blocks.
    is_complete = all(tally.requests for tally in waiting.values())
    if not is_complete or sum(tally.requests for tally in waiting.values()) < BLOCK_REQUESTS * len(waiting):
        return replace(known, counted=counted, open={**known.open, **waiting})
    prior = min(max(signal.objective, 0.01), 0.1)
    rates = {
        revision: bernoulli.clip(known.recent[revision].rate(prior, PRIOR_BAD_EVENTS / prior)) for revision in waiting
    }
    most = threshold / signal.patience if signal.patience > 1 else math.inf
    worse = dict(known.worse)
    for first, second in permutations(waiting, 2):
        guess = known.recent[first].rate(rates[second], PRIOR_REQUESTS)
        tempering = min(clusters.tempering(signal, known.clustering[revision]) for revision in (first, second))
        factors = bets.against_stable(waiting[first], waiting[second], rates[second], guess, tempering=tempering)
        worse[first, second] = worse[first, second].after(
            [min(factor, most) for factor in factors], waiting[first].requests, threshold + HEADROOM
        )
    return Standing(
        counted=counted,
        open={**known.open, **dict.fromkeys(waiting, NOTHING)},
        recent={
            **known.recent,
            **{revision: remember(known.recent[revision], waiting[revision], CANDIDATE_MEMORY) for revision in waiting},
        },
        clustering={
            **known.clustering,
            **{
                revision: clusters.after(known.clustering[revision], tally, known.recent[revision], rates[revision])
                for revision, tally in waiting.items()
            },
        },
        worse=worse,
    )


def _stored(at: Standing) -> dict[str, Any]:
    return {
        "counted": {str(revision): [tally.requests, tally.bad] for revision, tally in at.counted.items()},
        "open": {str(revision): [tally.requests, tally.bad] for revision, tally in at.open.items()},
        "recent": {str(revision): [memory.requests, memory.bad] for revision, memory in at.recent.items()},
        "clustering": {
            str(revision): [one.batches, one.surprise, one.open.requests, one.open.bad]
            for revision, one in at.clustering.items()
        },
        "worse": [
            [first, second, wealth.requests, wealth.reserve, *wealth.bets]
            for (first, second), wealth in at.worse.items()
        ],
    }


def _read(stored: Mapping[str, Any]) -> Standing:
    return Standing(
        counted={int(revision): Tally(*tally) for revision, tally in stored["counted"].items()},
        open={int(revision): Tally(*tally) for revision, tally in stored["open"].items()},
        recent={int(revision): Memory(*memory) for revision, memory in stored["recent"].items()},
        clustering={
            int(revision): Clustering(batches, surprise, Tally(int(requests), int(bad)))
            for revision, (batches, surprise, requests, bad) in stored["clustering"].items()
        },
        worse={
            (int(first), int(second)): Wealth(reserve=reserve, bets=tuple(wealth), requests=int(requests))
            for first, second, requests, reserve, *wealth in stored["worse"]
        },
    )
