"""Digests of this package's source, which tell whether something was made by the code that is here."""

from __future__ import annotations

import hashlib
import re
from functools import cache, lru_cache
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
_IMPORTED = re.compile(r"^\s*(?:from|import)\s+tidegate\.runtime\.mojo\.(\w+)", re.MULTILINE)
_NAMED = re.compile(r"^\s*from\s+tidegate\.runtime\.mojo\s+import\s+(\([^)]*\)|[^\n]*)", re.MULTILINE)
_KINDS = ("*.py", "*.c", "*.json")


def source_stamp(module: str) -> str:
    """Return a digest of a module of this package and of all those that it imports."""
    found = hashlib.sha256()
    for name in sorted(_reached(module)):
        found.update(f"{name}\0{_source(name)}\0".encode())
    return found.hexdigest()


@cache
def package_stamp() -> str:
    """Return a digest of all files of this package, but for those of packages in it."""
    found = hashlib.sha256()
    for path in sorted(path for kind in _KINDS for path in FOLDER.glob(kind)):
        found.update(f"{path.name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


@lru_cache(maxsize=512)
def _source(module: str) -> str:
    path = FOLDER / f"{module}.py"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _reached(module: str) -> set[str]:
    reached, waiting = {module}, [module]
    while waiting:
        source = _source(waiting.pop())
        imported = set(_IMPORTED.findall(source)).union(
            *(re.findall(r"\w+", names) for names in _NAMED.findall(source))
        )
        waiting.extend(imported - reached)
        reached |= imported
    return reached
