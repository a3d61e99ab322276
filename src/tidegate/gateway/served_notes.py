"""Reads an Envoy's notes of served requests, and turns their file over.

What was read up to a bound is set aside by a new name, Envoy is told to go on in a new file, and the old one goes when
the new one is there, since Envoy writes nothing to it then. Each of these steps may be the last one of a controller
that is killed, and the next one goes on from there.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tidegate.gateway.base import NotesPosition, Served
from tidegate.gateway.resources import Kind, parse_cluster_name
from tidegate.gateway.served import LONGEST_ID

#: The file is turned over when so much of it was read.
TURN_BYTES = 16 << 20
#: Of one reading: some 1,000 notes, so that storing them holds nobody up.
PAGE_BYTES = 64 << 10


class Page(NamedTuple):
    """What was read, the position behind it, and whether Envoy has to be told to go on in a new file."""

    entries: tuple[Served, ...]
    position: NotesPosition
    wants_reopening: bool = False


def read(path: Path, after: NotesPosition) -> Page:
    """Return the next notes; see `Gateway.served`."""
    aside = path.with_name(f"{path.name}.1")
    if (found := _inode(aside)) is not None:
        page = _read(aside, found, after)
        if page.entries or page.position != after:
            return page
        if _inode(path) is None:
            return page._replace(wants_reopening=True)
        # Envoy may have written to it until just before the new file was there.
        page = _read(aside, found, after)
        if page.position != after:
            return page
        aside.unlink()
    found = _inode(path)
    if found is None:
        return Page((), after)
    if found == after.file and after.offset >= TURN_BYTES:
        path.rename(aside)
        return Page((), after, wants_reopening=True)
    return _read(path, found, after)


def _read(path: Path, inode: int, after: NotesPosition) -> Page:
    start = after.offset if after.file == inode else 0
    with path.open("rb") as stream:
        stream.seek(start)
        block = stream.read(PAGE_BYTES)
    whole = block[: block.rfind(b"\n") + 1]
    if not whole and len(block) == PAGE_BYTES:
        whole = block  # no note is so long: what is left of a broken file is passed over
    entries = tuple(noted for line in whole.split(b"\n") if (noted := parse(line)) is not None)
    return Page(entries, NotesPosition(inode, start + len(whole)))


def parse(line: bytes) -> Served | None:
    """Read one note; None for what is none: a line that a killed Envoy left unfinished, or of the preview address."""
    at, _, rest = line.decode("utf-8", "replace").partition(" ")
    cluster, _, request_id = rest.partition(" ")
    key = parse_cluster_name(cluster)
    if key is None or key.kind is Kind.PREVIEW or not request_id or request_id == "-" or len(request_id) > LONGEST_ID:
        return None
    try:
        return Served(key.ref, request_id, round(float(at) * 1000))
    except (ValueError, OverflowError):
        return None


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None
