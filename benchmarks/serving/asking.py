"""Requests made ready: whole HTTP messages of one model, form and size, with the answers that are right."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.connections import Connections
from benchmarks.serving.forms import FORMS
from benchmarks.serving.load import wrong_answers
from benchmarks.serving.models import ROWS, ServedModel
from benchmarks.serving.processes import Cores, ServerProcess

Array = NDArray[np.float64]
#: Different requests of each size, so that nobody can answer from memory.
_VARIETY = {1: 1000, 100: 100, 10_000: 3}
#: How far the first row moves from one request to the next, where that is not the size of a request.
_STRIDES = {10_000: 3_000}


@dataclass(frozen=True)
class Requests:
    """Requests of one size for one model in one form."""

    form: str
    messages: list[bytes]
    expected: Array

    def write(self, folder: Path) -> dict[str, Any]:
        """Write them for the load generator and return where."""
        bounds = np.cumsum([0, *map(len, self.messages)]).tolist()
        (folder / "requests").write_bytes(b"".join(self.messages))
        np.save(folder / "expected.npy", self.expected)
        return {
            "requests": str(folder / "requests"),
            "bounds": bounds,
            "expected": str(folder / "expected.npy"),
            "form": self.form,
        }


def requests(model: ServedModel, form: str, path: str, rows: int) -> Requests:
    """Return requests of `rows` rows each; together they go through the model's rows."""
    how = FORMS[form]
    messages, expected = [], []
    for number in range(_VARIETY[rows]):
        chosen = [(number * _STRIDES.get(rows, rows) + row) % ROWS for row in range(rows)]
        body, headers = how.encode(model, [model.rows[row] for row in chosen])
        lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", f"content-type: {how.content_type}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"content-length: {len(body)}", "", ""]
        messages.append("\r\n".join(lines).encode() + body)
        expected.append(model.expected[chosen])
    return Requests(form, messages, np.asarray(expected))


class NoAnswerError(Exception):
    """A server did not come to answer rightly; the message says how it went."""


def seconds_until_right(server: ServerProcess, port: int, asked: Requests, patience: float = 90.0) -> float:
    """Return the seconds from the start of a server to its first right answer, asking every 20 ms.

    Raises:
        NoAnswerError: it ended, answered wrongly, or did not answer in time.
    """
    deadline = time.perf_counter() + patience
    last = "nothing listens"
    while time.perf_counter() < deadline:
        if not server.running():
            raise NoAnswerError(f"the server ended with code {server.process.returncode}: {server.last_words()}")
        answer = _asked_once(port, asked.messages[0])
        now = time.perf_counter()
        if isinstance(answer, bytes):
            wrong = wrong_answers([(0, answer)], asked.form, [asked.expected[0]])
            if not wrong:
                return now - server.started_at
            raise NoAnswerError(f"wrong answer: {wrong[0]}")
        last = answer or last
        time.sleep(0.02)
    raise NoAnswerError(f"no right answer within {patience:g} s ({last}): {server.last_words()}")


def _asked_once(port: int, message: bytes, patience: float = 20.0) -> bytes | str | None:
    """Return the body of the answer with status 200, another status and what it says, or None without connection."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            pass
        with Connections(port, 1) as connections:
            connections.send(0, message, 0.0)
            deadline = time.perf_counter() + patience
            while time.perf_counter() < deadline:
                for finished in connections.wait(0.02):
                    if finished.status == "200":
                        return finished.body
                    return f"{finished.status}: {finished.body[:300]!r}"
    except OSError:
        return None
    return f"no answer within {patience:g} s"


class GeneratorFailedError(Exception):
    """The load generator ended without a result, as it does when the server goes away."""


def load(asked: Requests, job: dict[str, Any], folder: Path, cores: Cores, name: str, *, check: bool = True) -> Any:
    """Run the load generator on its own core and return its report; latencies go to FOLDER/NAME.npy (ms).

    Raises:
        GeneratorFailedError: it ended without a report.
    """
    document = asked.write(folder) | {"job": job, "cores": cores.client, "latencies": str(folder / f"{name}.npy")}
    if not check:
        np.save(folder / "expected.npy", np.zeros((0, 0)))
    path = folder / "job.json"
    path.write_text(json.dumps(document))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.serving.load", str(path)],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    if done.returncode != 0:
        raise GeneratorFailedError(done.stderr.strip().splitlines()[-1] if done.stderr else "no report")
    return json.loads(done.stdout)
