"""The Tidegate that runs here as a wheel: an image holds the very code that checked its model, released or not."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

NAME = "tidegate"
#: The earliest that a zip can say. Equal code is an equal file, so that a build finds its layers again.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_LEFT_OUT = frozenset({".pyc", ".nbi", ".nbc"})


def write_wheel(folder: Path, package: Path, version: str, metadata: str, entry_points: str) -> Path:
    """Write a wheel of a package's files and return its path.

    Args:
        folder: where to.
        package: folder of the package.
        metadata, entry_points: the files of these names that came with the installed package.
    """
    info = f"{NAME}-{version}.dist-info"
    entries = {f"{NAME}/{name}": path.read_bytes() for name, path in _files(package)}
    entries[f"{info}/METADATA"] = metadata.encode()
    entries[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: tidegate\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    entries[f"{info}/entry_points.txt"] = entry_points.encode()
    record = "".join(f"{name},{_hash(content)},{len(content)}\n" for name, content in entries.items())
    entries[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    file = folder / f"{NAME}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return file


def _files(package: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(package.rglob("*")):
        if path.is_file() and path.suffix not in _LEFT_OUT and "__pycache__" not in path.parts:
            yield path.relative_to(package).as_posix(), path


def _hash(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
