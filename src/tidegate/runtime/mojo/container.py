"""The files of a MOJO: a zip, or a folder with the same entries. Everything read is bounded beforehand."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Protocol

from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.zip_bounds import DAMAGE

#: An entry's size unpacked, and that of all entries. The largest models seen unpack to some gigabytes of trees.
MAX_ENTRY_BYTES = 2 << 30
MAX_TOTAL_BYTES = 8 << 30
MAX_ENTRIES = 200_000
#: How entries may be packed. H2O knows no other; the memory that LZMA takes is what the file says, up to gigabytes.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_NAMED = "deflate (8) or nothing (0)"
#: Deflate cannot do more than 1032 to 1; what claims to is forged.
MAX_RATIO = 1_100
#: Entries that are packed tighter are tight: all of a file together unpack to so much at most. Of honest entries trees
#: with sets of a few among 65,535 levels reach 220 to 1, domains and vocabularies 10 (of levels that begin alike for
#: thousands of letters 190), and a hundred to seven hundred the coefficients of a GLM of which nearly all are 0: the
#: allowance is for three million of these.
TIGHT_RATIO = 300
MAX_TIGHT_BYTES = 16 << 20

MODEL_INI = "model.ini"
#: What tells a file from one that was put in its place, or that was written anew.
_IDENTITY = ("st_dev", "st_ino", "st_size", "st_mtime_ns")


class Container(Protocol):
    """Entries by exact name. A sub-model lies below a prefix (`below`) and knows no other."""

    @property
    def place(self) -> str:
        """The folder of the artifact that the entries lie in, with a slash at its end; empty for the artifact."""
        ...

    def has(self, name: str) -> bool: ...

    def size(self, name: str) -> int:
        """Return the bytes that an entry has. Raises MojoFormatError where there is none."""
        ...

    def read(self, name: str) -> bytes:
        """Return an entry. Raises MojoFormatError where there is none, or where it is damaged."""
        ...

    def below(self, folder: str) -> Container:
        """Return the entries below a folder, as a container of their own."""
        ...


def open_container(path: Path) -> Folder | Archive:
    """Open a zip or a folder. Close it once the model is read: what is asked for later is read all the same.

    Raises:
        MojoFormatError: it is neither, holds more than a model needs, or has no `model.ini`.
    """
    container = Folder(path) if path.is_dir() else _zip(path)
    if not container.has(MODEL_INI):
        container.close()
        raise MojoFormatError(MODEL_INI, f"{path.name or path} has no such entry, so it is no MOJO")
    return container


class Folder:
    """A MOJO that was unpacked."""

    def __init__(self, root: Path, place: str = "") -> None:
        self._root = root.resolve()
        self.place = place

    def has(self, name: str) -> bool:
        path = self._path(name)
        return path is not None and path.is_file()

    def size(self, name: str) -> int:
        return self._file(name).stat().st_size

    def read(self, name: str) -> bytes:
        path = self._file(name)
        try:
            if path.stat().st_size > MAX_ENTRY_BYTES:
                raise MojoFormatError(name, f"has more than {MAX_ENTRY_BYTES >> 30} GiB")
            return path.read_bytes()
        except OSError as error:
            raise MojoFormatError(name, f"cannot be read: {error.strerror}") from None

    def below(self, folder: str) -> Folder:
        return Folder(self._root / folder, _below(self.place, folder))

    def close(self) -> None:
        """Do nothing: entries are files, each of which is opened to be read."""

    def _path(self, name: str) -> Path | None:
        """Return where an entry lies; None for a name that leads out of the folder."""
        try:
            path = (self._root / name).resolve()
        except (OSError, ValueError):
            return None
        return path if path.is_relative_to(self._root) else None

    def _file(self, name: str) -> Path:
        path = self._path(name)
        if path is None or not path.is_file():
            raise MojoFormatError(name, "is missing")
        return path


class _Reopened:
    """A file as `zipfile` reads one, which after `close` is opened for each reading alone: a model that is kept for
    what may be asked of it later keeps no descriptor for that. Another file in its place is refused."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._at = 0
        self._file: BinaryIO | None = path.open("rb")
        self._was = os.fstat(self._file.fileno())

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        place = (0, self._at, self._was.st_size)[whence] + offset
        if place < 0:
            raise OSError("a place before the file's beginning")
        self._at = place
        return place

    def read(self, size: int = -1, /) -> bytes:
        if self._file is not None:
            return self._read(self._file, size)
        with self._path.open("rb") as file:
            now = os.fstat(file.fileno())
            if any(getattr(now, name) != getattr(self._was, name) for name in _IDENTITY):
                raise OSError(f"{self._path} was changed after the model was loaded: load it again")
            return self._read(file, size)

    def _read(self, file: BinaryIO, size: int) -> bytes:
        file.seek(self._at)
        data = file.read(size)
        self._at += len(data)
        return data

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class Archive:
    """A MOJO as a zip; read through its central directory, as local headers may lack sizes."""

    def __init__(
        self, file: _Reopened, archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], place: str = ""
    ) -> None:
        self._file = file
        self._archive = archive
        self._entries = entries
        self.place = place

    def has(self, name: str) -> bool:
        return self.place + name in self._entries

    def size(self, name: str) -> int:
        return self._entry(name).file_size

    def read(self, name: str) -> bytes:
        entry = self._entry(name)
        try:
            with self._archive.open(entry) as stream:
                data = stream.read(entry.file_size + 1)
        except DAMAGE as error:
            raise MojoFormatError(self.place + name, f"cannot be unpacked: {error}") from None
        if len(data) != entry.file_size:
            raise MojoFormatError(self.place + name, "unpacks to another size than the archive says")
        return data

    def below(self, folder: str) -> Archive:
        return Archive(self._file, self._archive, self._entries, _below(self.place, folder))

    def close(self) -> None:
        """Let go of the file's descriptor, also for what is `below`. Entries can be read, each by opening it anew."""
        self._file.close()

    def _entry(self, name: str) -> zipfile.ZipInfo:
        entry = self._entries.get(self.place + name)
        if entry is None:
            raise MojoFormatError(self.place + name, "is missing")
        return entry


def _below(place: str, folder: str) -> str:
    return f"{place}{folder.rstrip('/')}/"


def _zip(path: Path) -> Archive:
    with ExitStack() as unless_kept:
        try:
            file = _Reopened(path)
            unless_kept.callback(file.close)
            archive = zipfile.ZipFile(file)
        except DAMAGE as error:
            raise MojoFormatError(path.name, f"is no zip that can be read: {error}") from None
        entries = archive.infolist()
        _refuse_too_much(path.name, entries)
        unless_kept.pop_all()
    return Archive(file, archive, {entry.filename: entry for entry in entries if not entry.filename.endswith("/")})


def _refuse_too_much(name: str, entries: Iterable[zipfile.ZipInfo]) -> None:
    """Raise MojoFormatError for what the archive's directory promises beyond all bounds; nothing is unpacked."""
    total = tight = 0
    for number, entry in enumerate(entries, 1):
        if entry.compress_type not in _METHODS:
            raise MojoFormatError(entry.filename, f"is packed by method {entry.compress_type}: expected {_NAMED}")
        total += entry.file_size
        if number > MAX_ENTRIES:
            raise MojoFormatError(name, f"has more than {MAX_ENTRIES:,} entries")
        if entry.file_size > MAX_ENTRY_BYTES or total > MAX_TOTAL_BYTES:
            raise MojoFormatError(entry.filename, "unpacks to more than a model needs")
        if entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
            raise MojoFormatError(entry.filename, "is packed more tightly than deflate can: the archive is forged")
        if entry.file_size > TIGHT_RATIO * max(entry.compress_size, 1):
            tight += entry.file_size
            if tight > MAX_TIGHT_BYTES:
                raise MojoFormatError(
                    entry.filename,
                    f"unpacks to {entry.file_size:,} bytes from {entry.compress_size:,}: what is packed more tightly "
                    f"than {TIGHT_RATIO} to 1 may have {MAX_TIGHT_BYTES >> 20} MiB in all",
                )
