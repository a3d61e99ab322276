"""What a rollout will see before it begins: the judge itself, run on seeded streams of simulated requests. Pure.

    told = forecast(Setting(policy, stages, requests_per_second=50.0, baseline_rates={"errors": 0.001}))

Requests are Poisson, bad events independent, stable at its baseline rate throughout. Every number comes from rollouts
that `crowd` judged, so thresholds, bets, blocks, patience and tempering are those of production; figures are medians
of `streams.STREAMS` rollouts and stray by a few per cent. The same setting gives the same forecast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tidegate.judge import streams
from tidegate.judge.crowd import Terms
from tidegate.judge.crowd_bets import Floats
from tidegate.judge.records import Policy
from tidegate.judge.streams import Stage, Until

#: The regressions that are told of, as multiples of the baseline's bad rate.
FACTORS = (2.0, 5.0, 10.0)
#: A step detects what it takes back in this share of rollouts.
DETECTS = 0.8
#: Where the times of rollouts lie further apart than so many times between two of five and three of five, their median
#: hangs on single requests: of a baseline too short to tell, say, with nothing of stable after it.
UNSURE = 3.0
#: Rates that are tried for the smallest regression that a step detects, besides `FACTORS`.
_TRIED_RATES = 9
_LEAST_OVER_EDGE = 1.25
_MOST_RATE = 0.95

WhenUndecided = Literal["pause", "rollback", "continue"]


@dataclass(frozen=True)
class Setting:
    """All that a forecast depends on.

    Attributes:
        requests_per_second: of both revisions together.
        baseline_rates: bad rate per signal of the policy, each in [0, 1]: stable's and that of a healthy candidate.
        only_copied: signals that are measured on copied requests alone, in which stable is never bad: that a healthy
            candidate disagrees with it, say.
        baseline_seconds: how long stable alone is watched before the first stage.
        look_seconds: time between two looks.
        when_undecided: what happens when a stage's time is up without a verdict.
        seed: of the simulated streams.
    """

    policy: Policy
    stages: tuple[Stage, ...]
    requests_per_second: float
    baseline_rates: Mapping[str, float]
    baseline_seconds: float = 5.0
    look_seconds: float = 1.0
    when_undecided: WhenUndecided = "pause"
    only_copied: frozenset[str] = frozenset()
    seed: int = 20_261_128

    def __post_init__(self) -> None:
        if not any(stage.has_requests for stage in self.stages):
            raise ValueError("a forecast needs at least one stage with requests")
        if not self.requests_per_second > 0.0 or not self.look_seconds > 0.0 or not self.baseline_seconds >= 0.0:
            raise ValueError("a forecast needs requests_per_second > 0, look_seconds > 0 and baseline_seconds >= 0")
        for signal in self.policy.signals:
            rate = self.baseline_rates.get(signal.name)
            if rate is None or not 0.0 <= rate <= 1.0:
                raise ValueError(f"{signal.name}: a forecast needs a baseline rate from 0 to 1, got {rate}")


@dataclass(frozen=True)
class Regression:
    """A candidate that is worse from the beginning of a step on, after healthy steps before it.

    Attributes:
        factor: its bad rate as a multiple of stable's.
        rate: the bad rate itself, 1 at most.
        harmful: whether that is harm at all: above stable's rate and above the objective.
        seconds: median time until the judge fails it if the step's split stays for as long as that takes; None: more
            than `streams.LONGEST_SECONDS`, or never, or so unsure that `between` is told instead.
        between: the times of two and of three rollouts of five, where these lie more than `UNSURE` times apart (the
            second None: more than `streams.LONGEST_SECONDS`, or never); None elsewhere.
        likely_seconds: the same for four rollouts of five.
        users_hit: median number of the candidate's bad answers that users got until then; 0 for copied requests; None
            without `seconds`.
        caught: share of rollouts that are taken back before the step ends, by a pass or because its time is up; None
            where a person ends it.
    """

    factor: float
    rate: float
    harmful: bool
    seconds: float | None
    between: tuple[float, float | None] | None
    likely_seconds: float | None
    users_hit: float | None
    caught: float | None


@dataclass(frozen=True)
class SignalForecast:
    """What a step sees in one signal.

    Attributes:
        smallest_rate: the least bad rate that the step detects; None if it detects none, or a person ends it.
    """

    signal: str
    baseline_rate: float
    objective: float
    smallest_rate: float | None
    regressions: tuple[Regression, ...]


@dataclass(frozen=True)
class StepForecast:
    """One step.

    Attributes:
        seconds: its time at most, or the time that it is held; None where a person ends it.
        signals: those that are measured in it.
        passes: share of healthy candidates that pass it by themselves.
        pass_seconds: median time to that; None when fewer than half do.
    """

    share: float
    seconds: float | None
    until: Until
    mirror: float
    candidate_requests_per_second: float
    passes: float
    pass_seconds: float | None
    signals: tuple[SignalForecast, ...]


@dataclass(frozen=True)
class WholeRollout:
    """A candidate that is worse in one signal from its first request on, through all steps.

    Attributes:
        taken_back, waits, promoted: how rollouts end, as shares; `waits` for a person at the first undecided step.
        seconds: median time from its first request to the rollback, of those that are taken back; None without any.
        users_hit: expected number of the candidate's bad answers that users got until the rollout ends or waits.
    """

    signal: str
    factor: float
    rate: float
    harmful: bool
    taken_back: float
    waits: float
    promoted: float
    seconds: float | None
    users_hit: float


@dataclass(frozen=True)
class Forecast:
    """What is to be expected of a rollout.

    Attributes:
        promoted, waits, taken_back: how rollouts of healthy candidates end, as shares.
        steps: those in which requests reach the candidate.
        promotion_seconds: median time from the baseline's begin to full promotion, of those that are promoted; None
            when fewer than half are. A person who is waited for is thought to be quick.
        streams: how many rollouts were simulated for each number.
    """

    requests_per_second: float
    steps: tuple[StepForecast, ...]
    rollouts: tuple[WholeRollout, ...]
    promoted: float
    waits: float
    taken_back: float
    promotion_seconds: float | None
    streams: int = streams.STREAMS


def forecast(setting: Setting) -> Forecast:
    """Return what the judge will see; takes seconds of computing."""
    table = _rates(setting)
    traffic = streams.Traffic(
        requests_per_second=setting.requests_per_second,
        healthy_rates=table.baseline,
        stable_rates=table.stable,
        only_copied=np.array([signal.name in setting.only_copied for signal in setting.policy.signals]),
        look_seconds=setting.look_seconds,
        baseline_seconds=setting.baseline_seconds,
    )
    simulated = streams.Simulation(Terms.of(setting.policy), traffic, np.random.default_rng(setting.seed))
    healthy = simulated.healthy(setting.stages)
    signals = _distinct(setting)
    chosen = sorted(set(signals))
    apart, tried = simulated.of_signals(chosen), table.tried[:, chosen]
    column = [chosen.index(first) for first in signals]
    steps = []
    for stage, step in zip(setting.stages, healthy, strict=True):
        if not stage.has_requests:
            continue
        onset = apart.onset(step.of_signals(chosen), tried, reported=len(FACTORS))
        steps.append(
            StepForecast(
                share=stage.share,
                seconds=None if stage.until == "person" else stage.seconds,
                until=stage.until,
                mirror=stage.mirror,
                candidate_requests_per_second=setting.requests_per_second * (stage.share or stage.mirror),
                passes=float(step.passed.mean()),
                pass_seconds=_quantile(np.where(step.passed, step.ended, np.inf), 0.5),
                signals=tuple(
                    _signal(setting, stage, table, (onset, column[at]), at)
                    for at, signal in enumerate(setting.policy.signals)
                    if stage.mirror or signal.name not in setting.only_copied
                ),
            )
        )
    of_chosen = [step.of_signals(chosen) for step in healthy]
    whole = apart.through(of_chosen, tried[: len(FACTORS)], setting.when_undecided)
    of_healthy = streams.ends_of_healthy(healthy, setting.when_undecided)
    seconds = setting.baseline_seconds + of_healthy.seconds
    return Forecast(
        requests_per_second=setting.requests_per_second,
        steps=tuple(steps),
        rollouts=tuple(
            _whole(setting, table, (whole, column[at]), at, nth)
            for at in range(len(signals))
            for nth in range(len(FACTORS))
        ),
        promoted=float(of_healthy.promoted.mean()),
        waits=float(of_healthy.waits.mean()),
        taken_back=float(of_healthy.taken_back.mean()),
        promotion_seconds=_quantile(np.where(of_healthy.promoted, seconds, np.inf), 0.5),
    )


def _distinct(setting: Setting) -> list[int]:
    """Return for each signal the first one that is judged and behaves just so: what is told of one is told of both."""
    seen: list[tuple[object, ...]] = []
    for signal in setting.policy.signals:
        is_copied = signal.name in setting.only_copied
        seen.append((replace(signal, name="any", verb=""), setting.baseline_rates[signal.name], is_copied))
    return [seen.index(each) for each in seen]


@dataclass(frozen=True)
class _Rates:
    """Of shape (signals,): `baseline`, `stable`, and `edge`, above which a rate is harm. `tried`: (rates, signals)."""

    baseline: Floats
    stable: Floats
    edge: Floats
    tried: Floats


def _rates(setting: Setting) -> _Rates:
    baseline = np.array([setting.baseline_rates[signal.name] for signal in setting.policy.signals])
    copied = np.array([signal.name in setting.only_copied for signal in setting.policy.signals])
    stable = np.where(copied, 0.0, baseline)
    edge = np.maximum(stable, np.array([signal.objective for signal in setting.policy.signals]))
    told = np.minimum(np.array(FACTORS)[:, None] * baseline, 1.0)
    least = np.minimum(_LEAST_OVER_EDGE * np.maximum(edge, 1e-6), _MOST_RATE)
    ways = np.linspace(0.0, 1.0, _TRIED_RATES)[:, None]
    return _Rates(
        baseline, stable, edge, np.concatenate((told, least * (np.maximum(_MOST_RATE, least) / least) ** ways))
    )


def _signal(
    setting: Setting, stage: Stage, table: _Rates, simulated: tuple[streams.Onset, int], at: int
) -> SignalForecast:
    """Return what is told of a signal; `simulated` holds it in some column."""
    signal, (onset, column) = setting.policy.signals[at], simulated
    rates, caught = table.tried[:, at], onset.caught[:, :, column].mean(axis=1)
    regressions = []
    by_person = stage.until == "person"
    for nth, factor in enumerate(FACTORS):
        seconds, bad = onset.seconds[nth, :, column], onset.users_hit[nth, :, column]
        between = _unsure(seconds)
        median = _quantile(seconds, 0.5) if between is None else None
        regressions.append(
            Regression(
                factor=factor,
                rate=float(rates[nth]),
                harmful=bool(rates[nth] > table.edge[at]),
                seconds=median,
                between=between,
                likely_seconds=_quantile(seconds, DETECTS),
                users_hit=None if median is None else _quantile(bad, 0.5),
                caught=None if by_person else float(caught[nth]),
            )
        )
    smallest = None if by_person else _smallest(rates[len(FACTORS) :], caught[len(FACTORS) :])
    return SignalForecast(signal.name, float(table.baseline[at]), signal.objective, smallest, tuple(regressions))


def _unsure(seconds: Floats) -> tuple[float, float | None] | None:
    """Return the times of two and of three rollouts of five, where they lie too far apart for a median."""
    sooner, later = _quantile(seconds, 0.4), _quantile(seconds, 0.6)
    if sooner is None or (later is not None and later <= UNSURE * sooner):
        return None
    return sooner, later


def _smallest(rates: Floats, caught: Floats) -> float | None:
    """Return the rate at which the share that is caught reaches `DETECTS`, interpolated between those tried."""
    risen = np.maximum.accumulate(caught)
    above = int(np.searchsorted(risen, DETECTS))
    if above == len(risen):
        return None
    if above == 0:
        return float(rates[0])
    way = (DETECTS - risen[above - 1]) / (risen[above] - risen[above - 1])
    return float(np.exp((1.0 - way) * np.log(rates[above - 1]) + way * np.log(rates[above])))


def _whole(setting: Setting, table: _Rates, simulated: tuple[streams.Ends, int], at: int, nth: int) -> WholeRollout:
    ends, column = simulated
    back = ends.taken_back[nth, :, column]
    rate = float(table.tried[nth, at])
    return WholeRollout(
        signal=setting.policy.signals[at].name,
        factor=FACTORS[nth],
        rate=rate,
        harmful=bool(rate > table.edge[at]),
        taken_back=float(back.mean()),
        waits=float(ends.waits[nth, :, column].mean()),
        promoted=float(ends.promoted[nth, :, column].mean()),
        seconds=float(np.median(ends.seconds[nth, :, column][back])) if back.any() else None,
        users_hit=float(ends.users_hit[nth, :, column].mean()),
    )


def _quantile(values: Floats, share: float) -> float | None:
    """Return a quantile of times of which those that never came are infinite; None where it is one of these."""
    found = float(np.quantile(values, share, method="inverted_cdf"))
    return found if np.isfinite(found) else None
