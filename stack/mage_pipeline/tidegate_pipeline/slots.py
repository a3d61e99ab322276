"""A bound on what happens at once, over processes: a slot is a lock, which the system drops with who holds it."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Between two looks for a free slot.
_PAUSE_SECONDS = 0.5


class NoSlotError(Exception):
    """All slots were taken for as long as was waited."""


@contextmanager
def slot(folder: Path, name: str, count: int, wait_seconds: float) -> Iterator[int]:
    """Hold one of `count` slots, 0 to `count` - 1, of whoever uses the same folder of this machine and name.

    Args:
        wait_seconds: for one to become free; 0 to look once.

    Raises:
        NoSlotError: none did.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    until = time.monotonic() + wait_seconds
    while True:
        for number in range(count):
            with (folder / f"{name}.{number}.lock").open("a") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                yield number
                return
        left = until - time.monotonic()
        if left <= 0:
            raise NoSlotError(f"all {count} slots of {name} are taken")
        time.sleep(min(left, _PAUSE_SECONDS))
