"""Start a server as a process, keep it to its cores, weigh it with all that it starts, and end every bit of it.

What belongs to a server is found by an environment variable that its children inherit, not by parenthood: Ray's
processes outlive the one that started them.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MARK = "TIDEGATE_BENCH_RUN"
_END_SECONDS = 15.0


@dataclass(frozen=True)
class Cores:
    """Which cores the server and the load generator have to themselves."""

    server: tuple[int, ...]
    client: tuple[int, ...]


def divided_cores() -> Cores:
    """Return one core for each side, the same for every server.

    Raises:
        RuntimeError: there is only one core; client and server would measure each other.
    """
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        raise RuntimeError("the benchmark needs two cores: one for the server, one for the load generator")
    return Cores(server=(available[0],), client=(available[-1],))


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]


class ServerProcess:
    """A server that runs. Use as a context manager: leaving it ends every process of it."""

    def __init__(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str], cores: Cores, directory: Path
    ) -> None:
        self._run = secrets.token_hex(8)
        self.log = folder / "log"
        self.started_at = time.perf_counter()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=directory,
                env={**os.environ, **environment, MARK: self._run},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: os.sched_setaffinity(0, cores.server),  # noqa: PLW1509 (no threads here)
            )

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self.process.pid

    def running(self) -> bool:
        return self.process.poll() is None

    def pids(self) -> list[int]:
        """Return every process of this server that runs now."""
        wanted = f"{MARK}={self._run}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return found

    def memory_mib(self) -> float:
        """Return the proportional set size of all its processes: shared pages count once, not once per process."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
        return total / 1024

    def last_words(self) -> str:
        """Return the end of its log."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-6:])[-900:]

    def stop(self) -> None:
        """End all its processes, politely first; idempotent."""
        if self.running():
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_END_SECONDS)
        deadline = time.monotonic() + _END_SECONDS
        while (left := self.pids()) and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.01)
