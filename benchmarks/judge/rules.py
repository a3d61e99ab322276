"""The rules that are compared; each maps traffic to the look that took the candidate back, -1 for never."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from benchmarks.judge.crowds import until_failed
from benchmarks.judge.traffic import Counts, Traffic
from tidegate.judge import Policy, Tally
from tidegate.judge.crowd_bets import Tallies

Looks = npt.NDArray[np.int64]
Rule = Callable[[Traffic], Looks]


def fixed_limit(limit: float, window_seconds: int) -> Rule:
    """Return the rule: the candidate's rate over the last full window is above a limit."""

    def decide(traffic: Traffic) -> Looks:
        width = window_seconds // traffic.seconds
        requests, bad = (_last(counts, width) for counts in (traffic.candidate, traffic.candidate_bad))
        over = bad > limit * requests
        over[:, : width - 1] = False
        return _first(over)

    return decide


def fisher(level: float) -> Rule:
    """Return the rule: Fisher's exact test, one-sided, on all counts so far, at every look."""

    def decide(traffic: Traffic) -> Looks:
        n1, y1, n0, y0 = (
            counts.cumsum(axis=1)
            for counts in (traffic.candidate, traffic.candidate_bad, traffic.stable, traffic.stable_bad)
        )
        return _first(_hypergeometric_tail(n1, y1, n0, y0) < level)

    return decide


def mann_whitney(least_points: int, look_seconds: int = 60) -> Rule:
    """Return Kayenta's rule on the error rates per interval, with its fixed confidence 0.98 and tolerance 0.25.

    High when the lower confidence bound of the Hodges-Lehmann shift is above a quarter of its estimate, and the mean
    ratio is above 1. The bound is the order statistic of the pairwise differences (normal approximation with
    continuity correction) that its root search converges to. Judged once a minute, on all intervals so far.
    """
    z = 2.3263478740408408

    def is_high(candidate: npt.NDArray[np.float64], stable: npt.NDArray[np.float64]) -> bool:
        number = candidate.size
        if candidate.mean() <= stable.mean():
            return False
        differences = np.subtract.outer(candidate, stable).ravel()
        spread = np.sqrt(number * number * (2 * number + 1) / 12.0)
        rank = int(np.floor(number * number / 2.0 - z * spread - 0.5))
        if rank < 0:
            return False
        middle = differences.size // 2
        ordered = np.partition(differences, (rank, middle))
        return bool(ordered[rank] > 0.25 * abs(ordered[middle]))

    def decide(traffic: Traffic) -> Looks:
        step = look_seconds // traffic.seconds
        candidate, stable = (
            bad / np.maximum(requests, 1)
            for bad, requests in (
                (traffic.candidate_bad, traffic.candidate),
                (traffic.stable_bad, traffic.stable),
            )
        )
        decided = np.full(traffic.runs, -1)
        for run in range(traffic.runs):
            for end in range(step, candidate.shape[1] + 1, step):
                if end >= least_points and is_high(candidate[run, :end], stable[run, :end]):
                    decided[run] = end - 1
                    break
        return decided

    return decide


def judged(policy: Policy, baseline: Tally) -> Rule:
    """Return our judge as a rule, on a policy of one signal."""

    def decide(traffic: Traffic) -> Looks:
        columns = (traffic.candidate, traffic.candidate_bad, traffic.stable, traffic.stable_bad)

        def looks() -> Iterator[tuple[Tallies, Tallies]]:
            for at in range(traffic.candidate.shape[1]):
                n1, y1, n0, y0 = (counts[:, at, None] for counts in columns)
                yield Tallies(n1, y1), Tallies(n0, y0)

        known = Tallies(np.array(baseline.requests), np.array(baseline.bad))
        return until_failed(policy, traffic.runs, known, looks())

    return decide


def failed_checks(limit: float, checks: int, check_seconds: int = 60) -> Rule:
    """Return the rule of Flagger and Argo: a limit on the rate of each interval, and so many intervals above it.

    Flagger checks every 60 s and counts failed checks up to its `threshold`; Argo fails with the first measurement
    beyond `failureLimit`, which is 0 unless told otherwise. An interval without requests is no failed check.
    """

    def decide(traffic: Traffic) -> Looks:
        width = check_seconds // traffic.seconds
        requests, bad = (
            _last(counts, width)[:, width - 1 :: width] for counts in (traffic.candidate, traffic.candidate_bad)
        )
        hits = (bad > limit * requests).cumsum(axis=1) >= checks
        found = _first(hits)
        return np.where(found >= 0, (found + 1) * width - 1, -1)

    return decide


def _first(hits: npt.NDArray[np.bool_]) -> Looks:
    return np.where(hits.any(axis=1), hits.argmax(axis=1), -1)


def _last(counts: Counts, width: int) -> Counts:
    total = counts.cumsum(axis=1)
    total[:, width:] -= total[:, :-width].copy()
    return total


def _hypergeometric_tail(n1: Counts, y1: Counts, n0: Counts, y0: Counts) -> npt.NDArray[np.float64]:
    """Return P(Y1 >= y1) given all margins, elementwise (scipy's own takes 0.2 ms for each)."""

    def log_choose(n: Counts, k: Counts) -> npt.NDArray[np.float64]:
        return np.asarray(gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0), dtype=np.float64)

    bad = y1 + y0
    term = np.exp(log_choose(n1, y1) + log_choose(n0, y0) - log_choose(n1 + n0, bad))
    tail, reached = term.copy(), y1.astype(np.float64)
    while term.max() > 1e-9:
        term = term * (n1 - reached) * (bad - reached) / ((reached + 1.0) * (n0 - bad + reached + 1.0))
        reached += 1.0
        tail += term
    return tail
