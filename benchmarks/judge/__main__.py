"""Compare rules for taking a canary back, and time a look of the judge.

python -m benchmarks.judge           a quick look, in about a minute; writes nothing
python -m benchmarks.judge --full    the figures of the docs; writes benchmarks/results/judge.{md,json}
                                     with --only WORDS the rules whose names have them, and what was measured of the
                                     others stays: every rule sees the same traffic whenever it is tried
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from benchmarks.judge.contest import A_MINUTE_OF_STABLE, CONTENDERS, DEFAULT, measured
from benchmarks.judge.surroundings import RESULTS, machine
from benchmarks.judge.traffic import RATES, SCENARIOS, SEED, Scenario, at_rate
from tidegate.judge import Tally, assess, begin, begin_step, observe


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.judge", description=__doc__)
    arguments.add_argument("--full", action="store_true", help="enough runs for the docs; writes the results")
    arguments.add_argument("--only", default="", metavar="WORDS", help="rules whose names have these words")
    given = arguments.parse_args()
    chosen = [number for number, contender in enumerate(CONTENDERS) if given.only.lower() in contender.name.lower()]
    if not chosen:
        arguments.error(f"no rule has {given.only!r} in its name")
    started = time.perf_counter()
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        report = _measured(chosen, given.full, pool)
    seconds = round(time.perf_counter() - started, 1)
    if not given.full:
        return 0
    file = RESULTS / "judge.json"
    if given.only:
        report = merged(json.loads(file.read_text(encoding="utf-8")), report)
    else:
        told = {"seconds": seconds, "microseconds_per_look": time_of_a_look()}
        print(json.dumps(told, indent=2))
        report = {"command": "python -m benchmarks.judge --full", "machine": machine(), "seed": SEED, **told, **report}
    RESULTS.mkdir(exist_ok=True)
    file.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (RESULTS / "judge.md").write_text(as_markdown(report), encoding="utf-8")
    return 0


def _measured(chosen: Sequence[int], full: bool, pool: ProcessPoolExecutor) -> dict[str, Any]:
    """Return the rows of some rules, given by their numbers, and print each as soon as it is there."""
    runs, fewer = (2_000, 400) if full else (60, 10)
    rows = []
    for number in chosen:
        rows.append(measured(number, runs, pool))
        print(line(rows[-1], SCENARIOS), flush=True)
    at_rates: dict[str, list[dict[str, Any]]] = {}
    for rate in RATES:
        print(f"{rate:g} requests/s")
        for number in chosen if full else chosen[:2]:
            often = fewer if CONTENDERS[number].fewer_runs else runs
            at_rates.setdefault(f"{rate:g}", []).append(measured(number, often, pool, at_rate(rate)))
            print(line(at_rates[f"{rate:g}"][-1], at_rate(rate)), flush=True)
    setting = "50 requests/s, candidate gets 10 %, 30 min, a look every 10 s unless said otherwise, alpha 1 %"
    return {"setting": setting, "rules": rows, "at_rates": at_rates}


def merged(before: dict[str, Any], report: dict[str, Any]) -> dict[str, Any]:
    """Return the report of before with the rules that were tried anew in it, all in the order of the contest."""
    names = [contender.name for contender in CONTENDERS]

    def rows(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        found = {row["rule"]: row for row in (*old, *new) if row["rule"] in names}
        return sorted(found.values(), key=lambda row: names.index(row["rule"]))

    at_rates = {rate: rows(old, report["at_rates"].get(rate, [])) for rate, old in before["at_rates"].items()}
    return {**before, "rules": rows(before["rules"], report["rules"]), "at_rates": at_rates}


def time_of_a_look(looks: int = 3_000) -> dict[str, float]:
    """Return what one look (observe and assess, one signal) costs, in microseconds: median and 99th percentile."""
    rng = np.random.default_rng(SEED)
    evidence = begin_step(DEFAULT, begin(DEFAULT, {"errors": A_MINUTE_OF_STABLE}))
    spent = []
    for n1, n0 in zip(rng.poisson(5.0, looks).tolist(), rng.poisson(45.0, looks).tolist(), strict=True):
        y1, y0 = int(rng.binomial(n1, 0.01)), int(rng.binomial(n0, 0.01))
        began = time.perf_counter()
        evidence = observe(DEFAULT, evidence, {"errors": Tally(n1, y1)}, {"errors": Tally(n0, y0)})
        assess(DEFAULT, evidence)
        spent.append(1e6 * (time.perf_counter() - began))
    return {"median": round(float(np.median(spent)), 1), "p99": round(float(np.quantile(spent, 0.99)), 1)}


def line(row: dict[str, Any], scenarios: Sequence[Scenario]) -> str:
    """Return a row of the table."""
    cells = [row["rule"]]
    for scenario in scenarios:
        result = row["scenarios"][scenario.name]
        if not scenario.harmful:
            cells.append(f"{100.0 * result['false_rollback_rate']:.2f} %")
            continue
        median, failed = result["median_seconds"], result["median_failed_requests"]
        text = "not within 30 min" if median is None else f"{median:.0f} s, {failed:.0f} failed"
        if result["false_rollback_rate"] > 0.0:
            text += f" ({100.0 * result['false_rollback_rate']:.1f} % taken back before)"
        cells.append(text)
    return "| " + " | ".join(cells) + " |"


def as_markdown(report: dict[str, Any]) -> str:
    """Return the page under benchmarks/results."""
    rows = [row for rows in report["at_rates"].values() for row in rows]
    runs = {row["runs"] for row in (*report["rules"], *rows)}
    look, kind = report["microseconds_per_look"], report["machine"]
    explained = (
        f"Setting: {report['setting']}. First column: healthy candidates taken back. The others: median time from "
        "the start of the harm to the rollback, and the candidate's failed requests until then."
    )
    made = (
        f"`{report['command']}`, {max(runs):,} runs of each ({min(runs):,} of the Mann-Whitney rule at other rates), "
        f"seed {report['seed']}, {report['seconds']:.0f} s on {kind['cpus']} CPUs ({kind['system']}), "
        f"Python {kind['python']}, NumPy {kind['numpy']}, SciPy {kind['scipy']}. "
        f"One look at one signal takes {look['median']:.0f} µs (99th percentile {look['p99']:.0f} µs)."
    )
    parts = ["# Rules for taking a canary back", "", explained, "", *table(report["rules"], SCENARIOS), ""]
    for rate, rows in report["at_rates"].items():
        parts += [f"## At {float(rate):,.0f} requests/s", "", *table(rows, at_rate(float(rate))), ""]
    return "\n".join([*parts, made, ""])


def table(rows: Sequence[dict[str, Any]], scenarios: Sequence[Scenario]) -> list[str]:
    head = ["rule", *(scenario.name for scenario in scenarios)]
    return [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(line(row, scenarios) for row in rows)]


if __name__ == "__main__":
    sys.exit(main())
