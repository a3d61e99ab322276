"""Which files are scanned, and their text."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Final

from tidegate.contract.errors import InvalidInput

#: No Dockerfile that people write is larger.
LARGEST: Final = 1 << 20

_DOCKERFILE: Final = re.compile(
    r"(?:Dockerfile|Containerfile)(?:[._-].+)?|dockerfile|.+\.(?:[dD]ockerfile|[cC]ontainerfile)"
)
_COMPOSE: Final = re.compile(r"(?:docker-)?compose(?:[._-].+)?\.ya?ml")
#: Templates, notes and copies that are named after a Dockerfile and are none.
_OTHER: Final = (
    ".dockerignore",
    ".md",
    ".rst",
    ".j2",
    ".jinja",
    ".jinja2",
    ".tmpl",
    ".tpl",
    ".template",
    ".erb",
    ".in",
    ".bak",
    ".orig",
    "~",
)
_SKIPPED: Final = frozenset({"node_modules", "__pycache__", "site-packages"})


class Kind(Enum):
    """How a file is read."""

    DOCKERFILE = "Dockerfile"
    COMPOSE = "Compose file"


class Unfit(Exception):  # noqa: N818 -- it is told as a finding
    """A file whose content is no text that can be scanned."""


def find(paths: Iterable[Path]) -> dict[Path, Kind]:
    """Return the files to scan: those that are named, and in each folder all that are called like one, in order.

    Hidden folders are not searched, nor what packages are installed in.

    Raises:
        InvalidInput: a path does not exist, or a folder holds nothing to scan.
    """
    found: dict[Path, Kind] = {}
    for path in paths:
        if path.is_dir():
            inside = {file: kind for file in _files_below(path) if (kind := _kind_by_name(file)) is not None}
            if not inside:
                raise InvalidInput(
                    f"{path} holds no Dockerfile and no Compose file, so nothing would be scanned",
                    subject=str(path),
                    hint="Name the file itself, whatever it is called.",
                )
            found |= inside
        elif path.exists():
            by_suffix = Kind.COMPOSE if path.suffix in (".yml", ".yaml") else Kind.DOCKERFILE
            found[path] = _kind_by_name(path) or by_suffix
        else:
            raise InvalidInput(f"{path} does not exist", subject=str(path))
    return found


def read(path: Path) -> str:
    """Return the text of a file.

    Raises:
        Unfit: it is too large, or no UTF-8.
        InvalidInput: it may not be read.
    """
    try:
        with path.open("rb") as opened:
            content = opened.read(LARGEST + 1)
    except OSError as wrong:
        raise InvalidInput(f"{path} cannot be read: {wrong.strerror}", subject=str(path)) from wrong
    if len(content) > LARGEST:
        raise Unfit(f"it is larger than {LARGEST >> 10} KiB")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as wrong:
        raise Unfit("it is no text in UTF-8") from wrong


def _files_below(folder: Path) -> list[Path]:
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
        paths = [Path(root, name) for name in sorted(names)]
        # A pipe would be waited for; a link that leads nowhere is said to, once it is read.
        found += [path for path in paths if path.is_file() or path.is_symlink()]
    return found


def _kind_by_name(path: Path) -> Kind | None:
    if path.name.endswith(_OTHER):
        return None
    if _COMPOSE.fullmatch(path.name):
        return Kind.COMPOSE
    return Kind.DOCKERFILE if _DOCKERFILE.fullmatch(path.name) else None
