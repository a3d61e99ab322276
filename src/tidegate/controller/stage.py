"""Where a rehearsal plays: a folder below the user's home with a home of its own, and so a store, ports and a gateway.

- `held`: locked (`flock`) by who rehearses, for as long as it lives. The controller in there ends, and ends all that it
  started, when nobody holds it; so no rehearsal outlives the command that began it, even one ended with SIGKILL.
- `home/`: like any other, and removed at the end. Its `faults.json` has the fault of each revision that has one; see
  `target.process.with_faults`.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tidegate.contract.errors import Conflict
from tidegate.controller.home import write_atomically
from tidegate.gateway.os_process import is_locked

_TRIES, _TRY_SECONDS = 20, 0.02


@dataclass(frozen=True)
class Stage:
    """Paths of a rehearsal; at most one is under way in each."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def faults_file(self) -> Path:
        return self.home / "faults.json"

    @property
    def _lock_file(self) -> Path:
        return self.root / "held"

    def set_faults(self, faults: Mapping[int, str]) -> None:
        """Say which revisions have a fault, before their processes are started."""
        write_atomically(self.faults_file, json.dumps({str(revision): fault for revision, fault in faults.items()}))

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Have the stage for oneself; the lock goes with the process, however that ends.

        Raises:
            Conflict: somebody else rehearses there.
        """
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not _taken(descriptor):
                raise Conflict(
                    "another rehearsal is under way in this home",
                    subject=str(self.root),
                    hint="wait for it, or end it with Ctrl-C where it runs",
                )
            yield
        finally:
            os.close(descriptor)

    def is_held(self) -> bool:
        """Say whether somebody rehearses there."""
        return is_locked(self._lock_file)


def _taken(descriptor: int) -> bool:
    """Lock the file for oneself; who only looks whether it is held holds it for an instant, and is waited for."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_TRY_SECONDS)
        else:
            return True
    return False
