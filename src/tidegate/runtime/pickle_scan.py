"""Is it a pickle, of whose model, and what would it import? Said from the bytes; nothing is ever unpickled here.

The scan informs, it does not protect: a pickle needs the user's trust in any case. What it finds tells the user what
they would trust, and what no model needs (a shell, the network) is refused even with trust.
"""

from __future__ import annotations

import bz2
import gzip
import io
import logging
import lzma
import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, cast

from tidegate.runtime.base import ArtifactFiles, Recognition
from tidegate.runtime.pickle_machine import Findings, UnreadablePickleError, follow

#: More than this, unpacked, is not scanned (and hardly a model): bounds the work that a small file can cause.
MAX_UNPACKED_BYTES = 8 << 30
#: Reasons shown; a pickle of a large library can import hundreds of names.
MAX_REASONS = 40

#: How joblib compresses, by the first bytes (`joblib.compressor`, the prefixes of its registered compressors).
_COMPRESSIONS = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ", "xz"),
    (b"\x5d\x00", "lzma"),
    (b"\x78\x01", "zlib"),
    (b"\x78\x5e", "zlib"),
    (b"\x78\x9c", "zlib"),
    (b"\x78\xda", "zlib"),
)
#: How `torch.save` began before PyTorch 1.6 (its `MAGIC_NUMBER`, pickled): several pickles follow one another, with the
#: tensors' bytes behind them. That is PyTorch's to read, see `pytorch_file`.
LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_UNSCANNABLE = ((b"\x04\x22\x4d\x18", "lz4"), (b"ZF0x", "the format of joblib before 0.10"))

#: What models do hold although it could be misused: partial functions, bound methods, getters of attributes or items,
#: and functions that cloudpickle carries by value. They need trust like all the rest; they are not a sign of malice.
_PLAUSIBLE = re.compile(
    r"functools\.partial|_?operator\.(attrgetter|itemgetter|methodcaller)|(builtins|__builtin__)\.getattr"
    r"|cloudpickle\..*|types\.CodeType|uuid\..*|logging\.FileHandler"
)
#: Worse than picklescan's own list has it, or missing there.
_DANGEROUS_TOO = re.compile(
    r"(builtins|__builtin__)\.(__import__|input)"
    r"|(importlib|ftplib|smtplib|telnetlib|multiprocessing|socketserver|code|paramiko)\..*"
)

#: Top-level packages by which a pickle is known to be somebody's model, and the runtime that it belongs to.
_FRAMEWORKS = {
    "sklearn": "sklearn",
    "imblearn": "sklearn",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "catboost": "catboost",
    "torch": "pytorch",
    "tensorflow": "tensorflow",
    "keras": "tensorflow",
}
_VERSION_KEYS = {"sklearn": "_sklearn_version"}


@dataclass(frozen=True)
class PickleScan:
    """What a pickle file says about itself.

    Attributes:
        compression: "none", or the name of joblib's compression.
        joblib: the file can only be read by joblib (raw arrays in the stream, or compressed).
        imports: "module.name" of each global, in the order of appearance; the outermost object's come first.
        dangerous: those of `imports` that no model needs.
        unreadable: why the scan could not go to the end, None when it did.
        versions: texts found behind the keys in which frameworks write their version.
    """

    compression: str
    joblib: bool
    imports: tuple[str, ...]
    dangerous: tuple[str, ...]
    unreadable: str | None
    versions: dict[str, str]

    @property
    def framework(self) -> str | None:
        """The runtime of the outermost object: the first import that belongs to a known framework."""
        for name in self.imports:
            if (framework := _FRAMEWORKS.get(name.partition(".")[0])) is not None:
                return framework
        return None


class _ZlibReader(io.RawIOBase):
    """A bare zlib stream, as `joblib.compressor.BinaryZlibFile` writes it, read forward."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._inflate = zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer))
        while not self._inflate.eof:
            pending = self._inflate.unconsumed_tail or self._raw.read(1 << 16)
            produced = self._inflate.decompress(pending, len(view))
            if produced:
                view[: len(produced)] = produced
                return len(produced)
            if not pending:
                raise EOFError("the compressed data ends too early")
        return 0


class _Bounded(io.RawIOBase):
    """At most `MAX_UNPACKED_BYTES` of what another stream gives."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._left = MAX_UNPACKED_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer))
        data: bytes = self._inner.read(len(view)) or b""
        self._left -= len(data)
        if self._left < 0:
            raise UnreadablePickleError(f"it unpacks to more than {MAX_UNPACKED_BYTES >> 30} GiB")
        view[: len(data)] = data
        return len(data)


def _unpacked(raw: BinaryIO, compression: str) -> io.BufferedReader:
    streams: dict[str, Callable[[BinaryIO], Any]] = {
        "gzip": lambda raw: gzip.GzipFile(fileobj=raw),
        "bz2": bz2.BZ2File,
        "xz": lzma.LZMAFile,
        "lzma": lzma.LZMAFile,
        "zlib": _ZlibReader,
        "none": lambda raw: raw,
    }
    return io.BufferedReader(_Bounded(streams[compression](raw)), 1 << 18)


def scan(path: Path) -> PickleScan | None:
    """Scan a file; None when it is no pickle, bare or compressed as joblib does it.

    Several runtimes ask about the same file: an unchanged one is scanned once.
    """
    status = path.stat()
    return _scan(path, (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))


@lru_cache(maxsize=8)
def _scan(path: Path, _version: tuple[int, ...]) -> PickleScan | None:
    with path.open("rb") as raw:
        head = raw.read(64)
        raw.seek(0)
        if head.startswith(LEGACY_TORCH):
            return None
        for prefix, name in _UNSCANNABLE:
            if head.startswith(prefix):
                return PickleScan(name, True, (), (), f"it is compressed with {name}", {})
        compression = next((name for prefix, name in _COMPRESSIONS if head.startswith(prefix)), "none")
        findings, unreadable = Findings(), None
        try:
            stream = _unpacked(raw, compression)
            if not _looks_like_pickle(stream.peek(64)[:64]):
                return None
            follow(stream, findings)
        except UnreadablePickleError as error:
            unreadable = str(error)
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            if compression != "none" and not findings.imports:
                return None
            unreadable = f"the compressed data is damaged: {error}"
    if unreadable is not None and not findings.imports and head[:1] != b"\x80":
        return None
    imports = tuple(f"{module}.{name}" for module, name in findings.imports)
    uses_joblib = compression != "none" or "joblib.numpy_pickle.NumpyArrayWrapper" in imports
    dangerous = tuple(find_dangerous(findings.imports))
    return PickleScan(compression, uses_joblib, imports, dangerous, unreadable, findings.texts_after)


def _looks_like_pickle(head: bytes) -> bool:
    if head[:1] == b"\x80":
        return len(head) > 2 and head[1] <= 5
    # Protocols 0 and 1 have no header: an estimator starts with an import or with MARK and a container.
    return bool(
        re.match(rb"(c[A-Za-z_][\w.]*\n[A-Za-z_][\w.]*\n|\(i[A-Za-z_][\w.]*\n|\((dp|lp)\d+\n|[}\]\(]q\x00)", head)
    )


def find_dangerous(imports: Iterable[tuple[str, str]]) -> list[str]:
    """Return "module.name" of each import that no model needs: picklescan's judgement, corrected by ours."""
    found = []
    for module, name in imports:
        full = f"{module}.{name}"
        if _DANGEROUS_TOO.fullmatch(full) or (_flagged(module, name) and not _PLAUSIBLE.fullmatch(full)):
            found.append(full)
    return found


def _flagged(module: str, name: str) -> bool:
    if "\n" in module or "\n" in name:
        return True
    from picklescan.scanner import SafetyLevel, scan_pickle_bytes

    # picklescan judges pickles, not names: this one does nothing but import the name.
    logging.getLogger("picklescan").setLevel(logging.CRITICAL)
    result = scan_pickle_bytes(io.BytesIO(f"c{module}\n{name}\n.".encode()), "name")
    return any(found.safety is SafetyLevel.Dangerous for found in result.globals)


def recognise_pickle(files: ArtifactFiles, runtime: str) -> Recognition | None:
    """Recognise a pickle whose outermost object belongs to the framework of `runtime`."""
    if files.is_folder:
        return None
    found = scan(files.root)
    if found is None or (found.framework or "sklearn") != runtime:
        return None
    reasons = [f"it imports {name}" for name in dict.fromkeys((*found.dangerous, *found.imports))]
    if len(reasons) > MAX_REASONS:
        reasons = [*reasons[:MAX_REASONS], f"and {len(reasons) - MAX_REASONS} names more"]
    if found.unreadable is not None:
        reasons.insert(0, f"it cannot be scanned to its end: {found.unreadable}")
    return Recognition(
        runtime=runtime,
        format="joblib" if found.joblib else "pickle",
        framework_version=found.versions.get(_VERSION_KEYS.get(runtime, "")),
        needs_trust=True,
        reasons=tuple(reasons),
        dangerous=tuple(f"it imports {name}" for name in found.dangerous),
    )
