"""Faults inside the controller that no signal makes: its clock is set, and it dies in the middle of a store write.

`faults.c` is compiled when it is needed and preloaded into the controller, which hands it on to its replicas. What is
real: all that these processes ask of the time of day moves, and half of a page is in the store's log when the process
dies. What is not: the clock of the kernel stays, so times of files and what `/proc/stat` dates the boot by do not move.
"""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SOURCE = Path(__file__).with_name("faults.c")
#: `struct control` of faults.c.
_CONTROL = struct.Struct("=qi4x")


class Faults:
    """The control file of the faults, and the environment in which a controller obeys it."""

    def __init__(self, folder: Path) -> None:
        library, control = folder / "faults.so", folder / "faults"
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, _SOURCE, "-ldl"], check=True)
        control.write_bytes(_CONTROL.pack(0, 0))
        with control.open("r+b") as stream:
            self._control = mmap.mmap(stream.fileno(), _CONTROL.size)
        self._variables = {"LD_PRELOAD": str(library), "CHAOS_FAULTS": str(control)}

    @contextmanager
    def for_children(self) -> Iterator[None]:
        """Let processes that are started meanwhile obey."""
        os.environ.update(self._variables)
        try:
            yield
        finally:
            for name in self._variables:
                del os.environ[name]

    def move_clock(self, seconds: float) -> None:
        """Set the clock forward by so much, or back."""
        moved, _ = _CONTROL.unpack(self._control[:])
        self._control[0:8] = struct.pack("=q", moved + int(seconds * 1e9))

    def kill_in_store_write(self, number: int) -> None:
        """Let the controller die in the middle of its next write of the store, or of a later one; 0: let it live."""
        self._control[8:12] = struct.pack("=i", number)
