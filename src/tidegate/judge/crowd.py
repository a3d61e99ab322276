"""The judge of very many rollouts at once: the arithmetic of `looks` and `verdicts`, over NumPy arrays.

For simulations (`forecast`, benchmarks), where one rollout after another would take minutes. It is no second judge:
tests/judge/test_crowd.py holds it to `looks.observe` and `verdicts.assess`, number by number.

Every array has the shape (..., signals): the last axis follows `Policy.signals`, the others are rollouts. Bets have one
axis more, in front.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from tidegate.judge import bets, clusters, crowd_bets, looks, wealth
from tidegate.judge.crowd_bets import Flags, Floats, Tallies
from tidegate.judge.records import Policy
from tidegate.judge.verdicts import LEAST_BAD_EVENTS

_Record = TypeVar("_Record", "Crowd", "Purses", "Tallies")


@dataclass(frozen=True)
class Terms:
    """A policy as arrays of shape (signals,), and what is derived from it once."""

    objective: Floats
    margin: Floats
    min_requests: Floats
    tempering: Floats
    most_per_look: Floats
    fail: Floats
    passed: float
    reference_fail: Floats
    reference_pass: float

    @classmethod
    def of(cls, policy: Policy) -> Self:
        signals = policy.signals
        fail = np.array([looks.fail_threshold(policy, signal) for signal in signals])
        return cls(
            objective=np.array([signal.objective for signal in signals]),
            margin=np.array([signal.margin for signal in signals]),
            min_requests=np.array([float(signal.min_requests) for signal in signals]),
            tempering=np.array([signal.tempering for signal in signals]),
            most_per_look=np.array(
                [
                    most / held.patience if held.patience > 1 else math.inf
                    for held, most in zip(signals, fail, strict=True)
                ]
            ),
            fail=fail,
            passed=looks.pass_threshold(policy),
            reference_fail=looks.REFERENCE_SHARE * np.array([policy.alpha_of(signal) for signal in signals]),
            reference_pass=looks.REFERENCE_SHARE * policy.beta,
        )

    def some(self, signals: Sequence[int]) -> Terms:
        """Return the terms of some signals, each held to what it is held to among all."""
        chosen = list(signals)
        return replace(
            self,
            objective=self.objective[chosen],
            margin=self.margin[chosen],
            min_requests=self.min_requests[chosen],
            tempering=self.tempering[chosen],
            most_per_look=self.most_per_look[chosen],
            fail=self.fail[chosen],
            reference_fail=self.reference_fail[chosen],
        )


@dataclass(frozen=True)
class Purses:
    """`wealth.Wealth` of many; `bets` has the shape (bets, ..., signals)."""

    reserve: Floats
    bets: Floats
    requests: npt.NDArray[Any]

    @classmethod
    def start(cls, stakes: tuple[float, ...], shape: tuple[int, ...]) -> Self:
        one = wealth.Wealth.start(stakes)
        laid = np.array(one.bets).reshape((-1,) + (1,) * len(shape))
        return cls(np.full(shape, one.reserve), np.broadcast_to(laid, (len(stakes), *shape)), np.zeros(shape, int))

    @property
    def log(self) -> Floats:
        return _log_sum(np.concatenate((self.reserve[None], self.bets)))

    def after(self, factors: Floats, requests: npt.NDArray[Any], ceiling: Floats | float) -> Purses:
        start = wealth.DRIP_START
        fed = self._fed(wealth.DRIP * np.log((self.requests + start) / (self.requests + requests + start)))
        laid = fed.bets + factors
        over = np.maximum(0.0, _log_sum(np.concatenate((fed.reserve[None], laid))) - ceiling)
        return Purses(fed.reserve - over, laid - over, self.requests + requests)

    def at_new_step(self) -> Purses:
        return self._fed(np.where(self.requests > 0, math.log1p(-wealth.STEP_SHARE), 0.0))

    def _fed(self, log_left: Floats) -> Purses:
        with np.errstate(divide="ignore"):
            each = self.reserve + np.log(-np.expm1(log_left) / len(self.bets))
        return replace(self, reserve=self.reserve + log_left, bets=np.logaddexp(self.bets, each))


@dataclass(frozen=True)
class Crowd:
    """`evidence.SignalEvidence` of many rollouts."""

    worse: Purses
    outside: Purses
    safe: Purses
    candidate: Tallies
    step_candidate: Tallies
    step_stable: Tallies
    open_candidate: Tallies
    open_stable: Tallies
    known_stable: Tallies
    recent_candidate: Tallies
    recent_stable: Tallies
    batches: Floats
    surprise: Floats
    batch: Tallies

    @property
    def shape(self) -> tuple[int, ...]:
        return self.batches.shape

    def copies(self, number: int) -> Crowd:
        """Return the crowd `number` times, along a new first axis."""
        return _each(self, lambda array: np.broadcast_to(array, (number, *array.shape)))

    def some(self, chosen: Any) -> Crowd:
        """Return the rollouts that an index of the first axis chooses."""
        return _each(self, lambda array: array[chosen])

    def of_signals(self, signals: Sequence[int]) -> Crowd:
        """Return what is known of some signals."""
        return _each(self, lambda array: array[..., list(signals)])

    def fails(self, terms: Terms) -> Flags:
        """Return which signals fail, as `verdicts.assess` says it."""
        harm = np.minimum(self.worse.log, self.outside.log) / terms.fail
        return (harm >= 1.0) & (self.candidate.bad >= LEAST_BAD_EVENTS)

    def passes(self, terms: Terms) -> Flags:
        """Return which signals show that they are safe; one that fails as well does not pass."""
        return (self.safe.log / terms.passed >= 1.0) & (self.step_candidate.requests >= terms.min_requests)


def begin(shape: tuple[int, ...], baseline: Tallies) -> Crowd:
    """Return the evidence at the start of rollouts; the baseline is of that shape, or broadcast to it."""
    nothing, zero = _nothing(shape), np.zeros(shape)
    known = Tallies(np.broadcast_to(baseline.requests, shape), np.broadcast_to(baseline.bad, shape))
    harm, safe = Purses.start(bets.HARM_STAKES, shape), Purses.start(bets.SAFE_STAKES, shape)
    return Crowd(
        worse=harm,
        outside=harm,
        safe=safe,
        candidate=nothing,
        step_candidate=nothing,
        step_stable=nothing,
        open_candidate=nothing,
        open_stable=nothing,
        known_stable=known,
        recent_candidate=Tallies(zero, zero),
        recent_stable=_remember(Tallies(zero, zero), known, looks.STABLE_MEMORY),
        batches=zero,
        surprise=zero,
        batch=nothing,
    )


def begin_step(crowd: Crowd) -> Crowd:
    """Return the evidence at the start of a step, as `looks.begin_step`."""
    nothing = _nothing(crowd.shape)
    return replace(
        _learn_stable(crowd),
        worse=crowd.worse.at_new_step(),
        outside=crowd.outside.at_new_step(),
        safe=Purses.start(bets.SAFE_STAKES, crowd.shape),
        step_candidate=nothing,
        step_stable=nothing,
        open_candidate=nothing,
    )


def observe(
    terms: Terms,
    crowd: Crowd,
    candidate: Tallies,
    stable: Tallies,
    active: Flags | None = None,
    *,
    safety: bool = True,
    merged: int = 1,
) -> Crowd:
    """Return the evidence after one look at every active rollout; the others stay as they are.

    Args:
        candidate, stable: growth since the last look. Stable is expected to serve, as in `looks.observe` with a tally
            of zero.
        active: of the crowd's shape, or broadcast to it; None: all of them.
        safety: False leaves out the evidence for a pass, which takes most of the time; `safe` then means nothing.
        merged: how many looks this one stands for, each of which a patient signal counts for so much at most.
    """
    seen = replace(
        crowd,
        candidate=crowd.candidate + candidate,
        step_candidate=crowd.step_candidate + candidate,
        step_stable=crowd.step_stable + stable,
        open_candidate=crowd.open_candidate + candidate,
        open_stable=crowd.open_stable + stable,
    )
    n1, n0 = seen.open_candidate.requests, seen.open_stable.requests
    tried, beside = n1 > 0, n0 > 0
    alone = tried & ~beside & _is_alone(seen)
    settled = (tried & beside & (n1 + n0 >= looks.BLOCK_REQUESTS)) | alone
    stale = ~tried & (n0 > looks.STALE_REQUESTS)
    if stale.any():
        seen = _either(stale, _learn_stable(seen), seen)
    if settled.any():
        seen = _either(settled, _settled(terms, seen, alone, safety=safety, merged=merged), seen)
    return seen if active is None or active.all() else _either(np.broadcast_to(active, crowd.shape), seen, crowd)


def _is_alone(seen: Crowd) -> Flags:
    tried, beside = seen.step_candidate.requests, seen.step_stable.requests
    settled = np.maximum(tried - seen.open_candidate.requests, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        surprising = looks.ALONE_SURPRISE / np.log1p(beside / settled)
    needed = np.minimum(np.maximum(looks.ALONE_REQUESTS, surprising), looks.MOST_ALONE_REQUESTS)
    return np.where(beside == 0, tried >= looks.ALONE_REQUESTS, seen.open_candidate.requests >= needed)


def _settled(terms: Terms, seen: Crowd, alone: Flags, *, safety: bool, merged: int) -> Crowd:
    tried, beside = seen.open_candidate, seen.open_stable
    base = _stable_guess(terms, seen)
    weight = looks.PRIOR_REQUESTS
    guess = (seen.recent_candidate.bad + weight * base) / (seen.recent_candidate.requests + weight)
    tempering = _tempering(terms, seen)
    outside = crowd_bets.against_a_rate(tried, crowd_bets.clip(terms.objective), guess)
    worse = crowd_bets.against_stable(tried, beside, base, guess)
    if alone.any():
        by_itself = crowd_bets.against_a_rate(tried, _most_tolerated(terms, seen, tempering), guess)
        worse = np.where(alone, by_itself, worse)
    safe = seen.safe
    if safety:
        factors = tempering * _for_safety(terms, seen, alone, base, guess)
        safe = safe.after(factors, tried.requests, terms.passed + looks.HEADROOM)
    most, ceiling = np.where(tried.bad > 1, merged * terms.most_per_look, np.inf), terms.fail + looks.HEADROOM
    return replace(
        _clustering(_learn_stable(seen), seen, base),
        worse=seen.worse.after(np.minimum(tempering * worse, most), tried.requests, ceiling),
        outside=seen.outside.after(np.minimum(tempering * outside, most), tried.requests, ceiling),
        safe=safe,
        recent_candidate=_remember(seen.recent_candidate, tried, looks.CANDIDATE_MEMORY),
        open_candidate=_nothing(seen.shape),
    )


def _for_safety(terms: Terms, seen: Crowd, alone: Flags, base: Floats, guess: Floats) -> Floats:
    tried, beside = seen.open_candidate, seen.open_stable
    limits = {"objective": terms.objective, "margin": terms.margin}
    if not alone.any():
        return crowd_bets.for_safety(tried, beside, base, guess, **limits)
    by_itself = crowd_bets.for_safety_alone(tried, _least_harmful(terms, seen), base, guess)
    if alone.all():
        return by_itself
    return np.where(alone, by_itself, crowd_bets.for_safety(tried, beside, base, guess, **limits))


def _stable_guess(terms: Terms, seen: Crowd) -> Floats:
    prior = np.minimum(np.maximum(terms.objective, 0.01), 0.1)
    weight = looks.PRIOR_BAD_EVENTS / prior
    return crowd_bets.clip((seen.recent_stable.bad + weight * prior) / (seen.recent_stable.requests + weight))


def _most_tolerated(terms: Terms, seen: Crowd, tempering: Floats) -> Floats:
    objective = crowd_bets.clip(terms.objective)
    bound = crowd_bets.clip(crowd_bets.upper_bound(seen.known_stable, terms.reference_fail, tempering))
    return np.where(seen.known_stable.requests < looks.KNOWN_STABLE, objective, np.maximum(objective, bound))


def _least_harmful(terms: Terms, seen: Crowd) -> Floats:
    known = seen.known_stable
    good = Tallies(known.requests, known.requests - known.bad)
    before = 1.0 - crowd_bets.upper_bound(good, terms.reference_pass, _tempering(terms, seen))
    return crowd_bets.clip(np.maximum(before, terms.objective) + terms.margin)


def _tempering(terms: Terms, seen: Crowd) -> Floats:
    excess = (seen.surprise + clusters.PRIOR_BATCHES) / (seen.batches + clusters.PRIOR_BATCHES)
    learnt = np.minimum(terms.tempering, 1.0 / np.minimum(excess, clusters.LARGEST_CLUSTER))
    return np.where(excess <= clusters.CHANCE, terms.tempering, learnt)


def _clustering(after: Crowd, seen: Crowd, base: Floats) -> Crowd:
    known = seen.recent_stable.bad >= clusters.LEAST_EVENTS
    batch = seen.batch + seen.open_stable
    expected = batch.requests * base
    full = known & (expected >= clusters.BATCH_EVENTS)
    variance = np.where(full, expected * (1.0 - base), 1.0)
    surprise = np.minimum((batch.bad - expected) ** 2 / variance, clusters.MOST_SURPRISE)
    kept = 1.0 - 1.0 / clusters.MEMORY_BATCHES
    return replace(
        after,
        batches=np.where(full, kept * seen.batches + 1.0, seen.batches),
        surprise=np.where(full, kept * seen.surprise + surprise, seen.surprise),
        batch=_either(full, _nothing(seen.shape), _either(known, batch, seen.batch)),
    )


def _learn_stable(seen: Crowd) -> Crowd:
    return replace(
        seen,
        known_stable=seen.known_stable + seen.open_stable,
        recent_stable=_remember(seen.recent_stable, seen.open_stable, looks.STABLE_MEMORY),
        open_stable=_nothing(seen.shape),
    )


def _remember(memory: Tallies, tallies: Tallies, bad_events: float) -> Tallies:
    kept = np.exp(-tallies.bad / bad_events - tallies.requests / looks.LONGEST_MEMORY)
    return Tallies(kept * memory.requests + tallies.requests, kept * memory.bad + tallies.bad)


def _nothing(shape: tuple[int, ...]) -> Tallies:
    none = np.zeros(shape, int)
    return Tallies(none, none)


def _log_sum(logs: Floats) -> Floats:
    top = logs.max(axis=0)
    total: Floats = top + np.log(np.exp(logs - top).sum(axis=0))
    return total


def _each(record: _Record, change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> _Record:
    """Apply a change of the first axis to every array; bets keep theirs in front."""

    def changed(name: str, value: Any) -> Any:
        if isinstance(value, Purses):
            return _each(value, change)
        if isinstance(value, Tallies):
            return _each(value, change)
        return np.stack([change(bet) for bet in value]) if name == "bets" else change(value)

    return replace(record, **{part.name: changed(part.name, getattr(record, part.name)) for part in fields(record)})


def _either(mask: Flags, there: _Record, here: _Record) -> _Record:
    """Return the one record where the mask is set, the other where it is not."""

    def chosen(a: Any, b: Any) -> Any:
        if a is b:
            return a
        return _either(mask, a, b) if isinstance(a, Purses | Tallies) else np.where(mask, a, b)

    if mask.all():
        return there
    parts = (part.name for part in fields(here))
    return replace(here, **{name: chosen(getattr(there, name), getattr(here, name)) for name in parts})
