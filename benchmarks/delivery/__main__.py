"""`python -m benchmarks.delivery`: what users notice of rollouts, and what they are spared; see `make bench-delivery`.

Four questions, each answered on a Tidegate of its own with real Envoy and real processes: is the split at the replicas
the one that was asked for (`splits`), do users notice a shadow (`shadow`), what does a blue-green switch and the way
back cost (`switch`), and how soon is a candidate gone that turns bad in the middle of a step (`faults`)? Writes
benchmarks/results/delivery.json and .md; parts that are not asked for keep what was measured before.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.delivery import faults, shadow, splits, switch
from benchmarks.delivery.cases import CASES
from benchmarks.delivery.page import page
from benchmarks.delivery.scene import Scene, scene
from benchmarks.serving.surroundings import load_average, machine

RESULTS = Path(__file__).resolve().parents[1] / "results"
#: Of requests that are copied, in percent, and how many pairs of windows of each.
SHARES = ((shadow.DEFAULT, 56), (100.0, 4))
QUICK_SHARES = ((shadow.DEFAULT, 2), (100.0, 2))
PARTS = ("splits", "shadow", "switch", "faults")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.delivery", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part alone; may be repeated")
    parser.add_argument("--quick", action="store_true", help="short windows and few repetitions, to see that it runs")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    # What was started is ended, however this is.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    file = given.results / "delivery.json"
    result: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    for part in given.only or PARTS:
        sys.stderr.write(f"{part} …\n")
        load = load_average()
        measured = _measure(part, quick=given.quick)
        told = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "load_before": load, "quick": given.quick}
        result[part] = {**told, "machine": machine(), "measured": measured}
        given.results.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(result, indent=1) + "\n")
        (given.results / "delivery.md").write_text(page(result))
    sys.stdout.write(page(result))
    return 0


def _measure(part: str, *, quick: bool) -> Any:
    asked: dict[str, Callable[[Scene], Any]] = {
        "splits": lambda place: splits.measure(place, 5.0 if quick else 20.0),
        "shadow": lambda place: shadow.measure(place, *((QUICK_SHARES, 3.0) if quick else (SHARES, 14.0))),
        "switch": lambda place: switch.measure(place, 1 if quick else 5),
        "faults": lambda place: _faults(place, 1 if quick else 5),
    }
    with tempfile.TemporaryDirectory(prefix="tidegate-delivery-") as folder, scene(Path(folder)) as place:
        return asked[part](place)


def _faults(place: Scene, runs: int) -> list[dict[str, Any]]:
    chance = random.Random(2026)
    rows = []
    for case in CASES:
        for _ in range(runs):
            rows.append(faults.measure(place, case, chance))
            sys.stderr.write(f"  {json.dumps(rows[-1])}\n")
    return rows


if __name__ == "__main__":
    sys.exit(main())
