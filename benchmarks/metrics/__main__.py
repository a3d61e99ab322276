"""`python -m benchmarks.metrics`: what the metrics cost, the distribution of predictions among them.

Two servers with the XGBoost model of `benchmarks.serving` run side by side on one core, one of them without metrics.
They are asked in turn, single rows as fast as they take them; a pair of stages gives a ratio of requests per second
and one of processor time per request. Writes benchmarks/results/metrics.json and .md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.serving import models as served
from benchmarks.serving.asking import Requests, load, requests, seconds_until_right
from benchmarks.serving.measure import FULL, Bench, start
from benchmarks.serving.peers import SERVERS
from benchmarks.serving.processes import ServerProcess, divided_cores
from benchmarks.serving.surroundings import load_average, machine

_ROOT = Path(__file__).parents[2]
_BASE = _ROOT / ".bench"
_MODEL, _SERVER = "xgboost", "tidegate"
_MOST = 0.05


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metrics", description=__doc__)
    parser.add_argument("--pairs", type=int, default=15, help="how often both are asked")
    parser.add_argument("--seconds", type=float, default=1.5, help="length of each stage")
    parser.add_argument("--results", type=Path, default=_ROOT / "benchmarks" / "results")
    given = parser.parse_args()
    result = measure(given.pairs, given.seconds)
    given.results.mkdir(parents=True, exist_ok=True)
    (given.results / "metrics.json").write_text(json.dumps(result, indent=1) + "\n")
    (given.results / "metrics.md").write_text(page(result))
    sys.stdout.write(page(result))
    return 0 if result["within"] else 1


def measure(pairs: int, seconds: float) -> dict[str, Any]:
    """Ask both servers in turn and return what is written down."""
    from tidegate.artifact.build import BuildRequest, build_bundle

    model = served.prepare(_BASE / "models")[_MODEL]
    bundle = asyncio.run(build_bundle(BuildRequest(model.own_path), _BASE / "bundles")).folder
    bench = Bench(_BASE, {model.name: model}, {model.name: bundle}, divided_cores(), FULL)
    own = SERVERS[_SERVER]

    def without(given: Any) -> list[str]:
        return ["benchmarks.metrics.without" if word == "tidegate.server" else word for word in own.command(given)]

    asked = requests(model, own.form, own.path, 1)
    before = load_average()
    with ExitStack() as stack:
        running: dict[str, tuple[ServerProcess, int, Path]] = {}
        for name, server in (("with", own), ("without", replace(own, command=without))):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-bench-")))
            process, port = start(server, model, bench, folder, Path(sys.executable))
            stack.enter_context(process)
            seconds_until_right(process, port, asked)
            running[name] = process, port, folder
        for one in running.values():  # warm
            _stage(*one, asked, bench, seconds)
        stages = []
        for number in range(pairs):
            names = ("with", "without") if number % 2 == 0 else ("without", "with")
            stages.append({name: _stage(*running[name], asked, bench, seconds) for name in names})
    rate = median(pair["with"]["rate"] / pair["without"]["rate"] for pair in stages)
    work = median(pair["with"]["microseconds"] / pair["without"]["microseconds"] for pair in stages)
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python -m benchmarks.metrics --pairs {pairs} --seconds {seconds:g}",
        "machine": machine(),
        "load_average": {"before": before, "after": load_average()},
        "median": {
            name: {key: median(pair[name][key] for pair in stages) for key in ("rate", "microseconds")}
            for name in ("with", "without")
        },
        "requests_per_second_ratio": round(rate, 4),
        "processor_time_ratio": round(work, 4),
        "within": rate >= 1 - _MOST,
        "pairs": stages,
    }


def _stage(  # noqa: PLR0917
    process: ServerProcess, port: int, folder: Path, asked: Requests, bench: Bench, seconds: float
) -> dict[str, float]:
    before = _processor_seconds(process.pid)
    report = load(asked, {"port": port, "mode": "closed", "seconds": seconds}, folder, bench.cores, "most")
    if report["failed"] or report["wrong"]:
        raise SystemExit(f"{report['failed']} requests failed, {report['wrong']} answers were wrong")
    spent = _processor_seconds(process.pid) - before
    return {"rate": report["requests_per_second"], "microseconds": 1e6 * spent / report["sent"]}


def _processor_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def page(result: dict[str, Any]) -> str:
    """Return the result for people."""
    rows = [
        f"| {name} metrics | {median['rate']:,.0f} | {median['microseconds']:.1f} |"
        for name, median in result["median"].items()
    ]
    lines = [
        "# What metrics cost",
        "",
        (
            f"`{result['command']}`, {result['at']}: XGBoost, single rows, 16 connections, closed loop; medians of"
            f" {len(result['pairs'])} pairs."
        ),
        "",
        "| | Requests/s | Processor time per request, µs |",
        "|---|---:|---:|",
        *rows,
        "",
        (
            f"With metrics: {result['requests_per_second_ratio']:.3f} times the requests per second, and"
            f" {result['processor_time_ratio']:.3f} times the processor time per request."
        ),
        "",
        f"- {'yes' if result['within'] else 'NO'}: metrics take at most {_MOST:.0%} of the throughput",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
