"""`python -m benchmarks.store`: the store in PostgreSQL under load; see `make bench-store`.

Six questions: how long does a look-up take among ten million vectors (`lookup`), how many rows a second does the
prediction log take, and what do look-ups notice (`log`), what is the GIN index worth (`containment`), which partitions
does a year make and drop (`partitions`), does serving notice the log (`serving`), and for how long are its records
best gathered (`gather`)? Writes benchmarks/results/store.json and .md; parts that are not asked for keep what was
measured before.

It runs Debian's PostgreSQL 15 with pg_partman, else the one that pip installs; `partitions` needs Debian's, and
faketime. The vectors are loaded once, into .bench/store, which takes some 15 GB and half of the time of a first run.
All parts take some 25 minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.serving.surroundings import load_average, machine
from benchmarks.store import containment, gather, log, lookup, partitions, serving
from benchmarks.store.filled import filled
from benchmarks.store.page import page
from tests.support.debian_postgresql import lacking

_ROOT = Path(__file__).resolve().parents[2]
RESULTS = _ROOT / "benchmarks" / "results"
DATA = _ROOT / ".bench" / "store"
VECTORS, FEW_VECTORS = 10_000_000, 50_000
PARTS = ("lookup", "log", "containment", "partitions", "serving", "gather")


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parse(arguments)
    # What was started is ended, however this is.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    file = given.results / "store.json"
    result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for part in given.only or PARTS:
        if part == "partitions" and (what := lacking(partman=True, clock=True)) is not None:
            if given.only:
                raise SystemExit(what)
            sys.stderr.write(f"{part} is left out: {what}\n")
            continue
        sys.stderr.write(f"{part} …\n")
        at, before, begun = datetime.now(UTC).isoformat(timespec="seconds"), load_average(), time.perf_counter()
        measured = _measure(part, given)
        result[part] = {
            "at": at,
            "seconds": time.perf_counter() - begun,
            "load_average": {"before": before, "after": load_average()},
            "quick": given.quick,
            "machine": machine(),
            "measured": measured,
        }
        given.results.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        (given.results / "store.md").write_text(page(result), encoding="utf-8")
    sys.stdout.write(page(result))
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.store", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part alone; may be repeated")
    parser.add_argument("--quick", action="store_true", help="few vectors and short windows, to see that it runs")
    parser.add_argument("--vectors", type=int, help=f"of the view ({VECTORS:,}; {FEW_VECTORS:,} with --quick)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for store.json and store.md")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the database with the vectors")
    return parser.parse_args(arguments)


def _measure(part: str, given: argparse.Namespace) -> Any:
    quick, data = given.quick, given.data.absolute()
    vectors = given.vectors or (FEW_VECTORS if quick else VECTORS)

    def of_vectors(measure: Callable[..., Any], *args: float) -> Any:
        with filled(vectors, data) as place:
            return measure(place, *args)

    asked: dict[str, Callable[[], Any]] = {
        "lookup": lambda: of_vectors(lookup.measure, 1.0 if quick else 15.0),
        "log": lambda: of_vectors(log.measure, *((1, 1.0) if quick else (3, 6.0))),
        "containment": lambda: of_vectors(containment.measure, 1 if quick else 5),
        "partitions": lambda: partitions.measure(10 if quick else 1_000),
        "serving": lambda: serving.measure(*((serving.FEW_LOADS, 1.5) if quick else (serving.LOADS, 5.0))),
        "gather": lambda: gather.measure(*((1, 1.5) if quick else (3, 4.0))),
    }
    return asked[part]()


if __name__ == "__main__":
    sys.exit(main())
