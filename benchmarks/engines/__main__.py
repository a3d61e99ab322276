"""Time engines for trees on one thread, from one row to ten thousand, and compare their answers with the framework.

python -m benchmarks.engines           a quick look; writes nothing
python -m benchmarks.engines --full    the figures of the docs; writes benchmarks/results/engines.{md,json}

Needs the dependency group `bench`, and for the model of H2O a Java, with which it is trained once.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}

import argparse
import json
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engines.contenders import ROWS, SEED, Contest, Way, contests

RESULTS = Path(__file__).parents[1] / "results"
SIZES = (1, 8, 32, 100, 1_000, 10_000)
PACKAGES = (
    "numpy", "xgboost-cpu", "lightgbm", "scikit-learn", "onnxruntime", "treelite", "onnxmltools", "skl2onnx", "numba",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=__doc__)
    parser.add_argument("--full", action="store_true", help="enough rounds for the docs; writes the results")
    full = parser.parse_args().full
    rounds, seconds = (5, 0.15) if full else (2, 0.03)
    started = time.perf_counter()
    models = []
    for make in contests():
        models.append(measured(make(), rounds, seconds))
        print("\n".join(table(models[-1])), flush=True)
    report = {
        "command": "python -m benchmarks.engines" + (" --full" if full else ""),
        "machine": {
            "cpus": os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
        },
        "versions": {package: version(package) for package in PACKAGES},
        "seed": SEED,
        "seconds": round(time.perf_counter() - started, 1),
        "rounds": rounds,
        "models": models,
    }
    if full:
        (RESULTS / "engines.json").write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (RESULTS / "engines.md").write_text(as_markdown(report), encoding="utf-8")
    return 0


def measured(contest: Contest, rounds: int, seconds: float) -> dict[str, Any]:
    whole = contest.cut(contest.data, 0, ROWS)
    expected: Any = None
    ways = []
    for name, way in contest.ways.items():
        if isinstance(way, str):
            ways.append({"way": name, "why_not": way})
            continue
        answers = positive(way(whole))
        expected = answers if expected is None else expected
        alone = np.concatenate([positive(way(contest.cut(contest.data, row, row + 1))) for row in range(200)])
        gap = max(float(np.abs(answers - expected).max()), float(np.abs(alone - expected[:200]).max()))
        times = {str(size): microseconds(contest, way, size, rounds, seconds) for size in SIZES}
        ways.append({"way": name, "largest_difference": gap, "microseconds": times})
    return {"model": contest.model, "ways": ways}


def positive(scores: Any) -> Any:
    """Return the probability of the second class, whether or not that of the first comes with it."""
    values = np.asarray(scores, dtype=np.float64)
    return values if values.ndim == 1 else values[:, -1]


def microseconds(contest: Contest, way: Way, size: int, rounds: int, seconds: float) -> float:
    """Return the time of one call in the best round; no rows come twice in a round, or caches would learn them."""
    count = min(ROWS // size, 400)
    batches = [contest.cut(contest.data, index * size, (index + 1) * size) for index in range(count)]
    way(batches[0])
    best = float("inf")
    for _ in range(rounds):
        # Of this thread alone, in which all of them compute: a machine that is shared stretches time by the clock.
        done, began = 0, time.thread_time()
        while done < count and (time.thread_time() - began < seconds or done == 0):
            way(batches[done])
            done += 1
        best = min(best, (time.thread_time() - began) / done)
    return round(1e6 * best, 1)


def table(model: dict[str, Any]) -> list[str]:
    head = f"| {model['model']} | " + " | ".join(f"{size:,}" for size in SIZES) + " | largest difference |"
    lines = [head, "|---|" + "---:|" * (len(SIZES) + 1)]
    for way in model["ways"]:
        if "why_not" in way:
            lines.append(f"| {way['way']} | " + " | ".join("—" for _ in SIZES) + f" | {way['why_not']} |")
            continue
        cells = [f"{value:,.0f}" for value in way["microseconds"].values()]
        lines.append(f"| {way['way']} | " + " | ".join(cells) + f" | {way['largest_difference']:.1g} |")
    return lines


def as_markdown(report: dict[str, Any]) -> str:
    """Return the page under benchmarks/results."""
    kind = report["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in report["versions"].items())
    explained = (
        "Microseconds of CPU time for one call with so many rows, on one thread: the mean of the best of "
        f"{report['rounds']} rounds, in which no rows come twice. Last column: the largest difference from the "
        f"framework's own probabilities over {ROWS:,} rows with missing values (but for gradient boosting, which takes "
        "none) and categories that the model never saw, and over 200 rows asked one by one. "
        "The first line of each table is the framework's own call; LightGBM's C API is asked row by row. H2O's own "
        "scorer is Java ([its times](mojo.md)): there the first line is what Tidegate scores a MOJO with."
    )
    made = (
        f"`{report['command']}`, seed {report['seed']}, {report['seconds']:.0f} s on {kind['cpus']} CPUs shared with "
        f"other work ({kind['system']}), Python {kind['python']}, {versions}."
    )
    tables = [line for model in report["models"] for line in (*table(model), "")]
    return "\n".join(["# Engines for trees", "", explained, "", *tables, made, ""])


if __name__ == "__main__":
    sys.exit(main())
