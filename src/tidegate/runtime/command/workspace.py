"""A folder of its own for a command to run in: the artifact's files, linked, so that nothing is copied or spoiled.

A server writes beside its code: caches, locks, logs. A bundle's content is fixed, and a user's folder is theirs. So
each process gets a folder with hard links to the artifact's files, which is thrown away with it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

#: What a file artifact is called in the folder, before its suffix: as in a bundle.
FILE_STEM = "model"


def lay_out(artifact: Path, folder: Path) -> Path:
    """Fill an empty folder with the artifact's files, folders and inner links; return the artifact's place in it.

    A folder artifact is laid out in the folder itself; a file becomes `model` with its suffix. Where the file system
    refuses a hard link, the file is copied.

    Raises:
        OSError: the disk is full, or a file cannot be read.
    """
    if not artifact.is_dir():
        place = folder / f"{FILE_STEM}{artifact.suffix.lower()}"
        _link(str(artifact.resolve()), str(place))
        return place
    # Links are followed, as in a bundle: they lead nowhere but into the artifact.
    shutil.copytree(artifact, folder, copy_function=_link, dirs_exist_ok=True)
    for root, _, _ in os.walk(folder):
        # A folder of a bundle may be closed to writing; this one is the command's own.
        Path(root).chmod(0o700)
    return folder


def _link(source: str, target: str) -> str:
    try:
        os.link(Path(source).resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
        shutil.copymode(source, target)
    return target
