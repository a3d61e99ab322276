"""Whether what lies in a folder may be run: only where nobody could have put it but those who may do so anyhow."""

from __future__ import annotations

import os
import stat
from functools import cache
from pathlib import Path


@cache
def is_trusted(folder: Path, owner: int) -> bool:
    """Say whether only root, this user and an owner could have written what is in a folder, all of it readable."""
    trusted = {0, os.geteuid(), owner}
    try:
        place = folder.resolve(strict=True)
        if not all(_is_of(path.lstat(), trusted) and os.access(path, os.R_OK) for path in (place, *place.iterdir())):
            return False
        # Who may write in a folder above could put another one in its place, but for one like /tmp.
        return all(_is_of(above.stat(), trusted, guarded=True) for above in place.parents)
    except OSError:  # it is not to be looked at
        return False


def _is_of(status: os.stat_result, trusted: set[int], *, guarded: bool = False) -> bool:
    is_closed = not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or (guarded and bool(status.st_mode & stat.S_ISVTX))
    return status.st_uid in trusted and is_closed and not stat.S_ISLNK(status.st_mode)
