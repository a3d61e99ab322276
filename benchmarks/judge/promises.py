"""What the judge promises, measured: false rollbacks, delays against the best possible, and forecasts.

python -m benchmarks.judge.promises          a quick look, in about a minute; writes nothing
python -m benchmarks.judge.promises --full   the figures of the docs; writes benchmarks/results/judge-promises.{md,json}
                                             with --only PART that part alone, and what was measured of the others stays

Both look until the harm is found, however long that takes; nothing is cut off at the end of a step.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from benchmarks.judge import everything
from benchmarks.judge.crowds import until_failed
from benchmarks.judge.everything import Everything
from benchmarks.judge.surroundings import RESULTS, machine
from benchmarks.judge.traffic import SEED
from tidegate.judge import Policy, SignalPolicy
from tidegate.judge.crowd_bets import Tallies
from tidegate.judge.forecast import FACTORS, UNSURE, Regression, Setting, forecast
from tidegate.judge.streams import Stage

#: Requests a second of both revisions together.
TRAFFIC = (1.0, 10.0, 1_000.0)
#: The candidate's share.
SHARE = 0.1
#: Above the objective, so that the comparison with stable alone protects a healthy candidate: the hardest case.
RATE, OBJECTIVE = 0.01, 0.001
#: The steps of a healthy rollout, each looked at every second to its end.
STEPS, STEP_SECONDS = (0.05, 0.25, 0.5, 1.0), 300

ERRORS = SignalPolicy("errors", OBJECTIVE, alpha_share=6.0)
LATENCY = SignalPolicy("latency", OBJECTIVE, patience=4, alpha_share=10.0)
REJECTIONS = SignalPolicy("rejections", OBJECTIVE, verb="were rejected")
#: A healthy candidate disagrees with stable, which never does so with itself, as often as is tolerated.
DISAGREEMENT = SignalPolicy("disagreement", RATE, verb="were answered otherwise")
COPIED = Policy((ERRORS, DISAGREEMENT))
POLICIES = {
    "errors": Policy((ERRORS,)),
    "latency": Policy((LATENCY,)),
    "all signals": Policy((ERRORS, LATENCY, REJECTIONS)),
}
#: The signal that the harm is in: by itself, then beside the others with its share of alpha.
HARMS = (("errors", 0), ("latency", 0), ("all signals", 0), ("all signals", 1), ("all signals", 2))
#: So far a median that is foretold may be from the simulated one.
NEAR = 0.2
#: Other rates of stable, and shares of the candidate, at which all signals are looked at with harm in the first.
OTHER_RATES, OTHER_SHARES, OTHER_TRAFFIC = (0.001, 0.01, 0.05), (0.05, 0.1, 0.25, 0.5), 10.0


@dataclass(frozen=True)
class Healthy:
    """Rollouts of a candidate that is as good as stable."""

    signals: str
    requests_per_second: float
    runs: int

    def measure(self) -> dict[str, Any]:
        rng = np.random.default_rng((SEED, 1, *map(ord, self.signals), int(self.requests_per_second)))
        policy = POLICIES[self.signals]
        signals = len(policy.signals)

        def looks() -> Iterator[tuple[Tallies, Tallies] | None]:
            for number, share in enumerate(STEPS):
                if number:
                    yield None
                for _ in range(STEP_SECONDS):
                    yield (
                        grown(rng, (self.runs, signals), self.requests_per_second * share, RATE),
                        grown(rng, (self.runs, signals), self.requests_per_second * (1.0 - share), RATE),
                    )

        baseline = grown(rng, (self.runs, signals), 60.0 * self.requests_per_second, RATE)
        failed = until_failed(policy, self.runs, baseline, looks()) >= 0
        return {
            "signals": self.signals,
            "requests_per_second": self.requests_per_second,
            "runs": self.runs,
            "false_rollbacks": int(failed.sum()),
            "rate": float(failed.mean()),
        }


@dataclass(frozen=True)
class Worse:
    """A candidate that is `factor` times as bad as stable in one signal, from its first request on.

    Looked at as often as a request comes to the candidate, or a hundred times within the bound where that is rarer.
    """

    signals: str
    requests_per_second: float
    factor: float
    runs: int
    at: int = 0
    share: float = SHARE
    rate: float = RATE

    def measure(self) -> dict[str, Any]:
        rng = np.random.default_rng(
            (SEED, 2, *map(ord, self.signals), int(self.requests_per_second), int(self.factor), self.at)
        )
        policy = _with_objective(POLICIES[self.signals], OBJECTIVE * self.rate / RATE)
        signals = len(policy.signals)
        rates = np.full(signals, self.rate)
        rates[self.at] = self.factor * self.rate
        least = bound(self.requests_per_second, self.share, self.rate, self.factor * self.rate, policy.alpha)
        often = 1.0 / (self.requests_per_second * self.share)
        look = max(often, least / 100.0)

        def looks() -> Iterator[tuple[Tallies, Tallies]]:
            for _ in range(math.ceil(12.0 * least / look) + 20):
                yield (
                    grown(rng, (self.runs, signals), self.requests_per_second * self.share * look, rates),
                    grown(rng, (self.runs, signals), self.requests_per_second * (1.0 - self.share) * look, self.rate),
                )

        baseline = grown(rng, (self.runs, signals), 60.0 * self.requests_per_second, self.rate)
        failed_at = until_failed(policy, self.runs, baseline, looks(), merged=round(look / often))
        seconds = np.where(failed_at >= 0, (failed_at + 1) * look, np.inf)
        median = float(np.quantile(seconds, 0.5, method="inverted_cdf"))
        return {
            "signals": self.signals,
            "harm_in": policy.signals[self.at].name,
            "share": self.share,
            "rate": self.rate,
            "requests_per_second": self.requests_per_second,
            "factor": self.factor,
            "runs": self.runs,
            "bound_seconds": least,
            "median_seconds": median if math.isfinite(median) else None,
            "mean_seconds": float(seconds.mean()) if np.isfinite(seconds).all() else None,
            "over_bound": median / least if math.isfinite(median) else None,
        }


@dataclass(frozen=True)
class Foretold:
    """Steps of a rollout, and harm of one signal in the last: the forecast's median against rollouts of its own.

    Steps before the last are held for their time.
    """

    stages: tuple[Stage, ...]
    requests_per_second: float
    rate: float
    runs: int

    def measure(self) -> dict[str, Any]:
        policy = COPIED if self.stages[-1].mirror else POLICIES["all signals"]
        rates = {signal.name: self.rate for signal in policy.signals}
        copied = frozenset({DISAGREEMENT.name})
        told = forecast(
            Setting(policy, self.stages, self.requests_per_second, rates, baseline_seconds=60.0, only_copied=copied)
        )
        return {
            "stages": [asdict(stage) for stage in self.stages],
            "requests_per_second": self.requests_per_second,
            "rate": self.rate,
            "cells": [
                self._cell(policy, at, worse)
                for at in (0, 1)
                for worse in told.steps[-1].signals[at].regressions
                if worse.seconds is not None or worse.between is not None
            ],
        }

    def _cell(self, policy: Policy, at: int, worse: Regression) -> dict[str, Any]:
        """Simulate with looks every second (or a fiftieth of the time foretold, where that is longer)."""
        factor, told = worse.factor, worse.seconds or (worse.between or (1.0,))[0]
        *held, last = self.stages
        rng = np.random.default_rng((SEED, 3, at, int(factor), int(self.requests_per_second), int(100 * last.share)))
        signals, look = len(policy.signals), max(1.0, round(told / 50.0))
        rates = np.full(signals, self.rate)
        rates[at] = min(1.0, factor * self.rate)
        copied = np.array([signal is DISAGREEMENT for signal in policy.signals])
        stable = np.where(copied, 0.0, self.rate)

        def seen(stage: Stage, seconds: float, tried: Any) -> tuple[Tallies, Tallies]:
            shape, rate = (self.runs, signals), self.requests_per_second * seconds
            candidate = grown(rng, shape, rate * (stage.share or stage.mirror), tried)
            beside = grown(rng, shape, rate * (1.0 - stage.share), stable)
            return candidate, Tallies(np.where(copied, candidate.requests, beside.requests), beside.bad)

        def looks() -> Iterator[tuple[Tallies, Tallies] | None]:
            for stage in held:
                for _ in range(round(stage.seconds)):
                    yield seen(stage, 1.0, np.full(signals, self.rate))
                yield None
            for _ in range(math.ceil(20.0 * told / look)):
                yield seen(last, look, rates)

        baseline = grown(rng, (self.runs, signals), 60.0 * self.requests_per_second, stable)
        before = sum(round(stage.seconds) for stage in held)
        failed_at = until_failed(policy, self.runs, baseline, looks(), merged=round(look))
        healthy_before = (failed_at < 0) | (failed_at >= before)
        seconds = np.where(failed_at >= 0, (failed_at - before + 1) * look, np.inf)[healthy_before]
        median = float(np.quantile(seconds, 0.5, method="inverted_cdf"))
        return {
            "signal": policy.signals[at].name,
            "factor": factor,
            "foretold_seconds": worse.seconds,
            "foretold_between": worse.between,
            "simulated_seconds": median if math.isfinite(median) else None,
            "off_by": worse.seconds / median - 1.0 if worse.seconds is not None else None,
        }


Cell = Healthy | Everything | Worse | Foretold

#: A canary's step at several shares and rates; a copied share; a hold; the second step of a rolling exchange; a
#: switch, with what was learnt of stable in the baseline; a bake after a step beside stable.
FORETOLD = (
    ((Stage(0.05, 300.0),), 50.0, 0.01),
    ((Stage(0.25, 300.0),), 50.0, 0.01),
    ((Stage(0.5, 300.0),), 1_000.0, 0.002),
    ((Stage(0.1, 300.0),), 1.0, 0.02),
    ((Stage(1.0, 300.0),), 50.0, 0.002),
    ((Stage(0.0, 300.0, mirror=0.2),), 50.0, 0.01),
    ((Stage(0.1, 300.0, "time"), Stage(0.1, 300.0, "time")), 50.0, 0.01),
    ((Stage(0.1, 300.0, "time"), Stage(0.1, 0.0, "person")), 50.0, 0.01),
    ((Stage(1 / 3, 30.0, "time"), Stage(2 / 3, 30.0, "time")), 50.0, 0.01),
    ((Stage(1.0, 600.0, "time"),), 50.0, 0.01),
    ((Stage(0.5, 300.0, "time"), Stage(1.0, 600.0, "time")), 50.0, 0.01),
)


def _with_objective(policy: Policy, objective: float) -> Policy:
    return replace(policy, signals=tuple(replace(signal, objective=objective) for signal in policy.signals))


def grown(rng: np.random.Generator, shape: tuple[int, int], expected: float, rates: Any) -> Tallies:
    """Return the growth of one revision: Poisson requests that all signals share, independent bad events."""
    requests = np.broadcast_to(rng.poisson(expected, (shape[0], 1)), shape)
    return Tallies(requests, rng.binomial(requests, rates))


def bound(requests_per_second: float, share: float, stable: float, candidate: float, alpha: float) -> float:
    """Return seconds that no rule of this alpha beats on average, not even one that knows both rates beforehand.

    log(1/alpha) over the information rate n1·KL(p1‖p̄) + n0·KL(p0‖p̄), with p̄ the pooled rate.
    """
    pooled = share * candidate + (1.0 - share) * stable
    information = share * divergence(candidate, pooled) + (1.0 - share) * divergence(stable, pooled)
    return -math.log(alpha) / (requests_per_second * information)


def divergence(a: float, b: float) -> float:
    """Return KL of two Bernoulli distributions, in nats."""
    return a * math.log(a / b) + (1.0 - a) * math.log((1.0 - a) / (1.0 - b))


PARTS = ("healthy", "everything", "worse", "elsewhere", "foretold")
#: In so many parts the rollouts judged by everything are simulated, for the sake of several processes.
_EVERYTHING_PARTS = 20


def measured(full: bool, pool: ProcessPoolExecutor | None, only: Sequence[str] = PARTS) -> dict[str, Any]:
    """Return the cells of these parts; None for the pool measures them here, one after the other."""
    runs = 2_000 if full else 60
    traffic = TRAFFIC if full else (10.0,)
    parts, factors = range(_EVERYTHING_PARTS if full else 2), FACTORS
    cells: dict[str, list[Cell]] = {
        "healthy": [Healthy(signals, rate, runs) for signals in POLICIES for rate in traffic],
        "everything": [Everything(rate, runs // len(parts), part) for rate in traffic for part in parts],
        "worse": [Worse(name, rate, factor, runs, at) for name, at in HARMS for rate in traffic for factor in factors],
        "elsewhere": [
            Worse("all signals", OTHER_TRAFFIC, factor, runs, 0, share, rate)
            for rate in (OTHER_RATES if full else OTHER_RATES[:1])
            for share in OTHER_SHARES
            for factor in factors
        ],
        "foretold": [Foretold(*setting, runs=runs) for setting in (FORETOLD if full else FORETOLD[:1])],
    }
    each: Callable[..., Any] = pool.map if pool is not None else map
    found = {part: list(each(_measure, cells[part])) for part in PARTS if part in only}
    if "everything" in found:
        found["everything"] = everything.together(found["everything"])
    return found


def _measure(cell: Cell) -> dict[str, Any]:
    return cell.measure()


def as_markdown(report: dict[str, Any]) -> str:
    """Return the page under benchmarks/results."""
    kind, runs = report["machine"], report["healthy"][0]["runs"]
    rates = sorted({row["requests_per_second"] for row in report["healthy"]})
    seconds = report["seconds"]
    took = f"{seconds:.0f} s" if seconds is not None else "its cells one by one (each has a seed of its own),"
    made = (
        f"`{report['command']}`, seed {SEED}, {took} on {kind['cpus']} CPUs ({kind['system']}), "
        f"Python {kind['python']}, NumPy {kind['numpy']}."
    )
    setting = (
        f"Whole rollouts of steps of {', '.join(f'{100 * share:g} %' for share in STEPS)}, {STEP_SECONDS} s each, "
        f"a look every second, all of them. Both revisions are bad at {100 * RATE:g} % in every signal, above the "
        f"objective of {100 * OBJECTIVE:g} %, so that the comparison with stable alone protects the candidate. "
        "Alpha is 1 %."
    )
    together = (
        f"All signals are {', '.join(signal.name for signal in POLICIES['all signals'].signals)}. Everything begins "
        "with a step in which all requests are copied to the candidate and answers are compared; predictions are "
        f"compared with no distance tolerated, of {everything.COUNTED_PER_SECOND:g} requests a second of each revision "
        "at most."
    )
    compared = (
        f"The candidate gets {100 * SHARE:g} % of the requests; stable is bad at {100 * RATE:g} %, and was watched for "
        f"a minute before. Median of {runs:,} rollouts, its ratio to the sequential bound "
        "log(1/alpha) / (n1·KL(p1‖p̄) + n0·KL(p0‖p̄)), and that bound. "
        f"Of all signals {', '.join(_parts(POLICIES['all signals']))} of alpha."
    )
    beyond = (
        f"All signals, harm in errors, {OTHER_TRAFFIC:g} requests/s, the objective a tenth of stable's rate: the ratio "
        "of the median to the bound, and that bound."
    )
    foretold = (
        "Median time until the judge fails a candidate whose harm begins with the last of the steps: `judge.forecast` "
        "against as many rollouts with another seed, looked at every second, or fifty times in the time foretold where "
        "that is longer. Two times are foretold where the middle fifth of rollouts lies more than "
        f"{UNSURE:g} times apart, so that a median says nothing: at 100 % with nothing of stable but a short baseline."
    )
    parts = [
        "# What the judge promises, measured",
        "",
        f"## Healthy candidates taken back, of {runs:,}",
        "",
        setting,
        "",
        f"| signals | {' | '.join(f'{rate:,.0f} requests/s' for rate in rates)} |",
        "|---|" + "---|" * len(rates),
        *(_healthy_line(report["healthy"], signals, rates) for signals in POLICIES),
        *([_healthy_line(report["everything"], everything.NAME, rates)] if "everything" in report else []),
        "",
        together,
        "",
        "## Time until harm is found, against the best possible",
        "",
        compared,
        "",
        "| signals | harm in | requests/s | " + " | ".join(f"{factor:g}×" for factor in FACTORS) + " |",
        "|---|---|---|" + "---|" * len(FACTORS),
        *_lines(report["worse"], ("signals", "harm_in", "requests_per_second")),
        "",
        "## At other rates and shares",
        "",
        beyond,
        "",
        "| stable's rate | share | " + " | ".join(f"{factor:g}×" for factor in FACTORS) + " |",
        "|---|---|" + "---|" * len(FACTORS),
        *_lines(report["elsewhere"], ("rate", "share")),
        "",
        "## Forecasts against rollouts of their own",
        "",
        foretold,
        "",
        "| steps, traffic, stable's rate | signal | worse | foretold | simulated | off by |",
        "|---|---|---|---|---|---|",
        *(_foretold_line(step, cell) for step in report["foretold"] for cell in step["cells"]),
        "",
        _medians(report["foretold"]),
        "",
        made,
        "",
    ]
    return "\n".join(parts)


def _healthy_line(rows: list[dict[str, Any]], signals: str, rates: list[float]) -> str:
    found = {row["requests_per_second"]: row for row in rows if row["signals"] == signals}
    return f"| {signals} | " + " | ".join(f"{100 * found[rate]['rate']:.2f} %" for rate in rates) + " |"


def _parts(policy: Policy) -> list[str]:
    return [f"{signal.name} get {policy.alpha_of(signal) / policy.alpha:.0%}" for signal in policy.signals]


def _lines(rows: list[dict[str, Any]], keys: tuple[str, ...]) -> list[str]:
    """Return a line for each setting, told by these keys, with a cell for each factor in the order of the rows."""
    found: dict[tuple[Any, ...], list[str]] = {}
    for row in rows:
        ratio = row["over_bound"]
        median = "never" if ratio is None else f"{_seconds(row['median_seconds'])}, {ratio:.2f}×"
        cell = f"{median} of {_seconds(row['bound_seconds'])}"
        found.setdefault(tuple(row[key] for key in keys), []).append(cell)
    return [
        f"| {' | '.join(map(_told, zip(keys, setting, strict=True)))} | {' | '.join(cells)} |"
        for setting, cells in found.items()
    ]


def _told(setting: tuple[str, Any]) -> str:
    key, value = setting
    if key in ("rate", "share"):
        return f"{100 * value:g} %"
    return value if isinstance(value, str) else f"{value:,.0f}"


def _foretold_line(step: dict[str, Any], cell: dict[str, Any]) -> str:
    stages = ", then ".join(map(_stage_told, step["stages"]))
    what = f"{stages}, {step['requests_per_second']:g} requests/s, {100 * step['rate']:g} %"
    found = cell["simulated_seconds"]
    if cell["foretold_between"] is not None:
        sooner, later = cell["foretold_between"]
        told = f"{_seconds(sooner)} to {'over 7 days' if later is None else _seconds(later)}"
        off_by = "no median; within" if _is_between(cell) else "no median; outside"
    else:
        told, off_by = _seconds(cell["foretold_seconds"]), f"{100 * cell['off_by']:+.0f} %"
    simulated = "never" if found is None else _seconds(found)
    return f"| {what} | {cell['signal']} | {cell['factor']:g}× | {told} | {simulated} | {off_by} |"


def _medians(steps: list[dict[str, Any]]) -> str:
    """Return how many cells have a median that was foretold, how near it is, and what became of the others."""
    cells = [cell for step in steps for cell in step["cells"]]
    sure = [cell for cell in cells if cell["foretold_between"] is None]
    without = [cell for cell in cells if cell["foretold_between"] is not None]
    near, inside = sum(abs(cell["off_by"]) <= NEAR for cell in sure), sum(map(_is_between, without))
    told = f"Of {len(cells)} cells {len(sure)} have a median foretold, {near} of them within {100 * NEAR:g} %."
    if not without:
        return told
    return f"{told} {len(without)} have no median but two times; {inside} of these have the simulated one between them."


def _is_between(cell: dict[str, Any]) -> bool:
    sooner, later = cell["foretold_between"]
    return bool(sooner <= (cell["simulated_seconds"] or math.inf) <= (later or math.inf))


def _stage_told(stage: dict[str, Any]) -> str:
    told = f"{100 * stage['mirror']:.3g} % copied" if stage["mirror"] else f"{100 * stage['share']:.3g} %"
    ends = {"pass": "", "time": f" held {stage['seconds']:g} s", "person": " until a person says so"}
    return told + ends[stage["until"]]


def _seconds(value: float) -> str:
    return f"{value:,.0f} s" if value >= 10.0 else f"{value:.2g} s"


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.judge.promises", description=__doc__)
    arguments.add_argument("--full", action="store_true", help="enough runs for the docs; writes the results")
    arguments.add_argument("--only", choices=PARTS, action="append", help="this part alone; may be repeated")
    given = arguments.parse_args()
    started = time.perf_counter()
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        found = measured(given.full, pool, given.only or PARTS)
    seconds = round(time.perf_counter() - started, 1)
    if not given.full:
        print(json.dumps(found, indent=1) if given.only else as_markdown(_report(found, seconds, "")))
        return 0
    file = RESULTS / "judge-promises.json"
    # Cells have seeds of their own: those of another run are what this one would have found.
    before = json.loads(file.read_text(encoding="utf-8")) if given.only else {}
    report = _report({**{part: before[part] for part in PARTS if part in before}, **found}, seconds, " --full")
    if given.only:
        report["seconds"] = None
    text = as_markdown(report)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "judge-promises.md").write_text(text, encoding="utf-8")
    return 0


def _report(found: dict[str, Any], seconds: float, arguments: str) -> dict[str, Any]:
    command = f"python -m benchmarks.judge.promises{arguments}"
    return {"command": command, "machine": machine(), "seconds": seconds, **found}


if __name__ == "__main__":
    sys.exit(main())
