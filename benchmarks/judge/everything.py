"""Healthy rollouts judged by every signal that alpha covers, all at once: what false rollbacks they come to.

A step in which requests are copied, then the usual ones. What is measured in which of them is what `trial.rules.idle`
says: answers are compared while requests are copied, outcomes are those of whom the users met, and predictions lie
beside stable's where both have some. Metrics with a threshold are not in it: alpha does not cover them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.judge.crowds import until_failed
from benchmarks.judge.traffic import SEED
from tidegate.judge import Policy, ShiftPolicy, SignalPolicy, shift
from tidegate.judge.crowd_bets import Tallies
from tidegate.trial.bins import QUANTILES
from tidegate.trial.rules import ALPHA_SHARES, LATENCY_PATIENCE, PREDICTIONS, idle

NAME = "everything: errors, latency, rejections, disagreement, outcomes, a counted metric, predictions"
#: Of either revision in every counted signal, above the objective: the comparison alone protects the candidate.
RATE, OBJECTIVE = 0.01, 0.001
#: A candidate that does harm is so many times as bad.
HARM = 10.0
#: Share that is copied, and share that the candidate gets of the users, of each step.
STEPS, STEP_SECONDS = ((1.0, 0.0), (0.0, 0.05), (0.0, 0.25), (0.0, 0.5), (0.0, 1.0)), 300
#: Requests a second of either revision whose predictions are counted at most, as in production.
COUNTED_PER_SECOND = 200.0

DISAGREEMENT = "disagreement"
POLICY = Policy(
    (
        SignalPolicy("errors", OBJECTIVE, alpha_share=ALPHA_SHARES["errors"]),
        SignalPolicy("latency", OBJECTIVE, patience=LATENCY_PATIENCE, alpha_share=ALPHA_SHARES["latency"]),
        SignalPolicy("rejections", OBJECTIVE),
        # Stable never disagrees with itself: a healthy candidate does as often as is tolerated.
        SignalPolicy(DISAGREEMENT, RATE),
        SignalPolicy("outcomes", OBJECTIVE),
        SignalPolicy("a counted metric", OBJECTIVE),
    ),
    # No distance is tolerated, and both are alike: the hardest case.
    shifts=(ShiftPolicy(PREDICTIONS, 0.0, is_critical=True),),
)
#: Of predictions: what lies between the cuts that are made of stable's, and none that are missing.
_PARTS = (*np.diff((0.0, *QUANTILES, 1.0)), 0.0)
#: The lower half of the bins instead of all.
_OTHERWISE = (*(2.0 * part for part in _PARTS[:7]), *(0.0 for _ in _PARTS[7:]))
_NAMES = tuple(f"bin {number}" for number in range(len(_PARTS)))


@dataclass(frozen=True)
class Everything:
    """Rollouts of a candidate that is as good as stable.

    Attributes:
        part: has another seed than the other parts.
        harm_in: a signal in which the candidate is far worse all the same, to see that this would be seen.
    """

    requests_per_second: float
    runs: int
    part: int = 0
    harm_in: str | None = None

    def measure(self) -> dict[str, Any]:
        rng = np.random.default_rng((SEED, 4, int(self.requests_per_second), self.part))
        counted = self._counted(rng) >= 0
        shifted = np.array([self._is_shifted(rng) for _ in range(self.runs)])
        failed = counted | shifted
        return {
            "signals": NAME,
            "requests_per_second": self.requests_per_second,
            "runs": self.runs,
            "false_rollbacks": int(failed.sum()),
            "of_predictions": int(shifted.sum()),
            "rate": float(failed.mean()),
        }

    def _counted(self, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Return the look at which a counted signal failed each rollout, -1 for never."""
        names = [signal.name for signal in POLICY.signals]
        shape = (self.runs, len(names))
        rates = np.where([name == self.harm_in for name in names], HARM * RATE, RATE)
        never = np.array([name == DISAGREEMENT for name in names])

        def grown(rate: float, bad: Any, measured: Any) -> Tallies:
            requests = np.where(measured, rng.poisson(rate, (self.runs, 1)), 0)
            return Tallies(requests, rng.binomial(requests, bad))

        def looks() -> Iterator[tuple[Tallies, Tallies] | None]:
            for number, (copied, share) in enumerate(STEPS):
                if number:
                    yield None
                measured = np.array([name not in idle(mirror=100 * copied, weight=100 * share) for name in names])
                for _ in range(STEP_SECONDS):
                    candidate = grown(self.requests_per_second * (share or copied), rates, measured)
                    beside = grown(self.requests_per_second * (1.0 - share), RATE, measured & ~never)
                    # A copied request is one that stable answered, and it agrees with itself.
                    yield candidate, _with(beside, never, candidate.requests)

        known = grown(60.0 * self.requests_per_second, RATE, np.broadcast_to(~never, shape))
        return until_failed(POLICY, self.runs, known, looks())

    def _is_shifted(self, rng: np.random.Generator) -> bool:
        """Tell whether predictions ever fail one rollout, looked at every second."""
        held = POLICY.shifts[0]
        alpha = POLICY.alpha_of(held)
        features: dict[str, shift.Feature] = {PREDICTIONS: shift.Feature.begin(_NAMES)}
        for copied, share in STEPS:
            features = shift.begin_step(features)
            if PREDICTIONS in idle(mirror=100 * copied, weight=100 * share):
                continue
            rates = (self.requests_per_second * part for part in (share, 1.0 - share))
            parts = _OTHERWISE if self.harm_in == PREDICTIONS else _PARTS, _PARTS
            sides = [_binned(rng, min(rate, COUNTED_PER_SECOND), of) for rate, of in zip(rates, parts, strict=True)]
            for one, other in zip(*sides, strict=True):
                grown = {PREDICTIONS: tuple(one)}, {PREDICTIONS: tuple(other)}
                features = shift.observe(held, features, *grown, alpha=alpha)
                if shift.log_evidence(features) >= shift.fail_threshold(alpha):
                    return True
        return False


def _binned(rng: np.random.Generator, rate: float, parts: Sequence[float]) -> list[list[int]]:
    """Return counts per bin for every second of a step."""
    found: list[list[int]] = rng.multinomial(rng.poisson(rate, STEP_SECONDS), parts).tolist()
    return found


def _with(stable: Tallies, chosen: npt.NDArray[np.bool_], requests: npt.NDArray[np.int64]) -> Tallies:
    return Tallies(np.where(chosen, requests, stable.requests), np.where(chosen, 0, stable.bad))


def together(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row per rate of the parts that were simulated."""
    rows = []
    for rate in dict.fromkeys(part["requests_per_second"] for part in parts):
        these = [part for part in parts if part["requests_per_second"] == rate]
        summed = {key: sum(part[key] for part in these) for key in ("runs", "false_rollbacks", "of_predictions")}
        rows.append({**these[0], **summed, "rate": summed["false_rollbacks"] / summed["runs"]})
    return rows
