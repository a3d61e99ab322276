"""Whether a retrained model may take the place of the one that serves: both answered the same rows. Pure.

The difference between two models on one row depends on that row, so rows are compared in pairs: what is drawn again and
again is rows with the answers of both (a paired bootstrap), and whole days of them, since flights of one stormy day are
no independent witnesses. B. Efron, R. Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 8 and 13.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.contract.errors import InvalidInput
from tidegate_pipeline.training_setup import LARGER_IS_BETTER

Numbers = NDArray[np.float64]
Places = NDArray[np.intp]

#: Of one comparison; the same rows give the same verdict.
_DRAWS, _SEED = 2_000, 20_13
#: Days of which fewer say nothing of how days differ.
LEAST_DAYS = 10
#: Nearest to 0 and 1 that a probability counts as, in a log loss.
_LEAST = 1e-15


class Verdict(StrEnum):
    """What a comparison says."""

    PASS = "pass"  # noqa: S105 (no password)
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Policy:
    """What the challenger has to show.

    Attributes:
        metric: "auc", "logloss", "rmse" or "mae".
        may_be_worse_by: in units of the metric; 0: it has to be better.
        alpha: the chance that one who is worse than that passes.
        min_rows: of which fewer say nothing.
        by_day: days are what is drawn, not rows.
    """

    metric: str
    may_be_worse_by: float = 0.0
    alpha: float = 0.05
    min_rows: int = 500
    by_day: bool = True


@dataclass(frozen=True)
class Paired:
    """Rows with what came of them and what both models answered.

    Attributes:
        truth: the number, or the place of the class.
        stable, challenger: numbers, or the probability of each class, of shape (rows, classes).
        days: which one each row is of, from 0; each row one of its own where rows are drawn.
    """

    truth: NDArray[Any]
    stable: Numbers
    challenger: Numbers
    days: Places

    @property
    def rows(self) -> int:
        return len(self.truth)


@dataclass(frozen=True)
class Evaluation:
    """How a challenger compares with stable.

    Attributes:
        stable, challenger: the metric of each; None where it is not defined for these rows.
        worse_by: how much worse the challenger is, less than 0 where it is better.
        interval: of that; below its first, and above its second end the truth lies with a chance of alpha each.
        drawn: what was drawn, "day" or "row", and of how many.
        why: a sentence.
    """

    verdict: Verdict
    metric: str
    stable: float | None
    challenger: float | None
    worse_by: float | None
    interval: tuple[float, float] | None
    rows: int
    drawn: tuple[str, int]
    why: str

    def as_document(self) -> dict[str, Any]:
        return {
            "verdict": str(self.verdict),
            "metric": self.metric,
            "stable": self.stable,
            "challenger": self.challenger,
            "worseBy": self.worse_by,
            "interval": None if self.interval is None else list(self.interval),
            "rows": self.rows,
            "drawn": {"of": self.drawn[0], "count": self.drawn[1]},
            "why": self.why,
        }


#: Returns a metric of each draw, given how often each day is in it: of shape (draws, days) to (draws,).
_Metric = Callable[[Numbers], Numbers]


def evaluate(pairs: Paired, policy: Policy) -> Evaluation:
    """Compare the challenger with stable.

    Raises:
        InvalidInput: there is no such metric.
    """
    if policy.metric not in METRICS:
        raise InvalidInput(
            "this is no metric of a comparison", subject="metric", expected=", ".join(METRICS), got=policy.metric
        )
    count = int(pairs.days.max()) + 1 if pairs.rows else 0
    drawn = ("day" if policy.by_day else "row", count)

    def said(verdict: Verdict, why: str, *numbers: Any) -> Evaluation:
        stable, challenger, worse, interval = numbers or (None, None, None, None)
        return Evaluation(verdict, policy.metric, stable, challenger, worse, interval, pairs.rows, drawn, why)

    if pairs.rows < policy.min_rows:
        few = f"{pairs.rows:,} fresh rows, and {policy.min_rows:,} are asked for (evaluation.minRows)"
        return said(Verdict.INCONCLUSIVE, few)
    if policy.by_day and count < LEAST_DAYS:
        few = f"fresh rows are of {count} days, of which {LEAST_DAYS} are needed (or evaluation.resample: row)"
        return said(Verdict.INCONCLUSIVE, few)
    make = METRICS[policy.metric]
    of_stable, of_challenger = make(pairs, pairs.stable), make(pairs, pairs.challenger)
    once = np.ones((1, count))
    stable, challenger = float(of_stable(once)[0]), float(of_challenger(once)[0])
    if not np.isfinite([stable, challenger]).all():
        return said(Verdict.INCONCLUSIVE, f"{policy.metric} is not defined for these rows: they are all of one class")
    sign = -1.0 if policy.metric in LARGER_IS_BETTER else 1.0
    worse = sign * (challenger - stable)
    draws = np.random.default_rng(_SEED)
    found = []
    for size in _portions(count):
        times = draws.multinomial(count, np.full(count, 1.0 / count), size=size).astype(np.float64)
        found.append(sign * (of_challenger(times) - of_stable(times)))
    known = np.concatenate(found)
    known = known[np.isfinite(known)]
    low, high = (float(end) for end in np.quantile(known, [policy.alpha, 1.0 - policy.alpha]))
    numbers = stable, challenger, worse, (low, high)
    told = f"{policy.metric} {challenger:.5f} against {stable:.5f} of stable on {pairs.rows:,} fresh rows"
    span = f"{_by(worse)} (between {_by(low)} and {_by(high)}, {1.0 - 2.0 * policy.alpha:.4g} of the draws)"
    allowed = policy.may_be_worse_by
    if high < allowed:
        return said(Verdict.PASS, f"{told}: {span}", *numbers)
    if low > allowed:
        return said(Verdict.FAIL, f"{told}: {span}", *numbers)
    return said(Verdict.INCONCLUSIVE, f"{told}: {span}, which is not clear enough", *numbers)


def _by(worse: float) -> str:
    return f"{abs(worse):.5f} {'worse' if worse > 0 else 'better'}"


def _portions(count: int) -> Sequence[int]:
    """Return how many draws are made at a time, so that they take some ten megabytes, whatever is drawn."""
    size = max(1, min(_DRAWS, 2_000_000 // count))
    whole, rest = divmod(_DRAWS, size)
    return [size] * whole + ([rest] if rest else [])


def _mean(pairs: Paired, loss: Numbers) -> _Metric:
    sums = np.bincount(pairs.days, weights=loss)
    rows = np.bincount(pairs.days).astype(np.float64)

    def metric(times: Numbers) -> Numbers:
        found: Numbers = (times @ sums) / (times @ rows)
        return found

    return metric


def _logloss(pairs: Paired, answers: Numbers) -> _Metric:
    probability = answers[np.arange(pairs.rows), pairs.truth.astype(np.intp)]
    return _mean(pairs, -np.log(np.clip(probability, _LEAST, 1.0)))


def _mae(pairs: Paired, answers: Numbers) -> _Metric:
    return _mean(pairs, np.abs(answers - pairs.truth))


def _rmse(pairs: Paired, answers: Numbers) -> _Metric:
    mean = _mean(pairs, (answers - pairs.truth) ** 2)
    return lambda times: np.sqrt(mean(times))


def _auc(pairs: Paired, answers: Numbers) -> _Metric:
    if answers.shape[1] != 2:
        raise InvalidInput(
            "auc is of two classes",
            subject="evaluation.metric",
            expected="logloss, where there are more",
            got=f"{answers.shape[1]} classes",
        )
    different, group = np.unique(answers[:, 1], return_inverse=True)
    is_positive = pairs.truth.astype(np.float64)

    def one(times: Numbers) -> float:
        weight = times[pairs.days]
        positive = np.bincount(group, weights=weight * is_positive, minlength=len(different))
        negative = np.bincount(group, weights=weight * (1.0 - is_positive), minlength=len(different))
        pairs_of_both = positive.sum() * negative.sum()
        if not pairs_of_both:
            return float("nan")
        below = np.cumsum(negative) - negative / 2.0
        return float((positive * below).sum() / pairs_of_both)

    return lambda times: np.array([one(row) for row in times])


METRICS: dict[str, Callable[[Paired, Numbers], _Metric]] = {
    "auc": _auc,
    "logloss": _logloss,
    "rmse": _rmse,
    "mae": _mae,
}
