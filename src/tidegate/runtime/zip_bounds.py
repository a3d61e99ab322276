"""Bounds for what a model that is a zip may unpack to, and what comes of reading a damaged one."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from pathlib import Path

from tidegate.contract.errors import InvalidInput

MAX_MEMBERS, MAX_UNPACKED_BYTES = 100_000, 16 << 30
#: What `zipfile` raises for an archive that is damaged or none: a name that is no text is a ValueError, a method or a
#: cipher that it does not know a RuntimeError.
DAMAGE: tuple[type[Exception], ...] = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, RuntimeError, ValueError,
)  # fmt: skip


def check_zip_bounds(path: Path, archive: zipfile.ZipFile) -> None:
    """Look at what the archive's directory says of its members; nothing is unpacked.

    Raises:
        InvalidInput: they are too many, or too large together.
    """
    members = archive.infolist()
    unpacked = sum(member.file_size for member in members)
    if len(members) > MAX_MEMBERS or unpacked > MAX_UNPACKED_BYTES:
        raise InvalidInput(
            f"{path.name} unpacks to more than a model needs.",
            subject=str(path),
            expected=f"at most {MAX_MEMBERS} members and {MAX_UNPACKED_BYTES >> 30} GiB",
            got=f"{len(members)} members and {unpacked} bytes",
        )
