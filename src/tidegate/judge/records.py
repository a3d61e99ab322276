"""What the judge is asked and what it answers: plain frozen records, checked when they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

#: `error`: the signals could not be measured, which is no word on the candidate.
Outcome = Literal["pass", "warning", "fail", "inconclusive", "error"]


@dataclass(frozen=True)
class Tally:
    """Requests and how many of them were bad events: the growth since the last look, or a total in reports."""

    requests: int = 0
    bad: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.bad <= self.requests:
            raise ValueError(f"a tally needs 0 <= bad <= requests, got {self.bad} bad of {self.requests} requests")

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.requests + other.requests, self.bad + other.bad)

    @property
    def rate(self) -> float | None:
        """The share of bad requests, or None without requests."""
        return self.bad / self.requests if self.requests else None

    def as_dict(self) -> dict[str, int]:
        return {"requests": self.requests, "bad": self.bad}


NOTHING = Tally()

#: Requests per bin of a distribution.
Counts = tuple[int, ...]


@dataclass(frozen=True)
class SignalPolicy:
    """How one signal is judged.

    Attributes:
        name: of the signal, unique in its policy.
        objective: tolerated rate of bad events, 0 <= x < 1; what the service level promises. At 0 every bad event is
            outside the promise, and the comparison with stable decides alone.
        margin: how much worse than max(stable, objective) a candidate may be and still pass, as a rate in (0, 1).
            A step without a single bad event passes after about log(1/beta)/(objective + margin) requests.
        min_requests: of the candidate in a step, below which it does not pass. Does not hold back a fail.
        tempering: exponent in (0, 1] on every e-factor. 1/k when bad events come in clusters of up to k requests
            (Hölder's inequality keeps an e-process one under any dependence within such clusters).
        patience: a look with more than one bad event counts for 1/patience of what a fail takes at most: 1 lets a
            single look fail a candidate; more where a stall as long as a look is no reason to.
        weight: share of the score that the signal has beside the others, above 0.
        alpha_share: part of the policy's alpha that the signal may spend, in proportion to those of the others, above
            0: the larger, the sooner its harm is found, and the later that of the others.
        is_critical: whether harm on this signal fails the candidate; else it is a warning.
        is_dry_run: whether the signal is shown and counts for nothing.
        holds_back: whether a step waits for the signal; if not, the signal can fail a candidate, and a step passes
            without its word.
        depends_on_inputs: whether what is asked can make an event bad as well as the model can; then the candidate is
            not blamed where it demonstrably sees other requests than stable.
        verb: what the bad requests did, as the reasons say it: "14 of 210 candidate requests *failed*".
    """

    name: str
    objective: float
    margin: float = 0.02
    min_requests: int = 50
    tempering: float = 1.0
    patience: int = 1
    verb: str = "failed"
    weight: float = 1.0
    alpha_share: float = 1.0
    is_critical: bool = True
    is_dry_run: bool = False
    holds_back: bool = True
    depends_on_inputs: bool = False

    @property
    def fails_candidates(self) -> bool:
        return self.is_critical and not self.is_dry_run

    def __post_init__(self) -> None:
        _check_signal(self)
        _within(f"{self.name}: objective", self.objective, 0.0 <= self.objective < 1.0, "0 <= objective < 1")
        _within(f"{self.name}: margin", self.margin, 0.0 < self.margin < 1.0, "0 < margin < 1")
        _within(f"{self.name}: tempering", self.tempering, 0.0 < self.tempering <= 1.0, "0 < tempering <= 1")
        _within(f"{self.name}: patience", self.patience, self.patience >= 1, "patience >= 1")


@dataclass(frozen=True)
class MetricPolicy:
    """How the measurements of a metric with a threshold of the user's own are judged; limits as in Argo Rollouts.

    Attributes:
        name: unique among metrics and signals.
        failure_limit: failed measurements that are borne over the rollout.
        inconclusive_limit: measurements that neither passed nor failed and are borne in a step.
        consecutive_error_limit: errors in a row that are borne.
        successes: measurements that must pass in a step before the step can.
        weight, is_critical, is_dry_run: as of a signal.
    """

    name: str
    failure_limit: int = 0
    inconclusive_limit: int = 0
    consecutive_error_limit: int = 4
    successes: int = 1
    weight: float = 1.0
    is_critical: bool = True
    is_dry_run: bool = False

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a metric needs a name")
        for what in ("failure_limit", "inconclusive_limit", "consecutive_error_limit"):
            _within(f"{self.name}: {what}", getattr(self, what), getattr(self, what) >= 0, f"{what} >= 0")
        _within(f"{self.name}: successes", self.successes, self.successes >= 1, "successes >= 1")
        _within(f"{self.name}: weight", self.weight, self.weight > 0.0, "weight > 0")


@dataclass(frozen=True)
class ShiftPolicy:
    """How a change of distribution is judged (`shift`).

    Attributes:
        name: of the signal, unique in its policy.
        tolerance: total variation distance up to which the candidate's distribution may differ, 0 <= x < 1.
        margin: how much farther it may be and still pass; tolerance + margin is below 1.
        min_requests: of the candidate in a step, below which it does not pass.
        weight, alpha_share, is_critical, is_dry_run, depends_on_inputs: see `SignalPolicy`.
    """

    name: str
    tolerance: float
    margin: float = 0.1
    min_requests: int = 50
    weight: float = 1.0
    alpha_share: float = 1.0
    is_critical: bool = False
    is_dry_run: bool = False
    depends_on_inputs: bool = True

    @property
    def fails_candidates(self) -> bool:
        return self.is_critical and not self.is_dry_run

    def __post_init__(self) -> None:
        _check_signal(self)
        _within(f"{self.name}: tolerance", self.tolerance, 0.0 <= self.tolerance < 1.0, "0 <= tolerance < 1")
        reached = self.tolerance + self.margin
        _within(f"{self.name}: margin", self.margin, self.margin > 0.0 and reached < 1.0, "0 < margin < 1 - tolerance")


def _check_signal(held: SignalPolicy | ShiftPolicy) -> None:
    """Raise ValueError for what no signal may be, whatever it is measured in."""
    if not held.name:
        raise ValueError("a signal needs a name")
    _within(f"{held.name}: min_requests", held.min_requests, held.min_requests >= 1, "min_requests >= 1")
    _within(f"{held.name}: weight", held.weight, held.weight > 0.0, "weight > 0")
    _within(f"{held.name}: alpha_share", held.alpha_share, held.alpha_share > 0.0, "alpha_share > 0")


@dataclass(frozen=True)
class Policy:
    """How a whole rollout is judged.

    Attributes:
        signals: at least one.
        alpha: probability that a healthy candidate is ever failed by a signal, over the whole rollout, all signals
            together, however often one looks.
        metrics: with thresholds of the user's own; `alpha` does not cover them.
        beta: probability that a step ever passes while the candidate is worse than the margin allows.
        shifts: distributions that are signals, too.
        mix: how the requests that candidate and stable see are compared; None for not at all. It fails nobody, and
            takes nothing from alpha.
    """

    signals: tuple[SignalPolicy, ...]
    alpha: float = 0.01
    beta: float = 0.05
    metrics: tuple[MetricPolicy, ...] = ()
    shifts: tuple[ShiftPolicy, ...] = ()
    mix: ShiftPolicy | None = None

    def __post_init__(self) -> None:
        compared = (*self.shifts, self.mix) if self.mix is not None else self.shifts
        names = [signal.name for signal in self.signals] + [shift.name for shift in compared]
        names += [metric.name for metric in self.metrics]
        if not self.signals:
            raise ValueError("a policy needs at least one signal")
        if len(set(names)) != len(names):
            raise ValueError(f"signal names must differ, got {', '.join(names)}")
        _within("alpha", self.alpha, 0.0 < self.alpha < 1.0, "0 < alpha < 1")
        _within("beta", self.beta, 0.0 < self.beta < 1.0, "0 < beta < 1")

    def alpha_of(self, signal: SignalPolicy | ShiftPolicy) -> float:
        """Return the probability that a healthy candidate ever fails on this signal.

        A weighted Bonferroni: the signals of one rollout are dependent in ways that nobody knows. Only those that can
        fail a candidate divide alpha among them; the others are held to as much as if they were one of these.
        """
        judged: list[SignalPolicy | ShiftPolicy] = [*self.signals, *self.shifts]
        shares = sum(each.alpha_share for each in judged if each.fails_candidates)
        return self.alpha * signal.alpha_share / (shares if signal.fails_candidates else shares + signal.alpha_share)


@dataclass(frozen=True)
class Shift:
    """How far the distributions of one output or column lie apart, for people and plots.

    Attributes:
        candidate, stable: requests per bin.
        distance: total variation distance of the two as counted, 0 to 1; chance alone makes it larger than 0.
        bound: the true one is larger with probability at most beta, at whatever time one looks; at most 1.
    """

    feature: str
    bins: tuple[str, ...]
    candidate: Counts
    stable: Counts
    distance: float
    bound: float

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "feature": self.feature,
            "bins": list(self.bins),
            "candidate": list(self.candidate),
            "stable": list(self.stable),
            "distance": round(self.distance, 6),
            "bound": round(self.bound, 6),
        }


@dataclass(frozen=True)
class SignalVerdict:
    """The judgement on one signal.

    Attributes:
        reason: one sentence with the numbers it rests on.
        candidate, stable: the counts in the reason: of this step, or of the whole rollout where a fail rests on
            earlier steps too. `stable` is what the candidate was compared with: concurrent requests, or, where stable
            serves nothing in this step, all that was learnt of it before.
        concurrent: whether `stable` ran beside the candidate in this step.
        candidate_rate, stable_rate: bad share of those counts; None without requests.
        harm: evidence against the candidate as a share of what a fail takes: log e-value over log threshold, the
            smaller of "worse than stable" and "outside the objective"; 0 is none, 1 and above is enough.
        safety: the same for "not worse than the margin allows", in this step; 1 and above is enough.
        log_worse_than_stable, log_outside_objective, log_safe: natural logarithms of the three e-values.
        still_needed: least number of further requests before this signal can pass, all of them good; 0 when unknown
            or when it passes.
        shifts: the distributions that lie farthest apart, of a signal that compares such. Its tallies count the
            requests in the bins that grew most, and its objective is the tolerated distance.
    """

    signal: str
    outcome: Outcome
    reason: str
    candidate: Tally
    stable: Tally
    concurrent: bool
    candidate_rate: float | None
    stable_rate: float | None
    objective: float
    harm: float
    safety: float
    log_worse_than_stable: float
    log_outside_objective: float
    log_safe: float
    still_needed: int = 0
    shifts: tuple[Shift, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `shifts` is there where distributions are compared."""
        shifts = {"shifts": [shift.as_dict() for shift in self.shifts]} if self.shifts else {}
        return {
            **shifts,
            "signal": self.signal,
            "outcome": self.outcome,
            "reason": self.reason,
            "candidate": self.candidate.as_dict(),
            "stable": self.stable.as_dict(),
            "concurrent": self.concurrent,
            "candidate_rate": self.candidate_rate,
            "stable_rate": self.stable_rate,
            "objective": self.objective,
            "harm": self.harm,
            "safety": self.safety,
            "log_worse_than_stable": self.log_worse_than_stable,
            "log_outside_objective": self.log_outside_objective,
            "log_safe": self.log_safe,
            "still_needed": self.still_needed,
        }


@dataclass(frozen=True)
class MetricVerdict:
    """The judgement on one metric with a threshold of the user's own.

    Attributes:
        harm: failures as a share of those that fail the candidate, 0 to 1.
        safety: measurements that passed in this step, as a share of those needed, 0 to 1.
        measurements, failures: over the rollout.
        errors_in_a_row: up to now.
        last: the last measurement in words.
    """

    signal: str
    outcome: Outcome
    reason: str
    harm: float
    safety: float
    measurements: int
    failures: int
    errors_in_a_row: int
    last: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Verdict:
    """The judgement on a candidate: fail if any critical signal fails, pass if all pass, else inconclusive.

    A warning is a pass but for signals that are not critical; an error says that something could not be measured.

    Attributes:
        signals: counted, with a promise about false alarms.
        score: 0 to 100: how far all signals together are from a fail, by their weights; 0 for a fail, None where
            nothing was measured.
        metrics: with thresholds of the user's own.
    """

    outcome: Outcome
    reason: str
    signals: tuple[SignalVerdict, ...]
    score: int | None = 100
    metrics: tuple[MetricVerdict, ...] = ()

    @property
    def said(self) -> tuple[SignalVerdict | MetricVerdict, ...]:
        """Everything that was judged, counted or with a threshold."""
        return (*self.signals, *self.metrics)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "outcome": self.outcome,
            "reason": self.reason,
            "score": self.score,
            "signals": [signal.as_dict() for signal in self.signals],
            "metrics": [metric.as_dict() for metric in self.metrics],
        }


def tally_in(tallies: Mapping[str, Tally], signal: SignalPolicy) -> Tally:
    return tallies.get(signal.name, NOTHING)


def _within(what: str, value: float, holds: bool, wanted: str) -> None:
    if not holds:
        raise ValueError(f"{what} must satisfy {wanted}, got {value}")
