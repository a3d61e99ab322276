"""A file of lines to which several processes append, and which any of them may turn over.

The workers of a replica log to one file, during a swap those of two models. Who writes holds the lock of the file that
has the name at that moment (flock(2)), and whoever got the lock of one that was turned over meanwhile opens the name
again. So a line is whole, in one file, and in one place, whatever the others do. The lock ends with its process, and
half a line, which only a process leaves that is killed in the middle of it, is taken off by the next who writes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

#: Where the end of the last whole line is looked for, from the end of the file backwards.
_CHUNK = 64 * 1024


class SharedFile:
    """Lines in `path`; older ones in `path.1`, `path.2`, …, the oldest of which go.

    Not for several threads at once.

    Args:
        limit_bytes: size at which the next file is begun.
        files: how many are kept, at least 1, the one that is written to among them.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, limit_bytes: int, files: int) -> None:
        self._path = path
        self._limit = limit_bytes
        self._files = files
        self._descriptor = self._open()

    def append(self, lines: Sequence[bytes]) -> None:
        """Write lines down, each without its end; all of one call, or with an error those of the files that are full.

        Raises:
            OSError: the disk is full, or the file cannot be opened any more.
        """
        left = list(lines)
        while left:
            with self._locked() as descriptor:
                size = _without_torn_end(descriptor)
                taken = self._fitting(left, size)
                if not taken:
                    self._turn_over()
                    continue
                _write_whole(descriptor, b"".join(line + b"\n" for line in left[:taken]), size)
            del left[:taken]

    def close(self) -> None:
        os.close(self._descriptor)

    def _open(self) -> int:
        # What users sent is for the owner of the process alone.
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.fchmod(descriptor, 0o600)
        return descriptor

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """Hold the lock of the file that has the name now."""
        while True:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            if self._is_current():
                break
            fresh = self._open()
            os.close(self._descriptor)  # and with it, its lock
            self._descriptor = fresh
        descriptor = self._descriptor
        try:
            yield descriptor
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)

    def _is_current(self) -> bool:
        try:
            named = self._path.stat()
        except FileNotFoundError:
            return False
        own = os.fstat(self._descriptor)
        return (named.st_dev, named.st_ino) == (own.st_dev, own.st_ino)

    def _fitting(self, lines: Sequence[bytes], size: int) -> int:
        """Return how many of the lines go into a file of this size; a line longer than a file has one for itself."""
        count = 0
        for line in lines:
            size += len(line) + 1
            if size > self._limit and (count or size > len(line) + 1):
                break
            count += 1
        return count

    def _turn_over(self) -> None:
        """Give the name free. Whoever waits for the lock of the file that had it sees that it has it no more."""
        names = [self._path]
        # Up to the first name that is free, or the last that may be: the lock is held meanwhile.
        while len(names) < self._files and names[-1].exists():
            names.append(self._path.with_name(f"{self._path.name}.{len(names)}"))
        for age in range(len(names) - 1, 0, -1):
            names[age - 1].replace(names[age])
        if self._files == 1:
            self._path.unlink()


def _without_torn_end(descriptor: int) -> int:
    """Cut off what stands behind the end of the last line; return the size."""
    size = os.fstat(descriptor).st_size
    if not size or os.pread(descriptor, 1, size - 1) == b"\n":
        return size
    while size:
        start = max(0, size - _CHUNK)
        cut = os.pread(descriptor, size - start, start).rfind(b"\n")
        size = start + cut + 1  # `start` itself where there is none
        if cut >= 0:
            break
    os.ftruncate(descriptor, size)
    return size


def _write_whole(descriptor: int, data: bytes, size: int) -> None:
    """Append everything, or nothing: what was written before an error is taken off again."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError:
        os.ftruncate(descriptor, size)
        raise
