"""What a file that PyTorch wrote is, and what it could do when it is loaded; read from its zip, nothing is loaded.

PyTorch writes zip archives with one folder at the top. `torch.jit.save` puts source in `code/` beside `constants.pkl`;
`torch.export.save` puts a graph as JSON in `models/` and says `pt2` in `archive_format` (before 2.8, JSON at the top);
`torch.save` puts a pickle in `data.pkl` and nothing else but tensors. Before 1.6 it wrote pickles one after another.

Sources: `torch/serialization.py`, `torch/export/pt2_archive/_package.py` and `torch/_export/serde/serialize.py`, 2.13.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

import orjson

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.pickle_machine import Findings, UnreadablePickleError, follow
from tidegate.runtime.pickle_scan import LEGACY_TORCH, MAX_REASONS, find_dangerous
from tidegate.runtime.zip_bounds import DAMAGE, check_zip_bounds

#: Bounds for the parts of an archive that are read whole.
MAX_GRAPH_BYTES, MAX_CODE_BYTES = 256 << 20, 64 << 20

#: TorchScript operators that touch more than tensors (`torch._C._jit_get_all_schemas()`: file names and peers).
_FILE_OPERATOR = re.compile(rb"\b(?:torch|ops\.aten)\.(from_file|save)\s*\(|\b(rpc_(?:sync|async|remote))\s*\(")
#: What a graph calls in ordinary models; `torch.export.load` takes any attribute of torch, operator and math.
_ORDINARY_TARGET = re.compile(r"torch\.ops\.(?!aten\.from_file\b)[\w.]+|torch\._?sym_\w+|_operator\.\w+|math\.\w+|#.*")
#: Sizes are Python expressions, evaluated by SymPy: numbers, names and calls. Attributes and underscores are a way out.
_ODD_EXPRESSION = re.compile(r"__|[A-Za-z_)\]'\"]\s*\.\s*[A-Za-z_]|\b(lambda|import|exec|eval|open|getattr)\b")
#: What tensors are pickled with.
TENSOR_PARTS = re.compile(r"torch\._utils\._rebuild_\w+|torch\.\w+Storage|collections\.OrderedDict")
_ODD_GUARD = re.compile(r"__|\b(lambda|import|exec|eval|open|getattr)\b")


@dataclass(frozen=True)
class TorchFile:
    """A file that PyTorch wrote.

    Attributes:
        form: "torchscript", "torch-export", "torch-pickle" (a module or tensors, pickled) or "aotinductor" (compiled).
        torch_version: version that wrote it, when it says so.
        imports: "module.name" of each global in the pickles that Python would read.
        reasons: what loading could do, one line each; the imports without those that tensors are pickled with.
        dangerous: those of `reasons` that no model needs.
    """

    form: Literal["torchscript", "torch-export", "torch-pickle", "aotinductor"]
    torch_version: str | None = None
    imports: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    dangerous: tuple[str, ...] = ()


@dataclass
class _Seen:
    """What was found so far, for `TorchFile`."""

    imports: dict[tuple[str, str], None] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    dangerous: dict[str, None] = field(default_factory=dict)

    def alarm(self, note: str) -> None:
        self.notes.setdefault(note)
        self.dangerous.setdefault(note)

    def file(self, form: Any, version: str | None = None) -> TorchFile:
        bad = [f"it imports {name}" for name in find_dangerous(self.imports)]
        imports = tuple(f"{module}.{name}" for module, name in self.imports)
        listed = [*bad, *(f"it imports {name}" for name in imports if not TENSOR_PARTS.fullmatch(name))]
        reasons = list(dict.fromkeys([*self.dangerous, *listed, *self.notes]))
        if len(reasons) > MAX_REASONS:
            reasons = [*reasons[:MAX_REASONS], f"and {len(reasons) - MAX_REASONS} more"]
        return TorchFile(form, version, imports, tuple(reasons), (*self.dangerous, *bad))


def read_torch_file(path: Path) -> TorchFile | None:
    """Return what a file is, None when PyTorch did not write it.

    Raises:
        InvalidInput: PyTorch wrote it and it is damaged, or unpacks to more than a model needs.
    """
    with path.open("rb") as stream:
        head = stream.read(256)
    if head.startswith(LEGACY_TORCH):
        return _legacy(path)
    if not head.startswith(b"PK\x03\x04"):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            return _from_archive(path, archive)
    except DAMAGE as error:
        if not _began_as_torch(head):
            return None
        raise InvalidInput(
            f"{path.name} is a damaged PyTorch file: {error}.",
            subject=str(path),
            hint="Copy or save the file again; it may have been cut short.",
        ) from error


def _began_as_torch(head: bytes) -> bool:
    """Whether the first member is aligned as PyTorch's writer does it: with an extra field FB, filled up with Z."""
    size, extra = int.from_bytes(head[26:28], "little"), int.from_bytes(head[28:30], "little")
    return extra >= 4 and head[30 + size : 32 + size] == b"FB"


def _from_archive(path: Path, archive: zipfile.ZipFile) -> TorchFile | None:
    if min((member.header_offset for member in archive.infolist()), default=0) > 0:
        # The directory is that of an archive inside: the end of the file is missing.
        raise ValueError("the directory at its end is missing")
    names = {_inside(name): name for name in archive.namelist()}
    if "serialized_exported_program.json" in archive.namelist():
        check_zip_bounds(path, archive)
        return _export(archive, ["serialized_exported_program.json"])
    if "archive_format" in names and _beginning(archive, names["archive_format"]) == b"pt2":
        check_zip_bounds(path, archive)
        if any(name.startswith("data/aotinductor/") for name in names):
            return TorchFile("aotinductor")
        graphs = [name for inside, name in names.items() if re.fullmatch(r"models/[^/]+\.json", inside)]
        return _export(archive, graphs)
    if "data.pkl" not in names or "version" not in names:
        return None
    check_zip_bounds(path, archive)
    if "constants.pkl" in names:
        return _script(archive, [name for inside, name in names.items() if inside.startswith("code/")])
    seen = _Seen()
    with archive.open(names["data.pkl"]) as stream:
        _follow(stream, seen)
    return seen.file("torch-pickle")


def _inside(name: str) -> str:
    """Return a member's name without the archive's one folder."""
    return name.partition("/")[2]


def _beginning(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as stream:
        return stream.read(16).strip()


def _bounded(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    with archive.open(name) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"{name} is larger than {limit >> 20} MiB")
    return content


def _script(archive: zipfile.ZipFile, sources: Iterable[str]) -> TorchFile:
    seen, left = _Seen(), MAX_CODE_BYTES
    seen.notes["it is a program: TorchScript can read and write files"] = None
    for name in sources:
        if name.endswith(".py"):
            code = _bounded(archive, name, left)
            left -= len(code)
            for found in _FILE_OPERATOR.finditer(code):
                operator = (found.group(1) or found.group(2)).decode()
                seen.alarm(f"its code calls {operator}, which reaches beyond the model")
    return seen.file("torchscript")


def _export(archive: zipfile.ZipFile, graphs: Iterable[str]) -> TorchFile:
    seen, version = _Seen(), None
    seen.notes["torch.export.load unpickles values in it and evaluates expressions in it"] = None
    for name in graphs:
        document = orjson.loads(_bounded(archive, name, MAX_GRAPH_BYTES))
        if isinstance(document, dict):
            found = document.get("torch_version")
            version = found if isinstance(found, str) and re.fullmatch(r"[\w.+-]{1,40}", found) else version
        _judge_graph(document, seen)
    for member in archive.infolist():
        with archive.open(member) as stream:
            _judge_member(member.filename, stream, seen)
    return seen.file("torch-export", version)


def _judge_member(name: str, stream: IO[bytes], seen: _Seen) -> None:
    """Look for pickles where the loader does: archives of `torch.save`, and objects written as they are."""
    if name.rpartition("/")[2].startswith("opaque_obj"):
        _follow(stream, seen)
        return
    head = stream.read(64)
    stream.seek(0)
    if head.startswith(LEGACY_TORCH):
        _follow_all(stream, seen)
    elif head.startswith(b"PK\x03\x04") and zipfile.is_zipfile(stream):
        with zipfile.ZipFile(stream) as nested:
            for inner in nested.namelist():
                if inner.endswith("data.pkl"):
                    with nested.open(inner) as pickled:
                        _follow(pickled, seen)


def _judge_graph(document: Any, seen: _Seen) -> None:
    for key, value in _pairs(document):
        if key == "target" and isinstance(value, str) and not _ORDINARY_TARGET.fullmatch(value):
            note = f"its graph calls {value[:100]}"
            seen.notes.setdefault(note)
            parts = value.split(".")
            if find_dangerous((".".join(parts[first:-1]), parts[-1]) for first in range(len(parts) - 1)):
                seen.alarm(note)
        elif key == "expr_str" and isinstance(value, str) and _ODD_EXPRESSION.search(value):
            seen.alarm(f"it evaluates {value[:100]!r} as a size")
        elif key == "guards_code" and isinstance(value, list):
            for guard in value:
                if not isinstance(guard, str) or _ODD_GUARD.search(guard):
                    seen.alarm(f"it evaluates {str(guard)[:100]!r} as a condition")


def _pairs(document: Any) -> Iterator[tuple[str, Any]]:
    """Yield every (key, value) at any depth; orjson bounds the depth."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from value.items()
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _follow(stream: Any, seen: _Seen) -> bool:
    findings, whole = Findings(), True
    try:
        follow(stream, findings)
    except UnreadablePickleError as error:
        seen.notes.setdefault(f"a pickle in it cannot be scanned to its end: {error}")
        whole = False
    seen.imports.update(findings.imports)
    return whole


def _follow_all(stream: Any, seen: _Seen) -> None:
    """Follow the pickles of the old format: a number, the protocol, the system, the object, the keys of its tensors."""
    for _ in range(5):
        if not _follow(stream, seen):
            return


def _legacy(path: Path) -> TorchFile:
    seen = _Seen()
    with path.open("rb") as stream:
        _follow_all(stream, seen)
    return seen.file("torch-pickle")
