"""Simulated rollouts for `forecast`: seeded streams of requests, given to the judge look by look.

Arrays of healthy rollouts have the shape (streams, signals); those of worse ones (rates, streams, signals), of which
each element is a rollout that is worse in its own signal alone, while the others are as healthy as in the healthy
rollout of the same stream.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tidegate.judge import crowd
from tidegate.judge.crowd import Crowd, Terms
from tidegate.judge.crowd_bets import Flags, Floats, Tallies

#: Rollouts that are simulated: a median of so many strays by 5 %, a share by 3 points.
STREAMS = 200
#: What has not been seen after this is said never to be.
LONGEST_SECONDS = 7 * 86_400.0
#: Looks grow rarer as time goes by, and a time found is this share of itself too long at most.
COARSEST = 0.05
#: Rollouts that have to be decided before a median, and the time of four out of five, are known.
ENOUGH = 0.85


@dataclass(frozen=True)
class Traffic:
    """What comes in; `stable_rates`: bad rate of stable per signal."""

    requests_per_second: float
    stable_rates: Floats
    look_seconds: float
    baseline_seconds: float


@dataclass(frozen=True)
class Step:
    """A step of healthy rollouts.

    Attributes:
        begun: the evidence at its begin.
        others_pass: per look, whether every signal but this one passes; once a rollout has gone on, True.
        ended: seconds until the rollout went on, or the step's time was up; shape (streams,).
        passed, failed: how the step ended; shape (streams,).
    """

    share: float
    seconds: float
    begun: Crowd
    others_pass: tuple[Flags, ...]
    ended: Floats
    passed: Flags
    failed: Flags

    def of_signals(self, signals: Sequence[int]) -> Step:
        """Return the step as some signals see it."""
        others = tuple(passes[..., list(signals)] for passes in self.others_pass)
        return replace(self, begun=self.begun.of_signals(signals), others_pass=others)


@dataclass(frozen=True)
class Onset:
    """Rollouts that turn worse as a step begins: the time until they fail (infinite: never), and what that cost.

    Of the rates that are not reported only `caught` is known, the share taken back before the step ended.
    """

    seconds: Floats
    bad_answers: Floats
    caught: Flags


@dataclass(frozen=True)
class Ends:
    """How rollouts end, and when, from the candidate's first request on."""

    taken_back: Flags
    waits: Flags
    promoted: Flags
    seconds: Floats
    bad_answers: Floats


def look_times(look_seconds: float, seconds: float) -> list[float]:
    """Return when looks are taken: at every interval at first, then ever rarer, and at the very end."""
    times, now = [], 0.0
    while now < seconds:
        now = min(now + look_seconds * max(1, math.floor(COARSEST * now / look_seconds)), seconds)
        times.append(now)
    return times


class Simulation:
    """Streams of requests from one seed; the order of calls is part of what comes out."""

    def __init__(self, terms: Terms, traffic: Traffic, rng: np.random.Generator) -> None:
        self._terms = terms
        self._traffic = traffic
        self._rng = rng

    def of_signals(self, signals: Sequence[int]) -> Simulation:
        """Return the simulation of some signals alone; it goes on with the same streams."""
        traffic = replace(self._traffic, stable_rates=self._traffic.stable_rates[list(signals)])
        return Simulation(self._terms.some(signals), traffic, self._rng)

    def healthy(self, steps: Sequence[tuple[float, float]]) -> list[Step]:
        """Return the steps, given as share and seconds, of rollouts whose candidate is as good as stable.

        A step that ends without a verdict is followed by the next: somebody said so.
        """
        shape = (STREAMS, len(self._traffic.stable_rates))
        rates = self._traffic.stable_rates
        known = crowd.begin(shape, self._grown(self._traffic.baseline_seconds, 1.0, rates, shape))
        found = []
        for share, seconds in steps:
            begun = known = crowd.begin_step(known)
            others, ended = [], np.full(STREAMS, seconds)
            passed, failed = np.zeros(STREAMS, dtype=bool), np.zeros(STREAMS, dtype=bool)
            before = 0.0
            for now in look_times(self._traffic.look_seconds, seconds):
                going = ~(passed | failed)
                known = self._look(known, now - before, share, rates, going[:, None])
                before = now
                fails, passes = known.fails(self._terms), known.passes(self._terms)
                others.append(passes.sum(axis=-1, keepdims=True) - passes >= passes.shape[-1] - 1)
                failed |= going & fails.any(axis=-1)
                passed |= going & passes.all(axis=-1) & ~failed
                ended = np.where(going & (passed | failed), now, ended)
                if (passed | failed).all():
                    break
            found.append(Step(share, seconds, begun, tuple(others), ended, passed, failed))
        return found

    def onset(self, step: Step, rates: Floats, *, reported: int) -> Onset:
        """Let candidates turn worse as a step begins.

        Args:
            rates: bad rates of shape (rates, signals).
            reported: how many of them, from the first on, are watched for longer than the step.
        """
        known = step.begun.copies(len(rates))
        seconds, bad = np.full(known.shape, np.inf), np.full(known.shape, np.inf)
        left, caught = np.zeros(known.shape, dtype=bool), np.zeros(known.shape, dtype=bool)
        can_fail = (rates > self._traffic.stable_rates) & (rates > self._terms.objective)
        rows, before = np.arange(len(rates)), 0.0
        for nth, planned in enumerate(look_times(self._traffic.look_seconds, max(step.seconds, LONGEST_SECONDS))):
            failed = np.isfinite(seconds)
            in_step = before < step.seconds and not (left | failed).all()
            known_enough = ((failed.mean(axis=1) >= ENOUGH) | ~can_fail).all(axis=1)
            known_enough[reported:] = True
            kept = ~(failed.all(axis=(1, 2)) if in_step else known_enough)[rows]
            rows, known = rows[kept], known.some(kept) if not kept.all() else known
            if not rows.size:
                break
            # A look at the very end of the step, whatever the times of later looks are.
            now = min(planned, step.seconds) if before < step.seconds else planned
            known = self._look(known, now - before, step.share, rates[rows], ~failed[rows], safety=in_step)
            before = now
            fails = known.fails(self._terms) & ~failed[rows]
            seconds[rows] = np.where(fails, now, seconds[rows])
            bad[rows] = np.where(fails, known.step_candidate.bad, bad[rows])
            if in_step:
                caught[rows] |= fails & ~left[rows]
                others = step.others_pass[nth] if nth < len(step.others_pass) else np.array(True)
                left[rows] |= known.passes(self._terms) & ~fails & ~failed[rows] & others
        return Onset(seconds[:reported], bad[:reported], caught)

    def through(self, steps: Sequence[Step], rates: Floats, when_undecided: str) -> Ends:
        """Let candidates that are worse from their first request on go through all steps."""
        # To begin the first step a second time changes nothing: nothing was bet on yet.
        known = steps[0].begun.copies(len(rates))
        none = np.zeros(known.shape, dtype=bool)
        back, waits, elapsed = none.copy(), none.copy(), np.zeros(known.shape)
        for step in steps:
            known = crowd.begin_step(known)
            going, before = ~(back | waits), 0.0
            in_step = going.copy()
            for nth, now in enumerate(look_times(self._traffic.look_seconds, step.seconds)):
                if not in_step.any():
                    break
                known = self._look(known, now - before, step.share, rates, in_step)
                elapsed += np.where(in_step, now - before, 0.0)
                before = now
                others = step.others_pass[nth] if nth < len(step.others_pass) else np.array(True)
                fails = in_step & known.fails(self._terms)
                back |= fails
                in_step &= ~fails & ~(known.passes(self._terms) & others)
            if when_undecided == "pause":
                waits |= in_step
            elif when_undecided == "rollback":
                back |= in_step
        return Ends(back, waits, ~(back | waits), elapsed, known.candidate.bad.astype(np.float64))

    def _look(
        self,
        known: Crowd,
        seconds: float,
        share: float,
        rates: Floats,
        active: Flags,
        *,
        safety: bool = True,
    ) -> Crowd:
        candidate = self._grown(seconds, share, _by_stream(rates), known.shape)
        stable = self._grown(seconds, 1.0 - share, self._traffic.stable_rates, known.shape)
        return crowd.observe(self._terms, known, candidate, stable, active, safety=safety)

    def _grown(self, seconds: float, share: float, rates: Floats, shape: tuple[int, ...]) -> Tallies:
        """Return what one revision answered; all signals and rates of a stream share the requests."""
        expected = self._traffic.requests_per_second * share * seconds
        requests = np.broadcast_to(self._rng.poisson(expected, (shape[-2], 1)), shape)
        return Tallies(requests, self._rng.binomial(requests, np.broadcast_to(rates, shape)))


def ends_of_healthy(steps: Sequence[Step], when_undecided: str) -> Ends:
    """Return how healthy rollouts end; bad answers are not counted for them."""
    back, waits = np.zeros(STREAMS, dtype=bool), np.zeros(STREAMS, dtype=bool)
    elapsed = np.zeros(STREAMS)
    for step in steps:
        going = ~(back | waits)
        elapsed += np.where(going, step.ended, 0.0)
        undecided = going & ~step.passed & ~step.failed
        back |= going & step.failed
        if when_undecided == "pause":
            waits |= undecided
        elif when_undecided == "rollback":
            back |= undecided
    return Ends(back, waits, ~(back | waits), elapsed, np.zeros(STREAMS))


def _by_stream(rates: Floats) -> Floats:
    """Return rates of shape (signals,) or (rates, signals) with an axis for the streams between."""
    return rates if rates.ndim == 1 else rates[:, None, :]
