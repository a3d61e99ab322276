"""Paths that were handed over, and what lies below them, as places that are read."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tidegate.components.files import KNOWN, Reader, reader_for
from tidegate.components.models import is_pojo, mojo_row, pojo_row
from tidegate.components.records import Found, Row
from tidegate.components.requirements import Lookup
from tidegate.contract.errors import InvalidInput

#: Beyond these a tree is no project: somebody named the wrong folder.
MOST_FILES = 200_000
MOST_BYTES = 8 << 20
_MODEL_INI = "model.ini"
_LEFT_OUT = frozenset({"node_modules", "__pycache__", "site-packages", "venv"})


def read_paths(paths: list[str]) -> tuple[list[Found], list[Row]]:
    """Return what all files state, and a row for each model.

    Raises:
        InvalidInput: there is no such path, a file is none that is known or cannot be read, or nothing is found.
    """
    found: list[Found] = []
    rows: list[Row] = []
    for given in paths:
        path = Path(given).expanduser()
        if not path.exists():
            raise InvalidInput(f"There is no {path}.", subject=given)
        places = 0
        for file in _files(path):
            places += _read(file, is_named=file == path, found=found, rows=rows)
        if not places:
            raise InvalidInput(f"Nothing below {path} says a version of anything.", subject=given, expected=KNOWN)
    return found, rows


def _read(file: Path, *, is_named: bool, found: list[Found], rows: list[Row]) -> bool:
    """Add what a file states. Returns whether it is one that is known."""
    place = str(file)
    reader = reader_for(file)
    if reader is not None and file.is_file():
        found += _stated(reader, file, place)
    elif file.is_dir() or _is_mojo(file):
        rows.append(mojo_row(file, place))
    elif file.suffix == ".java" and (is_named or is_pojo(file)):
        rows.append(pojo_row(place))
    elif is_named and file.suffix == ".zip":
        rows.append(mojo_row(file, place))
    elif is_named:
        raise InvalidInput(f"{file} is no file that says a version.", subject=place, expected=KNOWN)
    else:
        return False
    return True


def _stated(reader: Reader, file: Path, place: str) -> list[Found]:
    return reader(_text(file), place, _lookup_beside(file))


def _files(path: Path) -> Iterator[Path]:
    """Return the files below a folder, by name; a MOJO that was unpacked as its folder. Links are not followed."""
    if not path.is_dir() or (path / _MODEL_INI).is_file():
        yield path
        return
    count = 0
    for folder, folders, names in os.walk(path):
        here = Path(folder)
        kept = sorted(name for name in folders if not name.startswith(".") and name not in _LEFT_OUT)
        models = [name for name in kept if (here / name / _MODEL_INI).is_file()]
        folders[:] = [name for name in kept if name not in models]
        count += len(names)
        if count > MOST_FILES:
            raise InvalidInput(f"{path} has more than {MOST_FILES:,} files: name the folders that matter.")
        yield from (here / name for name in sorted([*names, *models]) if not (here / name).is_symlink())


def _is_mojo(file: Path) -> bool:
    if file.suffix not in (".zip", ".mojo"):
        return False
    try:
        with zipfile.ZipFile(file) as archive:
            return _MODEL_INI in archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def _lookup_beside(file: Path) -> Lookup:
    """Return what finds the files that one names: from its own folder, or from those above, as build contexts are."""

    def lookup(name: str) -> str | None:
        if not name or "$" in name or "://" in name:
            return None
        name = name.lstrip("/")  # in an image it is elsewhere, and never a path of this machine
        for folder in (file.parent, *list(file.resolve().parents)[1:4]):
            for candidate in (folder / name, folder / Path(name).name):
                if candidate.is_file() and reader_for(candidate) is not None:
                    return _text(candidate)
        return None

    return lookup


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise InvalidInput(f"{file} has more than {MOST_BYTES >> 20} MiB.", subject=str(file))
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}.", subject=str(file)) from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file} is no UTF-8 (byte {error.start}).", subject=str(file)) from error
