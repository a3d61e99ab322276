"""Compare drift over large tables with Evidently and with NumPy alone, count false alarms, and read a year of flights;
write benchmarks/results/drift.{json,md}.

python -m benchmarks.drift    1 and 10 million rows × 30 features: about an hour, 6 GB of disk, 14 GB of memory

Evidently runs in an environment made from requirements.txt, unless `--evidently` names one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.drift import agree, alarms, months
from benchmarks.drift.data import FEATURES, written
from benchmarks.drift.goals import judged
from benchmarks.drift.measure import Limits, measured
from benchmarks.drift.page import TITLES, as_markdown
from benchmarks.serving.environments import made
from benchmarks.serving.surroundings import load_average, machine
from examples.flights.data import COLUMNS

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_BASE = _ROOT / ".bench" / "drift"
_RESULTS = _HERE.parent / "results"
PARTS = ("speed", "alarms", "months")


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parse(arguments)
    results = Path(given.results)
    # A part that is not asked for stays as it was measured.
    file = results / "drift.json"
    run: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    command = " ".join(["python -m benchmarks.drift", *_told(arguments)])
    if "speed" in given.parts:
        python = Path(given.evidently) if given.evidently else made(_BASE / "evidently", _requirements())
        for rows in given.rows:
            found = _about(command, lambda rows=rows: _speed(given, rows, python))
            run.setdefault("speed", {})[f"{rows:,} × {given.features}"] = found
            _keep(run, file)
    if "alarms" in given.parts:
        run["alarms"] = _about(command, lambda: {"data": _alarms(given.windows)})
    if "months" in given.parts:
        run["months"] = _about(command, months.readings)
    _keep(run, file)
    text = as_markdown(run)
    print(text)
    (results / "drift.md").write_text(text, encoding="utf-8")
    return 0


def _about(command: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what was measured, and when, on what and beside what."""
    before, begun, at = load_average(), time.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")
    found = measure()
    about = {
        "at": at,
        "command": command,
        "revision": _revision(),
        "seconds": time.perf_counter() - begun,
        "machine": machine(),
        "numpy": version("numpy"),
        "load_average": {"before": before, "after": load_average()},
    }
    return {"about": about, **found}


def _keep(run: dict[str, Any], file: Path) -> None:
    run["goals"] = [asdict(goal) for goal in judged(run)]
    file.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.drift", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows", type=_numbers, default=[1_000_000, 10_000_000], help="sizes, with commas (1 and 10 M)"
    )
    parser.add_argument("--features", type=int, default=len(FEATURES), help="1 to 30 (30)")
    parser.add_argument(
        "--contenders", type=lambda text: text.split(","), default=list(TITLES), help=f"{', '.join(TITLES)} (all)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each is timed, those that are quick (3)")
    parser.add_argument("--windows", type=int, default=1_000, help="windows without drift (1,000)")
    parser.add_argument("--patience", type=int, default=900, help="CPU seconds that a contender may take (900)")
    parser.add_argument("--memory", type=float, default=14, help="GiB that a contender may take (14)")
    parser.add_argument("--parts", type=lambda text: text.split(","), default=PARTS, help=", ".join(PARTS))
    parser.add_argument("--results", default=str(_RESULTS), help="folder for drift.json and drift.md")
    parser.add_argument("--evidently", metavar="PYTHON", help="the interpreter of an environment that has Evidently")
    return parser.parse_args(arguments)


def _numbers(text: str) -> list[int]:
    return [int(float(part)) for part in text.split(",")]


def _speed(given: argparse.Namespace, rows: int, python: Path) -> dict[str, Any]:
    print(f"{rows:,} rows …", flush=True)
    ours = Path(sys.executable)
    every = {"tidegate": ours, "numpy": ours, "evidently-tests": python, "evidently": python}
    interpreters = {name: interpreter for name, interpreter in every.items() if name in given.contenders}
    limits = Limits(given.patience, int(given.memory * 2**30))
    folder = written(_BASE / "data", rows, given.features)
    contenders = measured(interpreters, folder, given.features, given.rounds, limits)
    values = {name: one.pop("values") for name, one in contenders.items() if "values" in one}
    same = {"numpy": agree.with_numpy(values["tidegate"], values["numpy"])} if "numpy" in values else {}
    theirs = values.get("evidently", values.get("evidently-tests"))
    if theirs is not None:
        same["evidently"] = agree.with_evidently(values["tidegate"], theirs, folder)
    return {"versions": _versions(python), "features": given.features, "contenders": contenders, "agree": same}


def _alarms(windows: int) -> dict[str, Any]:
    found = {}
    for name, draw, columns, rows in (
        ("flights", alarms.flights(), len(COLUMNS), alarms.REFERENCE),
        ("simulated", alarms.simulated(), len(FEATURES), alarms.REFERENCE),
        ("flights, a small reference", alarms.flights(), len(COLUMNS), alarms.SMALL_REFERENCE),
        ("simulated, a small reference", alarms.simulated(), len(FEATURES), alarms.SMALL_REFERENCE),
    ):
        print(f"{windows:,} windows of {name} …", flush=True)
        counts = alarms.counted(draw, windows, rows)
        found[name] = {"windows": windows, "columns": columns, "reference": rows, "counts": counts}
    return found


def _requirements() -> str:
    return (_HERE / "requirements.txt").read_text(encoding="utf-8")


def _versions(python: Path) -> dict[str, str]:
    """Return the versions of Evidently and of what computes beneath it."""
    asked = "from importlib.metadata import version as v; print(*map(v, ('evidently', 'numpy', 'pandas', 'scipy')))"
    told = subprocess.run([python, "-c", asked], check=True, capture_output=True, text=True).stdout.split()
    return dict(zip(("evidently", "numpy", "pandas", "scipy"), told, strict=True))


def _told(arguments: Sequence[str] | None) -> list[str]:
    """Return the arguments but for places on this machine, which mean nothing elsewhere."""
    told = list(sys.argv[1:] if arguments is None else arguments)
    for name in ("--evidently", "--results"):
        if name in told:
            del told[told.index(name) : told.index(name) + 2]
    return told


def _revision() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=_ROOT, check=False, capture_output=True, text=True
    )
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
