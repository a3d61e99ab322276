"""How long `tidegate scan` takes over 40 Dockerfiles, as a user starts it: `python -m benchmarks.scan`.

Writes benchmarks/results/scan.json and .md, and ends with 1 where the goal is missed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.scan.page import GOAL_SECONDS, as_markdown
from benchmarks.serving.surroundings import load_average, machine

COUNT = 40
RUNS = 15
ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests/scan/corpus"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scan", description=__doc__)
    parser.add_argument(
        "--results", type=Path, default=ROOT / "benchmarks/results", help="folder for scan.json and .md"
    )
    given = parser.parse_args()
    before = load_average()
    with tempfile.TemporaryDirectory() as folder:
        sources = itertools.cycle(sorted(CORPUS.rglob("*.Dockerfile")))
        for number, source in zip(range(COUNT), sources, strict=False):
            text = source.read_text(encoding="utf-8")
            Path(folder, f"{number:02}.Dockerfile").write_text(f"{text}# copy {number}\n", encoding="utf-8")
        ways = {how: _measured(folder, how) for how in ("require", "off")}
    run = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": COUNT,
        "runs": RUNS,
        "machine": machine(),
        "load_average": {"before": before, "after": load_average()},
        "hadolint": ways,
    }
    text = as_markdown(run)
    (given.results / "scan.json").write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    (given.results / "scan.md").write_text(text, encoding="utf-8")
    print(text)
    return 0 if ways["require"]["median"] < GOAL_SECONDS else 1


def _measured(folder: str, how: str) -> dict[str, Any]:
    runs = [_seconds(folder, how) for _ in range(RUNS)]
    wall, processor = ([run[at] for run in runs] for at in (0, 1))
    return {
        "median": statistics.median(wall),
        "least": min(wall),
        "most": max(wall),
        "processor": statistics.median(processor),
    }


def _seconds(folder: str, how: str) -> tuple[float, float]:
    """Return how long one scan takes, and how long a processor works for it, hadolint's included."""
    command = [sys.executable, "-m", "tidegate.cli.main", "scan", folder, "--hadolint", how, "--fail-on", "never"]
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    sys.exit(main())
