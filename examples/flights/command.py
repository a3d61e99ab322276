"""Tidegate as a user has it: the command `tidegate`, one JSON document per call."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

Say = Callable[[str], None]


class CommandFailedError(Exception):
    """A command ended with an exit code that the story has no place for; `told` is what it wrote to stderr."""

    def __init__(self, words: tuple[str, ...], code: int, told: str) -> None:
        super().__init__(f"`tidegate {' '.join(words)}` ended with exit code {code}:\n{told.strip()}")
        self.code = code


def executable() -> str:
    """Return the command that belongs to this Python; FileNotFoundError when it is not installed."""
    beside = Path(sys.executable).parent / "tidegate"
    found = str(beside) if beside.exists() else shutil.which("tidegate")
    if found is None:
        raise FileNotFoundError("the command `tidegate` is not installed; `make setup` does it")
    return found


class Running:
    """A command under way: what it writes to stderr is handed on line by line, its document comes at the end."""

    def __init__(self, words: tuple[str, ...], environment: dict[str, str], say: Say) -> None:
        self.words = words
        self._process = subprocess.Popen(
            [executable(), *words, "--output", "json"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Ctrl-C is for the demo, which then ends what it began in the right order.
            start_new_session=True,
        )
        self._told: list[str] = []
        self._document = ""
        self._threads = (
            threading.Thread(target=self._hand_on, args=(self._process.stderr, say), daemon=True),
            threading.Thread(target=self._collect, args=(self._process.stdout,), daemon=True),
        )
        for thread in self._threads:
            thread.start()

    def _hand_on(self, stream: IO[str], say: Say) -> None:
        for line in stream:
            self._told.append(line)
            say(line.rstrip("\n"))

    def _collect(self, stream: IO[str]) -> None:
        self._document = stream.read()

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def wait(self, seconds: float, expected: tuple[int, ...] = (0,)) -> dict[str, Any]:
        """Wait for the end and return the document.

        Raises:
            CommandFailedError: it ended with an exit code that was not expected.
            subprocess.TimeoutExpired: it has not ended in time; it goes on.
        """
        code = self._process.wait(seconds)
        for thread in self._threads:
            thread.join()
        if code not in expected:
            raise CommandFailedError(self.words, code, "".join(self._told))
        return dict(json.loads(self._document)) if self._document.strip() else {}

    def end(self) -> None:
        """End the command if it still runs; what it has begun in Tidegate goes on."""
        if not self.ended:
            self._process.terminate()
            self._process.wait()


class Tidegate:
    """The command line, with a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._environment = {**os.environ, "TIDEGATE_HOME": str(home)}

    def start(self, *words: str, say: Say = lambda _line: None) -> Running:
        """Begin a command."""
        return Running(words, self._environment, say)

    def call(self, *words: str, seconds: float = 60.0) -> dict[str, Any]:
        """Run a command and return its document; raises as `Running.wait` does."""
        running = self.start(*words)
        try:
            return running.wait(seconds)
        finally:
            running.end()
