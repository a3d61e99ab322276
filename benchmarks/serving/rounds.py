"""All servers with all models, round after round, and what the rounds say together.

Every server is started anew in every round, and within a round each model goes through all servers: noise of a shared
machine, which comes and goes in minutes, meets all of them alike.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.measure import LARGE, Bench, Measured, measure, summary
from benchmarks.serving.models import ServedModel
from benchmarks.serving.servers import Server

Array = NDArray[np.float64]
_ROOT = Path(__file__).parents[2]


def measure_all(
    bench: Bench, servers: Sequence[Server], models: Sequence[ServedModel]
) -> tuple[list[Measured], dict[str, dict[str, float]]]:
    """Go through every round; prints a line per start.

    Returns what each start gave, and by model what the model alone takes (see `inprocess`): medians over the rounds.
    """
    found: list[Measured] = []
    alone: dict[str, list[dict[str, float]]] = {model.name: [] for model in models}
    for number in range(bench.lengths.rounds):
        for model in models:
            alone[model.name].append(_alone(bench, model))
            for server in _turned(servers, number):
                measured = measure(server, model, bench, seed=number)
                print(f"round {number + 1}, {model.name}, {server.name}: {_line(measured)}", flush=True)
                found.append(measured)
    medians = {
        name: {key: median(times[key] for times in rounds) for key in rounds[0]} for name, rounds in alone.items()
    }
    return found, medians


def _turned(servers: Sequence[Server], by: int) -> list[Server]:
    """Return the servers, every second round in the other direction, so that none always follows the same one."""
    return list(servers) if by % 2 == 0 else list(servers)[::-1]


def _line(measured: Measured) -> str:
    if measured.startup_seconds is None:
        return f"not measured: {' '.join(measured.failures)[:300]}"
    most = {stage["rows"]: stage["requests_per_second"] for stage in measured.stages if stage["stage"] == "most"}
    rates = ", ".join(f"{rate:,.0f}/s with {rows} row{'s' * (rows > 1)}" for rows, rate in most.items())
    failed = f"; {len(measured.failures)} failures" if measured.failures else ""
    return f"up in {measured.startup_seconds:.1f} s, {rates}{failed}"


def _alone(bench: Bench, model: ServedModel) -> dict[str, float]:
    """Return what `inprocess` measures for 10,000 rows on the server's core."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        rows = Path(folder, "rows.json")
        rows.write_text(json.dumps(model.rows[:LARGE]))
        core = str(bench.cores.server[0])
        words = ["-m", "benchmarks.serving.inprocess", str(bench.bundles[model.name]), str(rows), core]
        done = subprocess.run([sys.executable, *words], check=True, capture_output=True, cwd=_ROOT)
    times: dict[str, float] = json.loads(done.stdout)
    return times


def table(found: Sequence[Measured]) -> list[dict[str, Any]]:
    """Return one row per server, model, stage, size and form: medians over repetitions and rounds.

    Counts are sums, `spread` is the lowest and the highest of the requests per second. A quantile for which one round
    alone has too few requests is that of all rounds' requests together.
    """
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    pooled: dict[tuple[Any, ...], list[Array]] = {}
    for measured in found:
        for (stage_name, size, form), latencies in measured.latencies.items():
            pooled.setdefault((measured.server, measured.model, stage_name, size, form), []).extend(latencies)
        for stage in measured.stages:
            key = (measured.server, measured.model, stage["stage"], stage["rows"], stage["form"])
            groups.setdefault(key, []).append(stage)
    rows = []
    for key, stages in groups.items():
        rates = [stage["requests_per_second"] for stage in stages]
        rows.append(
            dict(zip(("server", "model", "stage", "rows", "form"), key, strict=True))
            | {"requests_per_second": median(rates), "spread": [min(rates), max(rates)]}
            | {"offered_per_second": median([stage["rate"] for stage in stages])}
            | _quantiles(stages, pooled[key])
            | {name: sum(stage[name] for stage in stages) for name in ("sent", "failed", "checked", "wrong")}
            | {"generator_late_p99_ms": max(stage["generator_late_p99_ms"] for stage in stages)}
        )
    return rows


def _quantiles(stages: Sequence[dict[str, Any]], latencies_ms: Sequence[Array]) -> dict[str, float | None]:
    together = summary(np.concatenate(latencies_ms))
    return {
        name: together[name] if any(stage[name] is None for stage in stages) else median(s[name] for s in stages)
        for name in together
    }


def starts(found: Sequence[Measured]) -> list[dict[str, Any]]:
    """Return start-up time and memory per server and model: medians over the rounds, None where never measured."""
    groups: dict[tuple[str, str], list[Measured]] = {}
    for measured in found:
        groups.setdefault((measured.server, measured.model), []).append(measured)
    take: dict[str, Callable[[Measured], float | None]] = {
        "startup_seconds": lambda measured: measured.startup_seconds,
        "memory_idle_mib": lambda measured: measured.memory_idle_mib,
        "memory_mib": lambda measured: measured.memory_mib,
    }
    return [
        {"server": server, "model": model}
        | {name: _middle([value(measured) for measured in group]) for name, value in take.items()}
        | {"failures": sorted({failure for measured in group for failure in measured.failures})}
        for (server, model), group in groups.items()
    ]


def _middle(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
