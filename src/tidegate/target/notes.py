"""Reading what a replica notes of its answers; the server's side is `server/recording/notes.py`.

The replica's folder holds `compare.json`, which we write and which lapses, and `answers.jsonl`, which grows and is
turned over to `answers.jsonl.1`. Each line is whole: it is written under a lock. A reader remembers in memory where it
was; a new one begins at the end, because nobody waits any more for what was noted before.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from tidegate.gateway.files import read_json, write_json
from tidegate.target.base import Noted

WISH_NAME = "compare.json"
ANSWERS_NAME = "answers.jsonl"

#: Read at one look; more than that is left for the next one.
_MOST_BYTES = 2 << 20


def ask(folder: Path, share: float, until: float, now: float) -> None:
    """Ask a replica to note a share of its answers until a time, in seconds since 1970; idempotent.

    The file is written again only when the wish is another one, or is about to lapse.
    """
    wish = read_json(folder / WISH_NAME) or {}
    # One that lapses later than any wish of ours is from before the clock was set back.
    is_fresh = (until - now) / 2 <= wish.get("until", 0.0) - now <= until - now
    if wish.get("share") != share or not is_fresh:
        write_json(folder / WISH_NAME, {"share": share, "until": until})


class NotesReader:
    """Reads the notes of one replica, each line once."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / ANSWERS_NAME
        self._inode: int | None = None
        self._offset = 0
        self._open_at_end()

    def read(self) -> list[Noted]:
        """Return what was noted since the last call; empty when there is no file."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return []
        noted: list[Noted] = []
        if self._inode is not None and found.st_ino != self._inode:
            # It was turned over: what it held last is one name further.
            noted += self._lines(self._path.with_name(f"{self._path.name}.1"), self._inode)
            self._offset = 0
        self._inode = found.st_ino
        return noted + self._lines(self._path, found.st_ino)

    def _open_at_end(self) -> None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return
        self._inode, self._offset = found.st_ino, found.st_size

    def _lines(self, path: Path, inode: int) -> list[Noted]:
        try:
            with path.open("rb") as stream:
                if os.fstat(stream.fileno()).st_ino != inode:
                    return []
                stream.seek(self._offset)
                data = stream.read(_MOST_BYTES)
        except FileNotFoundError:
            return []
        whole = data.rfind(b"\n") + 1
        self._offset += whole
        return [noted for line in data[:whole].splitlines() if (noted := _noted(line)) is not None]


def _noted(line: bytes) -> Noted | None:
    try:
        document = json.loads(line)
        return Noted(str(document["request_id"]), dict(document["outputs"]))
    except (ValueError, KeyError, TypeError):
        return None
