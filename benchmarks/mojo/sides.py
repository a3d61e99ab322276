"""The two scorers, each in a process of its own that waits for commands, so that they can be timed in turn."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self


class SideFailedError(Exception):
    """A scorer ended instead of answering; the message says what it printed last."""


@dataclass(frozen=True)
class Timing:
    """Some calls: seconds of CPU time of the thread that made them, seconds by the clock, the sum of what they said."""

    calls: int
    cpu: float
    wall: float
    total: float


class Side:
    """One scorer with one model loaded. Use as a context manager."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder
        )

    def __enter__(self) -> Self:
        try:
            self._read()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._end()

    def timed(self, what: str, calls: int) -> Timing:
        cpu, wall, total = self._asked(f"{what} {calls}").split()
        return Timing(calls, int(cpu) / 1e9, int(wall) / 1e9, float(total))

    def memory(self) -> int:
        """Return the bytes that the model keeps."""
        return int(self._asked("memory"))

    def steps(self) -> float:
        """Return how many nodes of the model's trees a row goes through; 0 without trees. Of our side alone."""
        return float(self._asked("steps"))

    def _asked(self, line: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None
            raise SideFailedError(self._process.stderr.read()[-800:])
        return line.strip()

    def _end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
