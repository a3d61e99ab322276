"""Supervisors as real processes, with what they announce, and a client that sends without pause."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.server.processes import DEADLINE_SECONDS, wait_until


@dataclass
class Supervised:
    """A replica of several processes and where it can be reached."""

    process: subprocess.Popen[str]
    run_dir: Path
    events: list[dict[str, Any]] = field(default_factory=list)
    client: httpx.Client = field(default_factory=httpx.Client)

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes, those that build bundles left out."""
        try:
            children = psutil.Process(self.process.pid).children()
        except psutil.NoSuchProcess:
            return []
        return [child for child in children if "tidegate.server" in _command(child)]

    def event(self, kind: str, number: int = 1) -> dict[str, Any]:
        """Wait for the `number`th event of a kind and return it."""

        def found() -> dict[str, Any] | None:
            matching = [event for event in list(self.events) if event["event"] == kind]
            if len(matching) < number and self.process.poll() is not None:
                raise AssertionError((self.run_dir / "log").read_text()[-3000:])
            return matching[number - 1] if len(matching) >= number else None

        event: dict[str, Any] = wait_until(found, f"event {kind}, number {number}")
        return event

    def is_ready(self) -> bool:
        return self.client.get("/v2/health/ready").status_code == 200

    def post(self, path: str, document: Any = None) -> httpx.Response:
        return self.client.post(path, json=document)

    def load(self, **parameters: Any) -> httpx.Response:
        return self.post("/v2/repository/models/flights/load", {"parameters": parameters})

    def version(self) -> str:
        return str(self.client.get("/v2/models/flights").json()["versions"][0])

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(DEADLINE_SECONDS)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@contextmanager
def supervised(run_dir: Path, *options: str, serving: bool = True) -> Iterator[Supervised]:
    """Run a supervisor until the block ends; with `serving`, wait until a model is served."""
    run_dir.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tidegate.server.supervisor", "--run-dir", str(run_dir), "--announce"]
    command += ["--model", "flights", "--drain-seconds", "0.2"]
    # Tests run side by side on few cores: what stands back there may wait for minutes.
    command += ["--load-priority", "normal", *options]
    with (run_dir / "log").open("ab") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, text=True, start_new_session=True
        )
    running = Supervised(process, run_dir)
    reading = threading.Thread(target=_read, args=(running,), daemon=True)
    reading.start()
    descendants: list[psutil.Process] = []
    try:
        listening = running.event("listening")
        running.client.close()
        running.client = httpx.Client(
            base_url=f"http://{listening['host']}:{listening['port']}", timeout=DEADLINE_SECONDS, verify=False
        )
        if serving:
            running.event("serving")
        yield running
    finally:
        if process.poll() is None:
            descendants = psutil.Process(process.pid).children(recursive=True)
            process.terminate()
        try:
            process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
        for descendant in psutil.wait_procs(descendants, timeout=5)[1]:
            descendant.kill()
        running.client.close()
        reading.join(DEADLINE_SECONDS)


def _read(running: Supervised) -> None:
    assert running.process.stdout is not None
    for line in running.process.stdout:
        running.events.append(json.loads(line))


#: Options of a supervisor whose model has all the time that there is. What would wait longer than the latency objective
#: is refused, and where tests run side by side that is no matter of most of them.
PATIENT = ("--", "--latency-objective-ms", "60000")


class Traffic:
    """Clients that ask again and again over kept-alive connections, and some that open a new one each time.

    Attributes:
        slowest_seconds: that a client waited for an answer since this was set to 0.
        errors: what answers other than good ones said.
    """

    def __init__(self, url: httpx.URL, request: Any, connections: int = 6) -> None:
        self.slowest_seconds = 0.0
        self.outcomes: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()
        self.errors: set[str] = set()
        self._url, self._request = url, request
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, args=(index,)) for index in range(connections)]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(DEADLINE_SECONDS)

    @property
    def answered(self) -> int:
        return self.outcomes["200"]

    @property
    def failures(self) -> dict[str, int]:
        return {outcome: count for outcome, count in self.outcomes.items() if outcome != "200"}

    def _ask(self, index: int) -> None:
        client = self._connected()
        while not self._stop.is_set():
            if index == 0:
                client.close()
                client = self._connected()
            began = time.monotonic()
            try:
                answer = client.post("/predict", json=self._request)
                outcome = str(answer.status_code)
                if answer.is_error:
                    self.errors.add(answer.text[:500])
                version = str(answer.json().get("model_version", answer.json().get("model", "")))
            except httpx.HTTPError as error:
                outcome, version = type(error).__name__, ""
            with self._lock:
                self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began)
                self.outcomes[outcome] += 1
                self.versions[version] += 1
            time.sleep(0.004 * (index + 1))  # idle connections, too
        client.close()

    def _connected(self) -> httpx.Client:
        # Plain HTTP: certificate authorities would be read for each, which takes longer than the answer.
        return httpx.Client(base_url=self._url, timeout=DEADLINE_SECONDS, verify=False)


class Kept:
    """A kept-alive connection, of which one can tell whose it is."""

    def __init__(self, url: httpx.URL) -> None:
        self._connection = http.client.HTTPConnection(url.host, url.port, timeout=DEADLINE_SECONDS)

    def ask(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        method, content = ("GET", None) if body is None else ("POST", json.dumps(body))
        self._connection.request(method, path, content, headers or {})
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def is_of(self, worker: psutil.Process) -> bool:
        own = self._connection.sock.getsockname()[1]
        return any(known.raddr and known.raddr.port == own for known in worker.net_connections("tcp"))

    def close(self) -> None:
        self._connection.close()


@contextmanager
def kept_by(worker: psutil.Process, url: httpx.URL) -> Iterator[Kept]:
    """Give a connection that this worker has taken."""
    others: list[Kept] = []

    def found() -> Kept | None:
        kept = Kept(url)
        assert kept.ask("/v2/health/live")[0] == 200
        if kept.is_of(worker):
            return kept
        others.append(kept)
        return None

    kept: Kept = wait_until(found, "a connection of the worker")
    for other in others:
        other.close()
    yield kept
    kept.close()
