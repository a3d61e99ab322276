"""Reading what a replica writes down of its requests for us; the server's side is in `server/recording`.

The replica's folder holds a wish, which we write and which lapses, and a file of lines, which grows and is turned over
to the same name with `.1` behind it: `compare.json` and `answers.jsonl` (`notes.py` there), `count.json` and
`counts.jsonl` (`columns.py`). Each line is whole: it is written under a lock. A reader remembers in memory where it
was; a new one begins at the end, because nobody waits any more for what was written before.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from tidegate.contract.sketch import Sketch
from tidegate.gateway.files import read_json, write_json
from tidegate.target.base import Counted, Noted

T = TypeVar("T")

#: A wish and the file in which it is fulfilled.
ANSWERS, ANSWERS_NAME = "compare.json", "answers.jsonl"
COUNTS, COUNTS_NAME = "count.json", "counts.jsonl"

#: Read at one look; more than that is left for the next one.
_MOST_BYTES = 2 << 20


def ask(folder: Path, name: str, share: float, until: float, now: float) -> None:
    """Ask a replica to write down a share of its requests until a time, in seconds since 1970; idempotent.

    The file is written again only when the wish is another one, or is about to lapse.

    Args:
        name: of the wish, `ANSWERS` or `COUNTS`.
    """
    wish = read_json(folder / name) or {}
    # One that lapses later than any wish of ours is from before the clock was set back.
    is_fresh = (until - now) / 2 <= wish.get("until", 0.0) - now <= until - now
    if wish.get("share") != share or not is_fresh:
        write_json(folder / name, {"share": share, "until": until})


class LinesReader(Generic[T]):
    """Reads what one replica wrote down, each line once.

    Args:
        parse: makes a record of a line's document; what it raises passes the line over.
    """

    def __init__(self, path: Path, parse: Callable[[Any], T]) -> None:
        self._path = path
        self._parse = parse
        self._inode: int | None = None
        self._offset = 0
        self._open_at_end()

    def read(self) -> list[T]:
        """Return what was written since the last call; empty when there is no file."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return []
        found_lines: list[T] = []
        if self._inode is not None and found.st_ino != self._inode:
            # It was turned over: what it held last is one name further.
            found_lines += self._lines(self._path.with_name(f"{self._path.name}.1"), self._inode)
            self._offset = 0
        self._inode = found.st_ino
        return found_lines + self._lines(self._path, found.st_ino)

    def _open_at_end(self) -> None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return
        self._inode, self._offset = found.st_ino, found.st_size

    def _lines(self, path: Path, inode: int) -> list[T]:
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
        return [record for line in data[:whole].splitlines() if (record := self._record(line)) is not None]

    def _record(self, line: bytes) -> T | None:
        try:
            return self._parse(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


class FoldersReader:
    """Reads what all replicas of a revision count, for one reader; see `target.base.CountsReader`.

    Args:
        folders: returns those of the replicas that there are now.
    """

    def __init__(self, folders: Callable[[], Sequence[Path]]) -> None:
        self._folders = folders
        self._readers: dict[Path, LinesReader[Counted]] = {}
        self.read()

    def read(self) -> list[Counted]:
        self._readers = {
            folder: self._readers.get(folder) or LinesReader(folder / COUNTS_NAME, counted)
            for folder in self._folders()
        }
        return [found for reader in self._readers.values() for found in reader.read()]


def noted(document: Any) -> Noted:
    return Noted(str(document["request_id"]), dict(document["outputs"]))


def counted(document: Any) -> Counted:
    return Counted(int(document["requests"]), _sketches(document["inputs"]), _sketches(document["outputs"]))


def _sketches(columns: Mapping[str, Any]) -> dict[str, Sketch]:
    return {str(name): Sketch.from_plain(plain) for name, plain in columns.items()}
