"""How long `tidegate scan` takes over 40 Dockerfiles, as a user starts it: `python -m benchmarks.scan`."""

from __future__ import annotations

import itertools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COUNT = 40
RUNS = 15
CORPUS = Path(__file__).resolve().parents[2] / "tests/scan/corpus"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        sources = itertools.cycle(sorted(CORPUS.rglob("*.Dockerfile")))
        for number, source in zip(range(COUNT), sources, strict=False):
            text = source.read_text(encoding="utf-8")
            Path(folder, f"{number:02}.Dockerfile").write_text(f"{text}# copy {number}\n", encoding="utf-8")
        print(f"{COUNT} Dockerfiles, {RUNS} runs each, {os.cpu_count()} processors")
        for how in ("require", "off"):
            runs = [_seconds(folder, how) for _ in range(RUNS)]
            wall, processor = ([run[at] for run in runs] for at in (0, 1))
            print(
                f"--hadolint {how}: median {statistics.median(wall):.2f} s, from {min(wall):.2f} to {max(wall):.2f} s; "
                f"{statistics.median(processor):.2f} s of a processor"
            )


def _seconds(folder: str, how: str) -> tuple[float, float]:
    """Return how long one scan takes, and how long a processor works for it, hadolint's included."""
    command = [sys.executable, "-m", "tidegate.cli.main", "scan", folder, "--hadolint", how, "--fail-on", "never"]
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
