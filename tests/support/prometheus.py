"""A real Prometheus on a free port, that scrapes what a test serves: from PATH, or from .tools/."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]


def program() -> str:
    """Return the path of the program, or skip the test; CI has it."""
    own = ROOT / ".tools" / "prometheus"
    path = shutil.which("prometheus") or (str(own) if own.exists() else None)
    if path is None:
        reason = "prometheus is neither on PATH nor in .tools/; scripts/get_prometheus.sh fetches it"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@contextmanager
def prometheus(folder: Path, targets: Sequence[str] = (), path: str = "/metrics", token: str = "") -> Iterator[str]:
    """Run it and give its address; it scrapes the targets (HOST:PORT) each 500 ms."""
    port = free_port()
    config = folder / "prometheus.json"
    scraped = {
        "job_name": "test",
        "scrape_interval": "500ms",
        "scrape_timeout": "500ms",
        "metrics_path": path,
        "static_configs": [{"targets": list(targets)}],
    }
    if token:
        scraped["authorization"] = {"credentials": token}
    # JSON is YAML.
    config.write_text(json.dumps({"scrape_configs": [scraped] if targets else []}))
    address = f"http://127.0.0.1:{port}"
    command = [program(), f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    command.append(f"--web.listen-address=127.0.0.1:{port}")
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until(lambda: httpx.get(f"{address}/-/ready").status_code == 200)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def until(done: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if done():
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds:g} s")
