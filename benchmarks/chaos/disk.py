"""A disk of its own for the home, small enough to be filled: a tmpfs, which only root may mount."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Enough for what the gate asks of a disk, and for some hundred rollouts.
_BYTES = 768 << 20
#: Left to be filled block by block, since others write meanwhile.
_LEFT = 1 << 20
_BLOCK = bytes(4096)


class Disk:
    """The mounted disk."""

    def __init__(self, folder: Path) -> None:
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Leave no byte free; what the processes on it let go of is theirs again."""
        with self._filler.open("wb", buffering=0) as stream:
            found = os.statvfs(self._filler.parent)
            free = found.f_bavail * found.f_frsize
            with suppress(OSError):
                os.posix_fallocate(stream.fileno(), 0, max(1, free - _LEFT))
            stream.seek(0, os.SEEK_END)
            with suppress(OSError):
                while stream.write(_BLOCK):
                    pass

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)


@contextmanager
def mounted(folder: Path) -> Iterator[Disk]:
    """Mount a disk at the folder, and take it off again.

    Raises:
        RuntimeError: this user may not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_BYTES},mode=0700", "tidegate-chaos", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise RuntimeError(f"a disk to fill cannot be mounted ({made.stderr.strip()}); leave it out: --without disk")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
