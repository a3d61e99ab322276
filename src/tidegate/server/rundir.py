"""The folder of one replica: the lock that makes it the only one, and the file that says where it listens."""

from __future__ import annotations

import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import orjson

from tidegate.boot import birth_of
from tidegate.contract.errors import Conflict

LOCK_NAME = "lock"
STATE_NAME = "state.json"
WORKER_DEATHS_NAME = "worker-deaths"


def take_lock(run_dir: Path) -> IO[bytes]:
    """Take the replica's lock and return the open file; the lock is held until that file is closed or the process ends.

    Raises:
        Conflict: another process holds it, so this replica runs already.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    stream = (run_dir / LOCK_NAME).open("ab")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        raise Conflict(
            "this replica runs already: another process holds its lock", subject=str(run_dir / LOCK_NAME)
        ) from None
    return stream


def write_state(run_dir: Path, host: str, port: int, grpc_port: int | None = None) -> None:
    """Say where this process listens, whole or not at all: a reader never sees half a file."""
    pid = os.getpid()
    state = {
        "pid": pid,
        "born": birth_of(pid),
        "host": host,
        "port": port,
        "started_at": datetime.now(UTC).isoformat(),
    }
    if grpc_port is not None:
        state["grpc_port"] = grpc_port
    beside = run_dir / f"{STATE_NAME}.{pid}"
    beside.write_bytes(orjson.dumps(state))
    beside.replace(run_dir / STATE_NAME)


def write_worker_deaths(run_dir: Path, count: int) -> None:
    """Say how many workers of this replica died: to whoever started it, they are deaths like its own."""
    beside = run_dir / f"{WORKER_DEATHS_NAME}.{os.getpid()}"
    beside.write_text(str(count), encoding="ascii")
    beside.replace(run_dir / WORKER_DEATHS_NAME)
