"""`tidegate up --foreground`: stay, start the controller again when it dies, and end everything when told to.

But for replicas in containers of their own, and a gateway that has one: those serve on, and are found again by the next
controller.

For who supervises processes and not a home: a container, whose processes all end with its first one, or a service
manager. Replicas and gateway do not need the controller, so its end must not be theirs: whoever stays outlives it, and
starts another, which adopts what runs.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

from tidegate.boot import birth_of
from tidegate.contract.errors import TidegateError
from tidegate.controller import launch
from tidegate.controller.home import Home, write_atomically

#: How often the controller is looked at and its log is read; both are cheap.
POLL_SECONDS = 0.5
#: How long is waited before a start that failed is tried again: the first time, doubled each time, and at most.
FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 1.0, 30.0

Tell = Callable[[dict[str, Any]], None]
Start = Callable[[], launch.ControllerInfo]


def stay(home: Path, start: Start, tell: Tell) -> None:
    """Start the controller and keep one running until SIGTERM, SIGINT or `tidegate down`; then end everything.

    Args:
        start: starts a controller of this home, or finds one that runs.
        tell: is handed what happens, as one document each with its `event`: up, log (a line of the controller's), gone,
            failed, stopped.

    Raises:
        TidegateError: the controller could not be started at first. Later that is told, and tried again.
    """
    place = Home(home)
    log = Tail(place.controller_log)
    with _until_told() as ending:
        info = start()
        # Before it is told: whoever hears that it is up may type `tidegate down`.
        write_atomically(place.foreground_file, json.dumps({"pid": os.getpid(), "born": birth_of(os.getpid())}))
        tell({"event": "up", "controller_url": info.url, "gateway_url": info.gateway_url, "pid": info.pid})
        delay_seconds = FIRST_DELAY_SECONDS
        while not ending.wait(POLL_SECONDS):
            for line in log.lines():
                tell({"event": "log", "line": line})
            lives = launch.lives(home)
            # `tidegate down` takes the file away before it ends the controller, so whoever saw that gone looks after.
            if not place.foreground_file.exists():
                break
            if lives:
                continue
            tell({"event": "gone"})
            try:
                info = start()
            except TidegateError as error:
                tell({"event": "failed", "message": str(error), "again_seconds": delay_seconds})
                ending.wait(delay_seconds)
                delay_seconds = min(2 * delay_seconds, LONGEST_DELAY_SECONDS)
                continue
            delay_seconds = FIRST_DELAY_SECONDS
            tell({"event": "up", "controller_url": info.url, "gateway_url": info.gateway_url, "pid": info.pid})
        # Whoever is told to end is to be replaced, it may be; `tidegate down` has ended all by now.
        tell({"event": "stopped", "stopped": launch.stop(home, keep_containers=ending.is_set())})


@contextmanager
def _until_told() -> Iterator[threading.Event]:
    """Give an event that SIGTERM and SIGINT set, instead of what they do else."""
    ending = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ending.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Tail:
    """What is appended to a text file from now on, through its rotations.

    Args:
        path: it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: BinaryIO | None = None
        self._part = b""
        self._open()
        if self._stream is not None:
            self._stream.seek(0, os.SEEK_END)

    def lines(self) -> list[str]:
        """Return the lines that are whole by now, each once."""
        found = self._read()
        if self._is_another():
            found += self._read()  # what was written between the two looks
            self._open()
            found += self._read()
        return found

    def _open(self) -> None:
        if self._stream is not None:
            self._stream.close()
        try:
            self._stream = self._path.open("rb")
        except FileNotFoundError:
            self._stream = None

    def _is_another(self) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:  # in the middle of a rotation
            return False
        return self._stream is None or os.fstat(self._stream.fileno()).st_ino != there.st_ino

    def _read(self) -> list[str]:
        if self._stream is None:
            return []
        *whole, self._part = (self._part + self._stream.read()).split(b"\n")
        return [line.decode("utf-8", errors="replace") for line in whole]
