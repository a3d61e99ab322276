"""Does serving notice the log? The p99 of users' answers while a share of their requests, or all, is logged, or none.

One deployment with `predictionLog: {sink: "store:", sample: 50%}` and one replica. Which requests are in the sample
their ids decide, and users choose ids: in windows that are logged a share is in it, in the others none. So both
are of the same processes, users and times of sending, and differ in nothing but that each record is made, handed to
the log's thread and copied into PostgreSQL. Of the four windows of a block the inner two are logged, or the outer two,
by lot: a machine that gets slower or faster is the same to both, and what lots alone would do can be reckoned.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from benchmarks.delivery import models
from benchmarks.delivery.scene import Scene, scene
from benchmarks.serving.surroundings import busy_percent
from benchmarks.store.place import described, server, shown
from benchmarks.store.sender import choice
from tidegate.store.address import parse_address
from tidegate.store.database import Database
from tidegate.store.versions import connected
from tidegate.telemetry.opening import STORE_VARIABLE

#: Requests a second, the share of them that is logged, and blocks of four windows.
LOADS = ((1_000, 0.1, 24), (1_000, 1.0, 24))
FEW_LOADS = ((1_000, 1.0, 2), (1_000, 0.1, 2))
_SEED = 1
SAMPLE = "50%"
_CONNECTIONS = 64
_WARM_SECONDS = 4.0
#: Of a window's beginning: what is logged then may be of requests before it.
_SETTLE_SECONDS = 1.2
_COUNTER = "tidegate_server_prediction_log_records"


def measure(loads: Sequence[tuple[int, float, int]], window_seconds: float) -> list[dict[str, Any]]:
    """Take blocks of windows at each load; return the p99 of each and what became of the records."""
    with server() as running, _store(shown(running.fresh())) as database:
        fields = {
            "predictionLog": {"sink": "store:", "sample": SAMPLE},
            "infrastructure": {"resources": {"replicas": 1}},
        }
        about = described(running)
        with tempfile.TemporaryDirectory(prefix="tidegate-store-") as folder, scene(Path(folder), **fields) as place:
            return [{"server": about, **_at(place, database, load, window_seconds)} for load in loads]


@contextmanager
def _store(url: str) -> Iterator[Database]:
    """Let the controller that is started keep everything in a database, and its replicas log to it."""
    before, address = os.environ.get(STORE_VARIABLE), parse_address(url)
    os.environ[STORE_VARIABLE] = url
    database = connected(address)
    try:
        yield database
    finally:
        database.close()
        os.environ.pop(STORE_VARIABLE)
        if before is not None:
            os.environ[STORE_VARIABLE] = before


def turns(blocks: int, seed: int) -> list[bool]:
    """Return for each window whether it is logged: in each block of four the inner two or the outer two, by lot."""
    return [is_inner == (place in (1, 2)) for is_inner in _lots(blocks, seed) for place in range(4)]


def _lots(blocks: int, seed: int) -> list[bool]:
    drawn = random.Random(seed)
    return [drawn.random() < 0.5 for _ in range(blocks)]


def _at(place: Scene, database: Database, load: tuple[int, float, int], seconds: float) -> dict[str, Any]:
    rate, share, blocks = load
    planned = turns(blocks, _SEED)
    begin = time.monotonic() + 2.0
    starts = [begin + _WARM_SECONDS + number * seconds for number in range(len(planned) + 1)]
    rows_before, counted_before = _rows(database), _counted(place)
    logged = [(start, share if turn else 0.0) for start, turn in zip(starts, planned, strict=False)]
    with _users(place, rate, begin, logged, starts[-1] - begin) as (users, notes):
        busy = {True: [], False: []}
        for start, turn in zip(starts, planned, strict=False):
            time.sleep(max(0.0, start - time.monotonic()))
            before = psutil.cpu_times()
            time.sleep(max(0.0, start + seconds - time.monotonic()))
            busy[turn].append(busy_percent(before))
        users.wait(60)
        sent = np.load(notes)
    is_taken = choice(_from(begin, logged))
    asked = sum(map(is_taken, sorted(sent[:, 0])))
    counted, rows = _settled(place, database, counted_before, rows_before, asked)
    p99s = [_p99(sent, start + _SETTLE_SECONDS, start + seconds) for start in starts[:-1]]
    with_log, without = (
        [one for one, turn in zip(p99s, planned, strict=True) if turn is side] for side in (True, False)
    )
    return {
        "rate": rate,
        "share": share,
        "window_seconds": seconds,
        "p99_ms_without": without,
        "p99_ms_with": with_log,
        "ratios": _of_blocks(with_log, without),
        "median_p99_ms_without": round(statistics.median(without), 3),
        "median_p99_ms_with": round(statistics.median(with_log), 3),
        "busy_percent_without": round(statistics.median(busy[False]), 1),
        "busy_percent_with": round(statistics.median(busy[True]), 1),
        "requests": len(sent),
        "failed": int((sent[:, 2] != 200).sum()),
        "logged_requests": asked,
        "records": counted,
        "rows": rows,
    }


def _of_blocks(with_log: Sequence[float], without: Sequence[float]) -> list[float]:
    """Return the ratio of each block: of the geometric means of its two windows of either side."""
    logs = np.log(with_log) - np.log(without)
    return [round(float(ratio), 4) for ratio in np.exp(logs.reshape(-1, 2).mean(axis=1))]


def _p99(sent: Any, begin: float, end: float) -> float:
    of_window = sent[(sent[:, 0] >= begin) & (sent[:, 0] < end)]
    return round(float(np.percentile((of_window[:, 1] - of_window[:, 0]) * 1000, 99)), 3)


@contextmanager
def _users(
    place: Scene, rate: int, begin: float, logged: list[tuple[float, float]], seconds: float
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Let users send from `begin` on for so long; yield their process and where it leaves its notes."""
    url = urlsplit(f"{place.status()['url']}/predict")
    folder = Path(tempfile.mkdtemp(dir=place.folder))
    job = {
        "port": url.port,
        "path": url.path,
        "bodies": [json.dumps([row]) for row in models.rows()],
        "logged": _from(begin, logged),
        "rate": rate,
        "seconds": seconds,
        "connections": _CONNECTIONS,
        "begin": begin,
        "notes": str(folder / "notes.npy"),
    }
    (folder / "job.json").write_text(json.dumps(job))
    users = subprocess.Popen([sys.executable, "-m", "benchmarks.store.sender", str(folder / "job.json")])
    try:
        yield users, folder / "notes.npy"
    finally:
        users.kill()
        users.wait()


def _from(begin: float, logged: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the shares from the first request on; before the first window nothing is logged."""
    return [(begin, 0.0), *logged]


def _settled(
    place: Scene, database: Database, counted: dict[str, int], rows: int, expected: int
) -> tuple[dict[str, int], int]:
    """Wait until the log has done with what was asked; return what it counted, and how many rows are there."""
    deadline = time.monotonic() + 15.0
    while True:
        now = {outcome: count - counted.get(outcome, 0) for outcome, count in _counted(place).items()}
        if sum(now.values()) >= expected or time.monotonic() > deadline:
            return now, _rows(database) - rows
        time.sleep(0.1)


def _counted(place: Scene) -> dict[str, int]:
    """Return the records of the log by what became of them, as the replica counts them."""
    found: dict[str, int] = {}
    for family in text_string_to_metric_families(place.metrics()):
        if family.name == _COUNTER:
            for sample in family.samples:
                outcome = sample.labels.get("outcome")
                if outcome is not None and sample.name.endswith("_total"):
                    found[outcome] = found.get(outcome, 0) + int(sample.value)
    return found


def _rows(database: Database) -> int:
    with database.read() as db:
        return int(db.execute(text("SELECT count(*) FROM telemetry.predictions")).scalar_one())
