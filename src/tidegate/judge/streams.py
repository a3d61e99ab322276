"""Simulated rollouts for `forecast`: seeded streams of requests, given to the judge look by look.

Arrays of healthy rollouts have the shape (streams, signals); those of worse ones (rates, streams, signals), of which
each element is a rollout that is worse in its own signal alone, while the others are as healthy as in the healthy
rollout of the same stream.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tidegate.judge import crowd
from tidegate.judge.crowd import Crowd, Terms
from tidegate.judge.crowd_bets import Flags, Floats, Tallies

Until = Literal["pass", "time", "person"]

#: Rollouts that are simulated: a median of so many strays by some per cent, a share by 2 points.
STREAMS = 500
#: What has not been seen after this is said never to be.
LONGEST_SECONDS = 7 * 86_400.0
#: Looks grow rarer as time goes by, and a time found is this share of itself too long at most.
COARSEST = 0.05
#: Rollouts that have to be decided before a median, and the time of four out of five, are known.
ENOUGH = 0.85


@dataclass(frozen=True)
class Traffic:
    """What comes in; arrays have the shape (signals,).

    Attributes:
        healthy_rates: bad rate of a healthy candidate.
        stable_rates: bad rate of stable.
        only_copied: whether a signal is measured on copied requests alone, each answered by both revisions.
    """

    requests_per_second: float
    healthy_rates: Floats
    stable_rates: Floats
    only_copied: Flags
    look_seconds: float
    baseline_seconds: float

    def some(self, signals: Sequence[int]) -> Traffic:
        chosen = list(signals)
        return replace(
            self,
            healthy_rates=self.healthy_rates[chosen],
            stable_rates=self.stable_rates[chosen],
            only_copied=self.only_copied[chosen],
        )


@dataclass(frozen=True)
class Stage:
    """A step as the engine goes through it.

    Attributes:
        share: of the requests that the candidate answers, from 0 to 1.
        seconds: the longest that the judge gets (until `pass`), or how long it is held (`time`); meaningless where a
            person ends it.
        until: what ends it well. Harm takes the candidate back in every one.
        mirror: share of the requests that are copied to a candidate that answers none, whose answers nobody gets.
        elsewhere: share of the requests that neither of the two answers: those of an A/B test's other arms.
    """

    share: float
    seconds: float
    until: Until = "pass"
    mirror: float = 0.0
    elsewhere: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0 or not 0.0 <= self.mirror <= 1.0 or (self.share and self.mirror):
            raise ValueError(f"a stage needs a share or a mirror from 0 to 1, got {self.share} and {self.mirror}")
        if not 0.0 <= self.elsewhere <= 1.0 - self.share:
            raise ValueError(f"a stage shares out all requests once, got {self.share} and {self.elsewhere} elsewhere")
        if not self.seconds > 0.0 and self.until != "person":
            raise ValueError(f"a stage needs seconds > 0, got {self.seconds}")

    @property
    def has_requests(self) -> bool:
        return self.share > 0.0 or self.mirror > 0.0

    @property
    def stable_share(self) -> float:
        """Share of the requests that stable answers."""
        return 1.0 - self.share - self.elsewhere

    @property
    def in_rollout(self) -> float:
        """Seconds in a rollout at most; a person is thought to be quick."""
        return 0.0 if self.until == "person" else self.seconds


@dataclass(frozen=True)
class Step:
    """A stage of healthy rollouts.

    Attributes:
        begun: the evidence at its begin.
        others_pass: per look, whether every signal but this one passes; once a rollout has gone on, True.
        ended: seconds until the rollout went on, or the step's time was up; shape (streams,).
        passed, failed: how the step ended; shape (streams,).
    """

    stage: Stage
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
    users_hit: Floats
    caught: Flags


@dataclass(frozen=True)
class Ends:
    """How rollouts end, and when, from the candidate's first request on."""

    taken_back: Flags
    waits: Flags
    promoted: Flags
    seconds: Floats
    users_hit: Floats


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
        return Simulation(self._terms.some(signals), self._traffic.some(signals), self._rng)

    def healthy(self, stages: Sequence[Stage]) -> list[Step]:
        """Return the steps of rollouts whose candidate is healthy.

        A step that ends without a verdict is followed by the next: somebody said so.
        """
        shape = (STREAMS, len(self._traffic.stable_rates))
        known = crowd.begin(shape, self._baseline(shape))
        found = []
        for stage in stages:
            begun = known = crowd.begin_step(known)
            others, ended = [], np.full(STREAMS, stage.in_rollout)
            passed, failed = np.zeros(STREAMS, dtype=bool), np.zeros(STREAMS, dtype=bool)
            before = 0.0
            for now in look_times(self._traffic.look_seconds, stage.in_rollout):
                going = ~(passed | failed)
                known = self._look(known, now - before, stage, self._traffic.healthy_rates, going[:, None])
                before = now
                fails, passes = known.fails(self._terms), self._passes(known, stage)
                others.append(passes.sum(axis=-1, keepdims=True) - passes >= passes.shape[-1] - 1)
                failed |= going & fails.any(axis=-1)
                if stage.until == "pass":
                    passed |= going & passes.all(axis=-1) & ~failed
                ended = np.where(going & (passed | failed), now, ended)
                if (passed | failed).all():
                    break
            if stage.until != "pass":
                passed = ~failed
            found.append(Step(stage, begun, tuple(others), ended, passed, failed))
        return found

    def onset(self, step: Step, rates: Floats, *, reported: int) -> Onset:
        """Let candidates turn worse as a step begins.

        Args:
            rates: bad rates of shape (rates, signals).
            reported: how many of them, from the first on, are watched for longer than the step.
        """
        stage, lasting = step.stage, LONGEST_SECONDS if step.stage.until == "person" else step.stage.seconds
        known = step.begun.copies(len(rates))
        seconds, bad = np.full(known.shape, np.inf), np.full(known.shape, np.inf)
        left, caught = np.zeros(known.shape, dtype=bool), np.zeros(known.shape, dtype=bool)
        if not stage.has_requests:
            return Onset(seconds[:reported], bad[:reported], caught)
        can_fail = (rates > self._traffic.stable_rates) & (rates > self._terms.objective) & self._measured(stage)
        rows, before = np.arange(len(rates)), 0.0
        for nth, planned in enumerate(look_times(self._traffic.look_seconds, max(lasting, LONGEST_SECONDS))):
            failed = np.isfinite(seconds)
            in_step = before < lasting and not (left | failed).all()
            known_enough = ((failed.mean(axis=1) >= ENOUGH) | ~can_fail).all(axis=1)
            known_enough[reported:] = True
            watched = in_step and stage.until != "person"
            kept = ~(failed.all(axis=(1, 2)) if watched else known_enough)[rows]
            rows, known = rows[kept], known.some(kept) if not kept.all() else known
            if not rows.size:
                break
            # A look at the very end of the step, whatever the times of later looks are.
            now = min(planned, lasting) if before < lasting else planned
            can_pass = in_step and stage.until == "pass"
            known = self._look(known, now - before, stage, rates[rows], ~failed[rows], safety=can_pass)
            before = now
            fails = known.fails(self._terms) & ~failed[rows]
            seconds[rows] = np.where(fails, now, seconds[rows])
            users = known.step_candidate.bad if stage.share else np.zeros(known.shape)
            bad[rows] = np.where(fails, users, bad[rows])
            if in_step:
                caught[rows] |= fails & ~left[rows]
            if can_pass:
                others = step.others_pass[nth] if nth < len(step.others_pass) else np.array(True)
                left[rows] |= self._passes(known, stage) & ~fails & ~failed[rows] & others
        return Onset(seconds[:reported], bad[:reported], caught)

    def through(self, steps: Sequence[Step], rates: Floats, when_undecided: str) -> Ends:
        """Let candidates that are worse from their first request on go through all steps."""
        # To begin the first step a second time changes nothing: nothing was bet on yet.
        known = steps[0].begun.copies(len(rates))
        none = np.zeros(known.shape, dtype=bool)
        back, waits, elapsed, users = none.copy(), none.copy(), np.zeros(known.shape), np.zeros(known.shape)
        for step in steps:
            stage = step.stage
            known = crowd.begin_step(known)
            going, before = ~(back | waits), 0.0
            in_step = going.copy()
            for nth, now in enumerate(look_times(self._traffic.look_seconds, stage.in_rollout)):
                if not in_step.any():
                    break
                known = self._look(known, now - before, stage, rates, in_step)
                elapsed += np.where(in_step, now - before, 0.0)
                before = now
                others = step.others_pass[nth] if nth < len(step.others_pass) else np.array(True)
                fails = in_step & known.fails(self._terms)
                back |= fails
                in_step &= ~fails
                if stage.until == "pass":
                    in_step &= ~(self._passes(known, stage) & others)
            if stage.share:
                users += known.step_candidate.bad
            if stage.until == "pass" and when_undecided == "pause":
                waits |= in_step
            elif stage.until == "pass" and when_undecided == "rollback":
                back |= in_step
        return Ends(back, waits, ~(back | waits), elapsed, users)

    def _look(
        self,
        known: Crowd,
        seconds: float,
        stage: Stage,
        rates: Floats,
        active: Flags,
        *,
        safety: bool = True,
    ) -> Crowd:
        """Take a look; all signals and rates of a stream share the requests, and copies are answered by both."""
        shape = known.shape
        tried = np.where(self._measured(stage), self._requests(seconds, stage.share or stage.mirror, shape), 0)
        beside = np.where(self._traffic.only_copied, tried, self._requests(seconds, stage.stable_share, shape))
        candidate, stable = self._answered(tried, _by_stream(rates)), self._answered(beside, self._traffic.stable_rates)
        merged = max(1, round(seconds / self._traffic.look_seconds))
        return crowd.observe(self._terms, known, candidate, stable, active, safety=safety, merged=merged)

    def _baseline(self, shape: tuple[int, int]) -> Tallies:
        """Return the baseline of every stream: by chance, but all of them together as they should be.

        Where nothing of stable comes later, what the baseline happens to hold decides whether harm is found in seconds
        or in hours, so each stream takes another rank of as many draws.
        """
        requests = self._requests(self._traffic.baseline_seconds, 1.0, shape)
        requests = np.where(self._traffic.only_copied, 0, requests)
        drawn = np.sort(self._rng.binomial(requests, self._traffic.stable_rates, (shape[0], *shape)), axis=0)
        ranks = self._rng.permuted(np.broadcast_to(np.arange(shape[0])[:, None], shape), axis=0)
        return Tallies(requests, np.take_along_axis(drawn, ranks[None], axis=0)[0])

    def _requests(self, seconds: float, share: float, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        expected = self._traffic.requests_per_second * share * seconds
        return np.broadcast_to(self._rng.poisson(expected, (shape[-2], 1)), shape)

    def _answered(self, requests: npt.NDArray[Any], rates: Floats) -> Tallies:
        return Tallies(requests, self._rng.binomial(requests, np.broadcast_to(rates, requests.shape)))

    def _measured(self, stage: Stage) -> Flags:
        """Return which signals a stage measures."""
        return ~self._traffic.only_copied | (stage.mirror > 0.0)

    def _passes(self, known: Crowd, stage: Stage) -> Flags:
        """Return which signals do not hold a rollout back."""
        return known.passes(self._terms) | ~self._measured(stage)


def ends_of_healthy(steps: Sequence[Step], when_undecided: str) -> Ends:
    """Return how healthy rollouts end; users who are hit are not counted for them."""
    back, waits = np.zeros(STREAMS, dtype=bool), np.zeros(STREAMS, dtype=bool)
    elapsed = np.zeros(STREAMS)
    for step in steps:
        going = ~(back | waits)
        elapsed += np.where(going, step.ended, 0.0)
        undecided = going & ~step.passed & ~step.failed  # only in stages that wait for a pass
        back |= going & step.failed
        if when_undecided == "pause":
            waits |= undecided
        elif when_undecided == "rollback":
            back |= undecided
    return Ends(back, waits, ~(back | waits), elapsed, np.zeros(STREAMS))


def _by_stream(rates: Floats) -> Floats:
    """Return rates of shape (signals,) or (rates, signals) with an axis for the streams between."""
    return rates if rates.ndim == 1 else rates[:, None, :]
