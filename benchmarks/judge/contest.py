"""The contest: every rule on the same traffic, in several processes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.judge.rules import Rule, failed_checks, fisher, fixed_limit, judged, mann_whitney
from benchmarks.judge.traffic import SCENARIOS, SEED, Scenario, Traffic, simulate
from tidegate.judge import Policy, SignalPolicy, Tally

PARTS = 8

#: A promise so strict that the comparison with stable decides alone, and the default one of 99.9 %.
STABLE_DECIDES = Policy((SignalPolicy("errors", objective=1e-6),), alpha=0.01)
DEFAULT = Policy((SignalPolicy("errors", objective=0.001),), alpha=0.01)
A_MINUTE_OF_STABLE = Tally(3_000, 30)


@dataclass(frozen=True)
class Contender:
    """A rule; `fewer_runs` where the table of rates has to do with fewer, since each takes long."""

    name: str
    rule: Rule
    look_seconds: int = 10
    fewer_runs: bool = False


CONTENDERS = (
    Contender("limit of 2 % over the last minute", fixed_limit(0.02, 60)),
    Contender("Flagger: 5 checks of a minute below 98 %", failed_checks(0.02, 5)),
    Contender("Flagger's default: 5 checks of a minute below 99 %", failed_checks(0.01, 5)),
    Contender("Argo: one measurement of a minute below 95 %", failed_checks(0.05, 1)),
    Contender("Fisher's test at 5 %, at every look", fisher(0.05)),
    Contender("Fisher's test at 1 %, at every look", fisher(0.01)),
    Contender("Kayenta's Mann-Whitney rule, from 12 points on", mann_whitney(12), fewer_runs=True),
    Contender("Kayenta's Mann-Whitney rule, from 50 points on", mann_whitney(50), fewer_runs=True),
    Contender("Tidegate, nothing known of stable", judged(STABLE_DECIDES, Tally())),
    Contender("Tidegate, after a minute of stable", judged(STABLE_DECIDES, A_MINUTE_OF_STABLE)),
    Contender("Tidegate, default objective of 0.1 %", judged(DEFAULT, A_MINUTE_OF_STABLE)),
    Contender("Tidegate, default, a look every second", judged(DEFAULT, A_MINUTE_OF_STABLE), look_seconds=1),
)


def measured(number: int, runs: int, pool: Executor, scenarios: Sequence[Scenario] = SCENARIOS) -> dict[str, Any]:
    """Return how one rule, given by its number, did in all scenarios; every rule sees the same traffic."""
    contender, results = CONTENDERS[number], {}
    for seed, scenario in enumerate(scenarios, SEED):
        traffic = simulate(scenario, runs, seed)
        looks = np.concatenate(list(pool.map(_decided, [number] * PARTS, _parts(traffic, PARTS))))
        results[scenario.name] = summary(scenario, traffic, looks, contender.look_seconds)
    return {"rule": contender.name, "runs": runs, "look_seconds": contender.look_seconds, "scenarios": results}


def _decided(number: int, traffic: Traffic) -> Any:
    contender = CONTENDERS[number]
    return contender.rule(traffic.every(contender.look_seconds))


def _parts(traffic: Traffic, number: int) -> Iterator[Traffic]:
    columns = (traffic.candidate, traffic.candidate_bad, traffic.stable, traffic.stable_bad)
    for part in zip(*(np.array_split(counts, number) for counts in columns), strict=True):
        yield Traffic(*part, traffic.seconds)


def summary(scenario: Scenario, traffic: Traffic, looks: Any, look_seconds: int) -> dict[str, Any]:
    """Return rates and medians; times and failed requests count from the onset of harm."""
    ends = (looks + 1) * look_seconds
    early = (looks >= 0) & (ends <= scenario.onset_seconds if scenario.harmful else looks >= 0)
    caught = (looks >= 0) & ~early
    result: dict[str, Any] = {"false_rollbacks": int(early.sum()), "false_rollback_rate": float(early.mean())}
    if not scenario.harmful:
        return result
    seconds = np.where(caught, ends - scenario.onset_seconds, np.inf)[~early]
    failed = np.where(
        np.arange(traffic.candidate_bad.shape[1]) >= scenario.onset_seconds, traffic.candidate_bad, 0
    ).cumsum(axis=1)
    until = failed[np.arange(traffic.runs), np.where(looks >= 0, ends - 1, -1)][~early]
    return result | {
        "caught_rate": float(caught.sum() / max(1, (~early).sum())),
        "median_seconds": _finite(np.quantile(seconds, 0.5, method="inverted_cdf")) if seconds.size else None,
        "p90_seconds": _finite(np.quantile(seconds, 0.9, method="inverted_cdf")) if seconds.size else None,
        "median_failed_requests": float(np.median(until)) if until.size else None,
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
