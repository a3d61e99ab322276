"""Compare rules for taking a canary back, and time a look of the judge.

python -m benchmarks.judge           a quick look, in about a minute; writes nothing
python -m benchmarks.judge --full    the figures of the docs; writes benchmarks/results/judge.{md,json}
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
    full = arguments.parse_args().full
    runs, fewer = (2_000, 400) if full else (60, 10)
    started = time.perf_counter()
    rows = []
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        for number in range(len(CONTENDERS)):
            rows.append(measured(number, runs, pool))
            print(line(rows[-1], SCENARIOS), flush=True)
        at_rates = {}
        for rate in RATES:
            numbers = range(len(CONTENDERS)) if full else range(2)
            at_rates[f"{rate:g}"] = [
                measured(number, fewer if CONTENDERS[number].fewer_runs else runs, pool, at_rate(rate))
                for number in numbers
            ]
            print(
                f"{rate:g} requests/s",
                *(line(row, at_rate(rate)) for row in at_rates[f"{rate:g}"]),
                sep="\n",
                flush=True,
            )
    report = {
        "command": "python -m benchmarks.judge" + (" --full" if full else ""),
        "machine": machine(),
        "setting": "50 requests/s, candidate gets 10 %, 30 min, a look every 10 s unless said otherwise, alpha 1 %",
        "seed": SEED,
        "seconds": round(time.perf_counter() - started, 1),
        "microseconds_per_look": time_of_a_look(),
        "rules": rows,
        "at_rates": at_rates,
    }
    print(json.dumps({key: value for key, value in report.items() if key not in ("rules", "at_rates")}, indent=2))
    if full:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "judge.json").write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (RESULTS / "judge.md").write_text(as_markdown(report), encoding="utf-8")
    return 0


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
