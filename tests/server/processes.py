"""Replicas as real processes, started as a target starts them and ended by their pid."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

DEADLINE_SECONDS = 120.0


def wait_until(condition: Callable[[], Any], what: str, seconds: float = DEADLINE_SECONDS) -> Any:
    """Return the first true value of `condition`, asked every 5 ms; fail the test when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {seconds} s: {what}")
        time.sleep(0.005)
    return value


@dataclass
class ReplicaProcess:
    """A replica's process and where it can be reached."""

    process: subprocess.Popen[bytes]
    run_dir: Path
    client: httpx.Client

    def log_lines(self) -> list[dict[str, Any]]:
        """Return what the process wrote to stderr; every line must be a JSON object."""
        return [json.loads(line) for line in (self.run_dir / "log").read_text().splitlines()]

    def is_ready(self) -> bool:
        return self.client.get("/v2/health/ready").status_code == 200

    def stop(self) -> int:
        """Ask the process to end, wait until it did, and return its exit code."""
        self.process.terminate()
        return self.process.wait(DEADLINE_SECONDS)


def spawn(bundle: Path, run_dir: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start a replica without waiting for anything; its log is RUN_DIR/log."""
    run_dir.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tidegate.server", "--bundle", str(bundle), "--run-dir", str(run_dir)]
    command += ["--deployment", "flights", "--revision", "3", "--replica", "0", *options]
    with (run_dir / "log").open("ab") as log:
        return subprocess.Popen(command, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)


@contextmanager
def replica(bundle: Path, run_dir: Path, *options: str, ready: bool = True) -> Iterator[ReplicaProcess]:
    """Run a replica until the block ends; with `ready`, wait until it serves."""
    process = spawn(bundle, run_dir, *options)
    try:
        state_file = run_dir / "state.json"
        wait_until(lambda: state_file.exists() or process.poll() is not None, "the replica listens")
        assert process.poll() is None, (run_dir / "log").read_text()
        state = json.loads(state_file.read_bytes())
        with httpx.Client(
            base_url=f"http://{state['host']}:{state['port']}", timeout=DEADLINE_SECONDS, verify=False
        ) as client:
            running = ReplicaProcess(process, run_dir, client)
            if ready:
                wait_until(lambda: process.poll() is not None or running.is_ready(), "the replica is ready")
            yield running
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(DEADLINE_SECONDS)
