"""Bundles: an artifact with all that it takes to serve it, immutable, named by its sha256.

A bundle is a folder: `bundle.json` (the manifest), `artifact/` (the file or folder as it was handed over, byte for
byte), `sample.json` (rows in the signature's own terms that passed a sample inference) and, where the runtime serves
the artifact by way of files made of it, `derived/` with these. The digest covers the artifact's content and what
determines how it is served; it covers neither what was merely measured (memory, processor time) nor where the file
came from, so the same input always has the same name.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from tidegate.contract.errors import Conflict, InvalidInput, NotFound, Unavailable
from tidegate.runtime.base import ArtifactFiles, LoadOptions, Model, Signature
from tidegate.runtime.registry import get_runtime
from tidegate.runtime.signatures import signature_from_dict

SCHEMA_VERSION = 1
_MANIFEST, _ARTIFACT, _SAMPLE, _DERIVED = "bundle.json", "artifact", "sample.json", "derived"
_CHUNK = 1 << 20
_SCRATCH, _SCRATCH_SECONDS = ".new-", 24 * 3600

Row = Mapping[str, Any]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Environment(_Record):
    """The Python and the packages that the model was checked with."""

    python: str
    packages: dict[str, str]


class Origin(_Record):
    """What was handed over: the name of the file or folder, and its size."""

    filename: str
    size_bytes: int


class Manifest(_Record):
    """`bundle.json`.

    Attributes:
        digest: sha256 in hexadecimal, also the name of the bundle's folder.
        runtime, format, framework_version: as in `Recognition`.
        trusted: the user said that code in the artifact may run.
        signature: JSON form, see `runtime.signatures`.
        memory_bytes: peak resident memory that loading and one inference added to the process that checked it.
        cpu_seconds: processor time of one prediction for one row, in that process; None where it is not known.
        settings: settings of the runtime alone, from the request document.
        artifact: path inside the bundle of the file, or of the folder when the artifact is one.
    """

    schema_version: int = SCHEMA_VERSION
    digest: str
    artifact: str
    runtime: str
    format: str
    framework_version: str | None
    trusted: bool
    signature: dict[str, Any]
    environment: Environment
    created_from: Origin
    memory_bytes: int
    cpu_seconds: float | None = None
    settings: dict[str, Any]


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk.

    `artifact_path` is the file, or the folder when the artifact is one; `derived` the folder of files that the runtime
    made of it, None when it made none.
    """

    folder: Path
    manifest: Manifest
    signature: Signature
    artifact_path: Path
    sample: Sequence[Row]
    derived: Path | None = None


#: Size and times of every file of an artifact, by which a change is noticed.
ArtifactVersion = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True)
class BundleContent:
    """All that a bundle is made of, before it has a digest.

    `version` is what `version_of` said of the artifact before it was checked; None when nobody looked. `derived` is a
    folder with the files that the runtime made of the artifact, None when it made none.
    """

    artifact: Path
    runtime: str
    format: str
    framework_version: str | None
    trusted: bool
    signature: dict[str, Any]
    environment: Environment
    memory_bytes: int
    settings: dict[str, Any]
    sample: Sequence[Row]
    version: ArtifactVersion | None = None
    derived: Path | None = None
    cpu_seconds: float | None = None


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle without touching the artifact itself.

    Raises:
        NotFound: there is no bundle in this folder.
        InvalidInput: it is damaged, or of a schema that this version does not know.
    """
    try:
        document = json.loads((folder / _MANIFEST).read_bytes())
        sample = json.loads((folder / _SAMPLE).read_bytes())
    except FileNotFoundError as error:
        raise NotFound(f"There is no bundle in {folder}.", subject=str(folder)) from error
    except ValueError as error:
        raise InvalidInput(f"The bundle in {folder} is damaged: {error}.", subject=str(folder)) from error
    try:
        manifest = Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(
            f"The manifest of the bundle in {folder} is damaged at {where}: {first['msg']}.", subject=str(folder)
        ) from error
    if manifest.schema_version != SCHEMA_VERSION:
        raise InvalidInput(
            f"The bundle in {folder} was written by another version of Tidegate.",
            subject=str(folder),
            expected=f"schema version {SCHEMA_VERSION}",
            got=str(manifest.schema_version),
            hint="Deploy the model again.",
        )
    artifact = (folder / manifest.artifact).resolve()
    if not artifact.exists() or not artifact.is_relative_to(folder.resolve()):
        raise InvalidInput(f"The bundle in {folder} has no artifact.", subject=str(folder), expected=manifest.artifact)
    return Bundle(
        folder=folder,
        manifest=manifest,
        signature=signature_from_dict(manifest.signature),
        artifact_path=artifact,
        sample=sample,
        derived=folder / _DERIVED if (folder / _DERIVED).is_dir() else None,
    )


def load_model(bundle: Bundle, threads: int) -> Model:
    """Load the model of a bundle with the signature on record.

    Args:
        bundle: what `read_bundle` returned.
        threads: threads that one `predict` may use.

    Raises:
        InvalidInput: the framework is not installed, or the artifact cannot be loaded with it.
    """
    options = LoadOptions(
        trusted=bundle.manifest.trusted,
        signature=bundle.signature,
        threads=threads,
        settings=bundle.manifest.settings,
        derived=bundle.derived,
    )
    return get_runtime(bundle.manifest.runtime).load(ArtifactFiles(bundle.artifact_path), options)


def _files_of(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield (path relative to the root in POSIX form, path) of every regular file, sorted by the former."""
    if not root.is_dir():
        yield root.name, root
        return
    for path in sorted(root.rglob("*"), key=lambda path: path.relative_to(root).as_posix()):
        if path.is_file():
            yield path.relative_to(root).as_posix(), path


def version_of(artifact: Path) -> ArtifactVersion:
    """Return what tells an artifact from a later one at the same path, without reading it."""
    found = []
    for name, path in _files_of(artifact):
        status = path.stat()
        found.append((name, status.st_size, status.st_mtime_ns, status.st_ino))
    return tuple(found)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _canonical(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def digest_of(
    content: BundleContent | Manifest,
    files: Sequence[tuple[str, str]],
    sample: Sequence[Row],
    derived: Sequence[tuple[str, str]] = (),
) -> str:
    """Return the sha256, in hexadecimal, that names a bundle.

    Args:
        content: what goes into, or stands in, the manifest.
        files: (path inside `artifact/`, sha256 in hexadecimal) of every file, sorted by path.
        sample: the rows of `sample.json`.
        derived: like `files`, of every file in `derived/`.
    """
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "runtime": content.runtime,
        "format": content.format,
        "framework_version": content.framework_version,
        "trusted": content.trusted,
        "signature": content.signature,
        "environment": content.environment.model_dump(),
        "settings": content.settings,
        "sample": list(sample),
        "files": [list(entry) for entry in files],
    }
    if derived:
        document["derived"] = [list(entry) for entry in derived]
    return hashlib.sha256(_canonical(document)).hexdigest()


def verify_bundle(bundle: Bundle) -> None:
    """Check that the content of a bundle still is what its digest says.

    Raises:
        InvalidInput: something in the bundle was changed after it was written.
    """
    files, derived = (
        [(name, _sha256(path)) for name, path in _files_of(bundle.folder / part)]
        if (bundle.folder / part).exists()
        else []
        for part in (_ARTIFACT, _DERIVED)
    )
    digest = digest_of(bundle.manifest, files, bundle.sample, derived)
    if digest != bundle.manifest.digest or bundle.folder.name != digest:
        raise InvalidInput(
            f"The bundle in {bundle.folder} was changed after it was written.",
            subject=str(bundle.folder),
            expected=bundle.folder.name,
            got=digest,
            hint="Delete the folder and deploy the model again.",
        )


def write_bundle(content: BundleContent, bundles: Path) -> Bundle:
    """Write a bundle under `bundles`, or return the equal one that is there already.

    The folder appears complete or not at all, also when two processes write the same bundle at once and when the
    machine stops in between. Files are read-only.

    Raises:
        Conflict: the artifact is not the one any more that `content.version` stands for.
        Unavailable: the disk refuses (full, read-only, no permission).
    """
    try:
        bundles.mkdir(parents=True, exist_ok=True)
        _sweep(bundles)
        with tempfile.TemporaryDirectory(dir=bundles, prefix=_SCRATCH, ignore_cleanup_errors=True) as scratch:
            return _write(content, Path(scratch), bundles)
    except OSError as error:
        raise Unavailable(
            f"The bundle cannot be written to {bundles}: {error.strerror or error}.",
            subject=str(bundles),
            hint="Free some disk space, or set TIDEGATE_HOME to a folder that you may write to.",
        ) from error


def _sweep(bundles: Path) -> None:
    """Remove what writers left behind that were killed in the middle, a day ago or longer."""
    for left in bundles.glob(f"{_SCRATCH}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _SCRATCH_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


def _write(content: BundleContent, scratch: Path, bundles: Path) -> Bundle:
    files = _copy_artifact(content.artifact, scratch / _ARTIFACT)
    if content.version is not None and version_of(content.artifact) != content.version:
        raise Conflict(
            f"{content.artifact.name} was changed while it was being checked.",
            subject=str(content.artifact),
            hint="Deploy it again when it is written to its end.",
        )
    derived = [] if content.derived is None else _copy_artifact(content.derived, scratch / _DERIVED)
    hashes = [[(name, sha256) for name, sha256, _ in part] for part in (files, derived)]
    digest = digest_of(content, hashes[0], content.sample, hashes[1])
    target = bundles / digest
    if (target / _MANIFEST).exists():
        return read_bundle(target)
    manifest = Manifest(
        digest=digest,
        artifact=_ARTIFACT if content.artifact.is_dir() else f"{_ARTIFACT}/{files[0][0]}",
        runtime=content.runtime,
        format=content.format,
        framework_version=content.framework_version,
        trusted=content.trusted,
        signature=content.signature,
        environment=content.environment,
        created_from=Origin(filename=content.artifact.name, size_bytes=sum(size for _, _, size in files)),
        memory_bytes=content.memory_bytes,
        cpu_seconds=content.cpu_seconds,
        settings=content.settings,
    )
    _write_file(scratch / _SAMPLE, json.dumps(list(content.sample), indent=1).encode())
    _write_file(scratch / _MANIFEST, json.dumps(manifest.model_dump(), indent=1).encode())
    for folder in [scratch, *(path for path in scratch.rglob("*") if path.is_dir())]:
        _sync_folder(folder)
    scratch.chmod(0o755)
    try:
        scratch.rename(target)
    except OSError:
        # Another process was faster with the same content; whatever else stands there is a real failure.
        if not (target / _MANIFEST).exists():
            raise
    _sync_folder(bundles)
    return read_bundle(target)


def _copy_artifact(source: Path, target: Path) -> list[tuple[str, str, int]]:
    """Copy a file or folder and return (path inside `target`, sha256, size) of each file, from the bytes written."""
    copied = []
    for name, path in _files_of(source):
        relative = name if source.is_dir() else f"model{_suffix(source)}"
        destination = target / relative
        destination.parent.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        with path.open("rb") as reader, destination.open("wb") as writer:
            while chunk := reader.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                writer.write(chunk)
            _seal(writer)
        copied.append((relative, digest.hexdigest(), size))
    return copied


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    return suffix if suffix[1:].isalnum() and suffix.isascii() and len(suffix) <= 10 else ""


def _write_file(path: Path, content: bytes) -> None:
    with path.open("wb") as writer:
        writer.write(content)
        _seal(writer)


def _seal(writer: Any) -> None:
    writer.flush()
    os.fsync(writer.fileno())
    os.fchmod(writer.fileno(), 0o444)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def delete_bundle(folder: Path) -> None:
    """Remove a bundle; nothing happens when it is not there."""
    shutil.rmtree(folder, ignore_errors=True)
