"""For how long are records gathered before they are written together: what does each span cost, and what do users see?

A replica for each span, all of whose requests are logged, and one without a log; one process each, asked in turn past
the gateway. Processor time is counted, since that is the same whatever else the machine does: of the replica, and of
the database's process that the replica is connected to.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
from sqlalchemy import text

from benchmarks.delivery import models
from benchmarks.serving.processes import free_ports
from benchmarks.store.place import described, server, shown
from tidegate.artifact.build import BuildRequest, build_bundle
from tidegate.store.database import Database
from tidegate.store.versions import connected
from tidegate.telemetry.opening import STORE_VARIABLE

_ROOT = Path(__file__).resolve().parents[2]
#: Seconds; None for no log.
SPANS = (None, 0.0, 0.025, 0.1, 1.0)
RATE = 1_000
_CONNECTIONS = 64
_START_SECONDS = 60.0
_QUIET_SECONDS = 1.3


@dataclass(frozen=True)
class _Replica:
    span: float | None
    port: int
    process: psutil.Process
    #: Of the database, that the log's connection is; None without a log.
    backend: psutil.Process | None


def measure(rounds: int, seconds: float) -> dict[str, Any]:
    """Ask each replica so often for so long; return processor time and p99 of each span, medians over the rounds."""
    with ExitStack() as stack:
        running = stack.enter_context(server())
        url = running.fresh()
        database = connected(url)
        stack.callback(database.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-store-")))
        bundle = asyncio.run(build_bundle(BuildRequest(models.real(folder, 1)), folder / "bundles")).folder
        environment = {**os.environ, STORE_VARIABLE: shown(url)}
        replicas = [stack.enter_context(_started(span, bundle, folder, environment, database)) for span in SPANS]
        found: dict[float | None, list[dict[str, float]]] = {span: [] for span in SPANS}
        for place in range(rounds):
            for one in replicas if place % 2 == 0 else replicas[::-1]:
                found[one.span].append(_window(one, folder, seconds))
        about = described(running)
        with database.read() as db:
            rows = db.execute(text("SELECT count(*) FROM telemetry.predictions")).scalar_one()
    return {
        "server": about,
        "rate": RATE,
        "rounds": rounds,
        "window_seconds": seconds,
        "rows": rows,
        "spans": [
            {"seconds": span, **{name: round(median(one[name] for one in found[span]), 3) for name in found[span][0]}}
            for span in SPANS
        ],
    }


@contextmanager
def _started(
    span: float | None, bundle: Path, folder: Path, environment: dict[str, str], database: Database
) -> Iterator[_Replica]:
    (port,) = free_ports(1)
    run_dir = folder / f"replica-{span}"
    run_dir.mkdir()
    module = ["tidegate.server"] if span is None else ["benchmarks.store.gathering", str(span)]
    command = [sys.executable, "-m", *module, "--bundle", str(bundle), "--run-dir", str(run_dir)]
    command += ["--deployment", "bench", "--revision", "1", "--port", str(port)]
    command += [] if span is None else ["--prediction-log", "store:"]
    before = _backends(database)
    with (run_dir / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=_ROOT, env=environment, stdin=subprocess.DEVNULL, stderr=log)
    try:
        _send(port, folder, 1.0, 20)
        new = set() if span is None else _until("the log's connection", lambda: _backends(database) - before)
        backend = psutil.Process(new.pop()) if new else None
        yield _Replica(span, port, psutil.Process(process.pid), backend)
    finally:
        process.terminate()
        process.wait(_START_SECONDS)


def _backends(database: Database) -> set[int]:
    """Return the processes of the database that a log is connected to."""
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'tidegate prediction log'"
    with database.read() as db:
        return set(db.execute(text(query)).scalars())


def _until(what: str, ask: Any) -> Any:
    deadline = time.monotonic() + _START_SECONDS
    while not (found := ask()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {_START_SECONDS:.0f} s: {what}")
        time.sleep(0.05)
    return found


def _window(one: _Replica, folder: Path, seconds: float) -> dict[str, float]:
    _send(one.port, folder, 1.0, RATE)
    processes = [one.process, *([] if one.backend is None else [one.backend])]
    before = [_worked(process) for process in processes]
    sent = _send(one.port, folder, seconds, RATE)
    # What was gathered last is written after the last answer.
    time.sleep(_QUIET_SECONDS)
    spent = [_worked(process) - then for process, then in zip(processes, before, strict=True)]
    if (sent[:, 2] != 200).any():
        raise RuntimeError(f"{int((sent[:, 2] != 200).sum())} requests failed")
    return {
        "replica_us": 1e6 * spent[0] / len(sent),
        "database_us": 1e6 * sum(spent[1:]) / len(sent),
        "p50_ms": float(np.median(sent[:, 1] - sent[:, 0]) * 1000),
        "p99_ms": float(np.percentile((sent[:, 1] - sent[:, 0]) * 1000, 99)),
    }


def _worked(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _send(port: int, folder: Path, seconds: float, rate: float) -> Any:
    """Let users send for so long; return what they noted. Waits for a replica that is starting."""
    job, notes = folder / "job.json", folder / "notes.npy"
    _until("the replica is ready", lambda: _is_ready(port))
    document = {
        "port": port,
        "path": "/predict",
        "bodies": [json.dumps([row]) for row in models.rows()],
        "logged": [(0.0, True)],
        "rate": rate,
        "seconds": seconds,
        "connections": _CONNECTIONS,
        "begin": time.monotonic() + 0.7,
        "notes": str(notes),
    }
    job.write_text(json.dumps(document))
    subprocess.run([sys.executable, "-m", "benchmarks.store.sender", str(job)], check=True, cwd=_ROOT)
    return np.load(notes)


def _is_ready(port: int) -> bool:
    import httpx

    try:
        return httpx.get(f"http://127.0.0.1:{port}/v2/health/ready", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
