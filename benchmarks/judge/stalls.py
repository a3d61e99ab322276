"""How the judge takes slow requests that come in stalls: on either side, independently, everything is slow for a while.

python -m benchmarks.judge.stalls          a quick look, in about a minute; writes nothing
python -m benchmarks.judge.stalls --full   the figures of the docs; writes benchmarks/results/judge-stalls.{md,json}
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.judge.surroundings import RESULTS, machine
from benchmarks.judge.traffic import SEED
from tidegate.judge import Policy, SignalPolicy, Tally, assess, begin, begin_step, observe

REQUESTS_PER_SECOND, SHARE, SECONDS, TICK = 50.0, 0.1, 600, 0.05
#: Share of time that stable stalls: its p99 lies exactly at the objective, which is the hardest case.
STALLED, OBJECTIVE = 0.01, 0.01


@dataclass(frozen=True)
class Case:
    stall_seconds: float
    tempering: float
    patience: int
    candidate_stalled: float


def cases() -> Iterator[Case]:
    for stall in (0.1, 0.3, 1.0, 3.0):
        for tempering, patience in ((1.0, 1), (0.5, 1), (0.5, 3), (1.0, 4)):
            for candidate in (STALLED, 0.05, 1.0):
                yield Case(stall, tempering, patience, candidate)


def side(rng: np.random.Generator, rate: float, stall: float, share: float) -> list[Tally]:
    """Return counts per second of a revision that stalls for a share of the time, `stall` seconds each time."""
    ticks, per_second = int(SECONDS / TICK), int(1.0 / TICK)
    requests = rng.poisson(rate * TICK, ticks)
    begins = rng.random(ticks) < share * TICK / stall
    lasting = int(stall / TICK)
    stalled = np.convolve(begins, np.ones(lasting, dtype=int))[:ticks] > 0
    slow = np.where(stalled | (share >= 1.0), requests, 0)
    totals, bad = (counts.reshape(-1, per_second).sum(axis=1).tolist() for counts in (requests, slow))
    return [Tally(n, y) for n, y in zip(totals, bad, strict=True)]


def failed_after(case: Case, seed: int) -> int | None:
    """Return the second in which the candidate failed, None if it never did; a look every second."""
    rng = np.random.default_rng((SEED, seed))
    signal = SignalPolicy("latency", OBJECTIVE, tempering=case.tempering, patience=case.patience)
    policy = Policy((signal,))
    evidence = begin_step(policy, begin(policy, {"latency": Tally(3_000, 30)}))
    tried = side(rng, REQUESTS_PER_SECOND * SHARE, case.stall_seconds, case.candidate_stalled)
    beside = side(rng, REQUESTS_PER_SECOND * (1.0 - SHARE), case.stall_seconds, STALLED)
    for second, (candidate, stable) in enumerate(zip(tried, beside, strict=True), 1):
        evidence = observe(policy, evidence, {"latency": candidate}, {"latency": stable})
        if assess(policy, evidence).outcome == "fail":
            return second
    return None


def measured(case: Case, runs: int, pool: ProcessPoolExecutor) -> dict[str, Any]:
    seconds = [*pool.map(failed_after, [case] * runs, range(runs), chunksize=5)]
    failed = [second for second in seconds if second is not None]
    return {
        "stall_seconds": case.stall_seconds,
        "tempering": case.tempering,
        "patience": case.patience,
        "candidate_stalled": case.candidate_stalled,
        "runs": runs,
        "failed": len(failed),
        "median_seconds": float(np.median(failed)) if failed else None,
    }


def as_markdown(report: dict[str, Any]) -> str:
    """Return a row per stall length and policy, a column per kind of candidate."""
    found: dict[tuple[float, float, int], list[str]] = {}
    for row in report["cases"]:
        cell = f"{100.0 * row['failed'] / row['runs']:.1f} %"
        if row["candidate_stalled"] > STALLED and row["median_seconds"] is not None:
            cell += f", {row['median_seconds']:.0f} s"
        found.setdefault((row["stall_seconds"], row["tempering"], row["patience"]), []).append(cell)
    lines = [
        f"| {stall} s | {tempering} | {patience} | {' | '.join(cells)} |"
        for (stall, tempering, patience), cells in found.items()
    ]
    kind, runs = report["machine"], report["cases"][0]["runs"]
    setting = (
        "50 requests/s, candidate gets 10 %, 10 min, a look every second, alpha 1 %, objective 1 % slow. Stable "
        "stalls 1 % of the time, at random moments; so does a healthy candidate, at other moments. Share of runs that "
        "were taken back, and the median time to it."
    )
    made = (
        f"`{report['command']}`, {runs} runs of each, seed {SEED}, on {kind['cpus']} CPUs ({kind['system']}), "
        f"Python {kind['python']}, NumPy {kind['numpy']}."
    )
    head = [
        "| stalls of | tempering | patience | healthy: 1 % of the time | 5 % of the time | always slow |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join(["# Stalls", "", setting, "", *head, *lines, "", made, ""])


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.judge.stalls", description=__doc__)
    arguments.add_argument("--full", action="store_true", help="enough runs for the docs; writes the results")
    full = arguments.parse_args().full
    started = time.perf_counter()
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        rows = [measured(case, 200 if full else 10, pool) for case in cases()]
    report = {
        "command": "python -m benchmarks.judge.stalls" + (" --full" if full else ""),
        "machine": machine(),
        "seconds": round(time.perf_counter() - started, 1),
        "cases": rows,
    }
    text = as_markdown(report)
    print(text)
    if full:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "judge-stalls.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        (RESULTS / "judge-stalls.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
