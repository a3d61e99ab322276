"""Simulated traffic of a canary: counts per second, so that every rule sees the very same requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]

SEED = 20_261_123


@dataclass(frozen=True)
class Scenario:
    """A canary at `share` of `rate_per_second` requests; from `onset_seconds` on the candidate fails differently."""

    name: str
    stable: float
    candidate: float
    onset_seconds: int = 0
    rate_per_second: float = 50.0
    share: float = 0.1
    seconds: int = 1_800

    @property
    def harmful(self) -> bool:
        return self.candidate > self.stable


SCENARIOS = (
    Scenario("1 % → 1 %", 0.01, 0.01),
    Scenario("1 % → 3 %", 0.01, 0.03),
    Scenario("1 % → 10 %", 0.01, 0.10),
    Scenario("1 % → 10 % after 15 min", 0.01, 0.10, onset_seconds=900),
)

#: Requests a second for the table at other rates than that of `SCENARIOS`.
RATES = (1.0, 10.0, 1_000.0)


def at_rate(requests_per_second: float) -> tuple[Scenario, ...]:
    """Return a healthy candidate, and ones that are 2, 5 and 10 times as bad as stable."""
    return tuple(
        Scenario(f"{factor}×", 0.01, factor * 0.01, rate_per_second=requests_per_second) for factor in (1, 2, 5, 10)
    )


@dataclass(frozen=True)
class Traffic:
    """Counts of shape (runs, intervals); `seconds` per interval."""

    candidate: Counts
    candidate_bad: Counts
    stable: Counts
    stable_bad: Counts
    seconds: int = 1

    @property
    def runs(self) -> int:
        return int(self.candidate.shape[0])

    def every(self, seconds: int) -> Traffic:
        """Return the same traffic in longer intervals."""

        def summed(counts: Counts) -> Counts:
            return counts.reshape(counts.shape[0], -1, seconds // self.seconds).sum(axis=2)

        return Traffic(
            summed(self.candidate), summed(self.candidate_bad), summed(self.stable), summed(self.stable_bad), seconds
        )

    def some(self, runs: int) -> Traffic:
        """Return the first runs only."""
        return Traffic(
            self.candidate[:runs],
            self.candidate_bad[:runs],
            self.stable[:runs],
            self.stable_bad[:runs],
            self.seconds,
        )


def simulate(scenario: Scenario, runs: int, seed: int) -> Traffic:
    """Return Poisson arrivals and independent failures, per second."""
    rng: Any = np.random.default_rng(seed)
    shape = (runs, scenario.seconds)
    candidate = rng.poisson(scenario.rate_per_second * scenario.share, shape)
    stable = rng.poisson(scenario.rate_per_second * (1.0 - scenario.share), shape)
    fails = np.where(np.arange(scenario.seconds) < scenario.onset_seconds, scenario.stable, scenario.candidate)
    return Traffic(candidate, rng.binomial(candidate, fails), stable, rng.binomial(stable, scenario.stable))
