"""Room on the home's disk that is kept for the one thing that cannot wait for room: taking a candidate back."""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

#: A decision takes some pages of the database and its log, and some files of the gateway, all of them small.
_BYTES = 8 << 20
#: Less than this is no room.
_NO_ROOM_BYTES = 1 << 20
#: It is taken only from a disk that has plenty.
_PLENTY_BYTES = 8 * _BYTES


class Reserve:
    """A file that is nothing but room."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._file = home / "reserve"

    def keep(self) -> None:
        """Have the room kept, where there is none kept yet and the disk has plenty.

        Raises:
            OSError: the disk cannot be used.
        """
        if self._file.exists() or shutil.disk_usage(self._home).free < _PLENTY_BYTES:
            return
        beside = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        try:
            with beside.open("wb") as stream:
                os.posix_fallocate(stream.fileno(), 0, _BYTES)
            beside.replace(self._file)
        finally:
            beside.unlink(missing_ok=True)

    def use(self) -> bool:
        """Let go of the room if the disk has none; return whether there is some now that was not there before."""
        with suppress(OSError):
            if self._file.exists() and shutil.disk_usage(self._home).free < _NO_ROOM_BYTES:
                self._file.unlink()
                log.warning(
                    "the disk of %s is full: using the room that is kept for taking candidates back", self._home
                )
                return True
        return False
