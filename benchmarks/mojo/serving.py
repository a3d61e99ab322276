"""How long a server takes from its start to the first answer: `tidegate serve MODEL`, with machine code at hand and
without, and a container of an image that `tidegate pack` made of the model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Seconds after which a start counts as failed, and between two questions.
_PATIENCE, _PAUSE = 600.0, 0.01


class NoAnswerError(Exception):
    """The server ended, or gave no answer in time."""


def served(model: Path, row: Mapping[str, Any], rounds: int) -> dict[str, float]:
    """Return seconds from the start of the command to the first answer: "warm", the median of some starts, and "cold",
    of one that has to compile."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        kept = Path(folder, "compiled")
        cold = _start(model, row, Path(folder, "home"), kept)
        warm = []
        for number in range(rounds):
            warm.append(_start(model, row, Path(folder, f"home-{number}"), kept))
        shutil.rmtree(kept)
    return {"warm": statistics.median(warm), "cold": cold}


def contained(image: str, row: Mapping[str, Any], rounds: int) -> dict[str, float]:
    """Return seconds from the start of `docker run` to the first answer: the median of some starts, and how much of it
    Docker takes for a container of the image that runs nothing."""
    _empty(image)
    seconds, empty = [], []
    for _ in range(rounds):
        empty.append(_empty(image))
        seconds.append(_contained(image, row))
    return {"seconds": statistics.median(seconds), "empty": statistics.median(empty)}


def _empty(image: str) -> float:
    begun = time.perf_counter()
    subprocess.run(["docker", "run", "--rm", "--entrypoint", "true", image], check=True)
    return time.perf_counter() - begun


def _contained(image: str, row: Mapping[str, Any]) -> float:
    port = _free_port()
    command = ["docker", "run", "--detach", "--rm", "--publish", f"127.0.0.1:{port}:8080", image]
    begun = time.perf_counter()
    container = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    try:
        while not _answers(port, row):
            if time.perf_counter() - begun > _PATIENCE:
                raise NoAnswerError(" ".join(command))
            time.sleep(_PAUSE)
        return time.perf_counter() - begun
    finally:
        subprocess.run(["docker", "rm", "--force", container], check=True, stdout=subprocess.DEVNULL)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _start(model: Path, row: Mapping[str, Any], home: Path, kept: Path) -> float:
    port = _free_port()
    command = [str(Path(sys.executable).with_name("tidegate")), "serve", str(model), "--port", str(port)]
    environment = {**os.environ, "TIDEGATE_HOME": str(home), "NUMBA_CACHE_DIR": str(kept)}
    begun = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        while not _answers(port, row):
            if process.poll() is not None or time.perf_counter() - begun > _PATIENCE:
                raise NoAnswerError(" ".join(command))
            time.sleep(_PAUSE)
        return time.perf_counter() - begun
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _answers(port: int, row: Mapping[str, Any]) -> bool:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/predict",
        json.dumps({"records": [row]}).encode(),
        {"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 (a server of ours)
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
