"""How many rows a second does the prediction log take, and what do look-ups notice of it?

Look-ups of one entity go on at a fixed rate, and a duration runs from when each was due. In turn nothing is logged,
what a busy deployment logs, and as much as one sink writes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text

from benchmarks.serving.surroundings import busy_percent
from benchmarks.store.filled import Filled
from benchmarks.store.place import described, shown
from benchmarks.store.spread import spread
from benchmarks.store.vectors import VIEW, keys
from tidegate.features import FeatureStore
from tidegate.store.maintenance import maintain
from tidegate.store.versions import connected
from tidegate.telemetry.opening import STORE_VARIABLE

_ROOT = Path(__file__).resolve().parents[2]
#: Records a second; None for no writer, 0 for as many as it writes.
RATES = (None, 1_000, 5_000, 0)
LOOK_UPS = 200.0


def measure(filled: Filled, rounds: int, seconds: float) -> dict[str, Any]:
    """Measure each rate so often for so long; return look-ups and rows of each."""
    database = connected(filled.url)
    with database.engine.begin() as db:
        db.execute(text("TRUNCATE telemetry.predictions"))
    with database.read() as db:
        now = db.execute(text("SELECT now()")).scalar_one()
    maintain(database, now)
    windows = []
    with FeatureStore(filled.url) as store:
        drawn = keys(1, filled.vectors, seed=7)
        _paced(store, drawn, 2.0)
        for place in range(rounds):
            # There and back, so that what drifts is for one what it is for the other.
            for rate in RATES if place % 2 == 0 else RATES[::-1]:
                windows.append({"rate": rate, **_window(filled, store, drawn, rate, seconds)})
                sys.stderr.write(f"  {rate} asked, {windows[-1]['written'] / windows[-1]['seconds']:,.0f} rows/s\n")
    with database.read() as db:
        rows = db.execute(text("SELECT count(*) FROM telemetry.predictions")).scalar_one()
        size = db.execute(
            text("SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits"
                 " WHERE inhparent = 'telemetry.predictions'::regclass")
        ).scalar_one()  # fmt: skip
    assert rows == sum(window["written"] for window in windows)
    with database.engine.begin() as db:
        db.execute(text("TRUNCATE telemetry.predictions"))
    database.close()
    return {
        "vectors": filled.vectors,
        "server": described(filled.server),
        "look_ups_per_second": LOOK_UPS,
        "rounds": rounds,
        "window_seconds": seconds,
        "bytes_per_row": round(int(size) / max(1, rows)),
        "rates": [_of(rate, windows) for rate in RATES],
    }


def _of(rate: int | None, windows: list[dict[str, Any]]) -> dict[str, Any]:
    those = [window for window in windows if window["rate"] == rate]
    seconds = sum(window["seconds"] for window in those)
    return {
        "rate": rate,
        "written": sum(window["written"] for window in those),
        "failed": sum(window["failed"] for window in those),
        "per_second": round(sum(window["written"] for window in those) / seconds) if rate is not None else 0,
        "cpu_us_per_row": round(
            1e6 * sum(window["cpu"] for window in those) / max(1, sum(window["written"] for window in those)), 1
        ),
        "busy_percent": round(sum(window["busy_percent"] for window in those) / len(those), 1),
        "look_ups": spread([taken for window in those for taken in window["taken"]]),
    }


def _window(filled: Filled, store: FeatureStore, drawn: Any, rate: int | None, seconds: float) -> dict[str, Any]:
    told: dict[str, Any] = {"written": 0, "failed": 0, "seconds": seconds, "cpu": 0.0}
    if rate is None:
        busy = psutil.cpu_times()
        return {**told, "taken": _paced(store, drawn, seconds), "busy_percent": busy_percent(busy)}
    command = [sys.executable, "-m", "benchmarks.store.writer", str(rate), str(seconds)]
    environment = {**os.environ, STORE_VARIABLE: shown(filled.url)}
    with subprocess.Popen(
        command, cwd=_ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            assert process.stdout.readline() == "ready\n"
            process.stdin.write("begin\n")
            process.stdin.flush()
            busy = psutil.cpu_times()
            taken = _paced(store, drawn, seconds)
            told["busy_percent"] = busy_percent(busy)
            told |= json.loads(process.stdout.readline())
        finally:
            process.kill()
    return {**told, "taken": taken}


def _paced(store: FeatureStore, drawn: Any, seconds: float) -> list[float]:
    """Look up at the fixed rate for so long; return how long after each was due its vector was there."""
    taken = []
    begun = time.perf_counter()
    for number in range(int(LOOK_UPS * seconds)):
        due = begun + number / LOOK_UPS
        wanted = next(drawn)
        if (left := due - time.perf_counter()) > 0:
            time.sleep(left)
        found = store.get(VIEW, wanted)
        taken.append(time.perf_counter() - due)
        assert found.keys() == set(wanted)
    return taken
