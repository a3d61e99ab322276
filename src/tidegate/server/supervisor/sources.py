"""Where models come from: one bundle, one model file, or a repository of versions.

A source lists what there is, newest first, and makes a bundle of a version when it is asked to. Clients name versions
and never paths, and what a link inside a repository leads to outside of it is not served.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tidegate.contract.errors import InvalidInput, NotFound, TidegateError, Unavailable
from tidegate.server.supervisor.generation import Served
from tidegate.server.supervisor.settings import SupervisorSettings

_MANIFEST = "bundle.json"
_SAMPLES = ("sample.json", "sample.csv")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
#: A folder of a version, or a file whose name begins with the version: `3`, `3.skops`.
_VERSION = re.compile(r"(?P<version>0|[1-9][0-9]{0,17})(?P<suffix>\.[A-Za-z0-9.]+)?")
_BUNDLES = "bundles"
_MOST_ENTRIES = 10_000
#: For the process that builds bundles to end what it has started.
_BUILD_END_SECONDS = 5.0


@dataclass(frozen=True)
class Offer:
    """A version that can be asked for. `mark` changes when its content does."""

    version: str
    path: Path
    mark: tuple[Any, ...]


class Source(Protocol):
    """Where models come from. Every method may read the disk; none is called on the event loop."""

    def offers(self) -> Sequence[Offer]:
        """Return the versions, newest first.

        Raises:
            TidegateError: there are none.
        """
        ...

    def artifact_of(self, offer: Offer) -> tuple[Path, Path | None]:
        """Return the bundle's folder, or the artifact of which one is to be built, and the file with its sample.

        Raises:
            InvalidInput: what is there is no model, or leads out of the source.
        """
        ...


def mark_of(path: Path) -> tuple[Any, ...]:
    """Return what changes when a file, or anything directly in a folder, is replaced; empty when it is gone."""
    try:
        status = path.stat()
        inside = sorted(os.scandir(path), key=lambda entry: entry.name) if path.is_dir() else ()
        parts = tuple((entry.name, entry.stat().st_size, entry.stat().st_mtime_ns) for entry in inside)
    except OSError:
        return ()
    return (status.st_size, status.st_mtime_ns, status.st_ino, parts)


@contextlib.contextmanager
def _readable(folder: Path) -> Generator[None, None, None]:
    """Say that a folder cannot be read, as while another is put in its place."""
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{folder} cannot be read: {error.strerror or error}", subject=str(folder)) from error


class OneModel:
    """A bundle or a model file that was named when the supervisor started."""

    def __init__(self, path: Path, version: str | None, sample: Path | None) -> None:
        self._path = path.absolute()
        self._first = version or "1"
        self._sample = sample
        self._marks: list[tuple[Any, ...]] = []

    def offers(self) -> Sequence[Offer]:
        mark = mark_of(self._path)
        if not mark:
            raise NotFound(f"there is no {self._path}", subject=str(self._path))
        if not self._marks or self._marks[-1] != mark:
            self._marks.append(mark)
        # Each new content of the file is a new version to its clients.
        number = len(self._marks) - 1
        version = str(int(self._first) + number) if self._first.isdigit() else self._first
        return [Offer(version, self._path, mark)]

    def artifact_of(self, offer: Offer) -> tuple[Path, Path | None]:
        return offer.path, self._sample


class Repository:
    """A folder of models, each a folder of versions; one model of it is served."""

    def __init__(self, root: Path, model: str | None) -> None:
        """Take the only model when none is named.

        Raises:
            InvalidInput: there is not just one, or the name is none of a model's folder.
        """
        self.root = root.resolve()
        names = self.models()
        if model is None and len(names) != 1:
            raise InvalidInput(
                f"the repository {root} holds {len(names)} models; say which one to serve",
                subject="--model",
                got=", ".join(names[:10]) or None,
            )
        self.model = model if model is not None else names[0]
        if self.model not in names:
            raise InvalidInput(
                f"the repository {root} has no model {self.model!r}", subject="--model", got=", ".join(names[:10])
            )

    def models(self) -> list[str]:
        """Return the names of the models, sorted."""
        if not self.root.is_dir():
            raise NotFound(f"there is no folder {self.root}", subject="--repository")
        with _readable(self.root):
            names = [entry.name for entry in os.scandir(self.root) if entry.is_dir() and _NAME.fullmatch(entry.name)]
        return sorted(names)[:_MOST_ENTRIES]

    def versions(self, model: str) -> list[Offer]:
        """Return the versions of a model, the highest number first."""
        found: dict[str, Offer] = {}
        folder = self.root / model
        with _readable(folder):
            for entry in sorted(folder.iterdir())[:_MOST_ENTRIES] if folder.is_dir() else ():
                match = _VERSION.fullmatch(entry.name)
                if match is not None and (entry.is_dir() if match["suffix"] is None else entry.is_file()):
                    found[match["version"]] = Offer(match["version"], entry, mark_of(entry))
        return sorted(found.values(), key=lambda offer: int(offer.version), reverse=True)

    def offers(self) -> Sequence[Offer]:
        versions = self.versions(self.model)
        if not versions:
            raise NotFound(
                f"the repository has no version of {self.model!r}",
                subject=self.model,
                expected=f"a folder such as {self.model}/1 with a bundle or a model in it, or a file such as 1.skops",
            )
        return versions

    def artifact_of(self, offer: Offer) -> tuple[Path, Path | None]:
        path = self._inside(offer.path)
        beside = [name for name in _SAMPLES if (path.parent / name).is_file()]
        sample = self._inside(path.parent / beside[0]) if beside else None
        if not path.is_dir():
            return path, sample
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                self._inside(Path(folder, name))
        if (path / _MANIFEST).is_file():
            return path, None
        entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
        samples = [entry for entry in entries if entry.name in _SAMPLES]
        artifacts = [entry for entry in entries if entry.name not in _SAMPLES]
        if not artifacts:
            raise InvalidInput(f"version {offer.version} is an empty folder", subject=offer.version)
        return artifacts[0] if len(artifacts) == 1 else path, samples[0] if samples else sample

    def _inside(self, path: Path) -> Path:
        """Return the path without links. Raises InvalidInput when it leads out of the repository."""
        real = path.resolve()
        if not real.is_relative_to(self.root):
            raise InvalidInput(f"{path.name} is a link that leads out of the repository", subject=path.name)
        return real


class Builder:
    """Makes bundles of what a source offers."""

    def __init__(self, settings: SupervisorSettings) -> None:
        self._settings = settings
        self._bundles = settings.run_dir / _BUNDLES

    async def served(self, source: Source, offer: Offer, *, in_background: bool) -> Served:
        """Return the bundle of an offer, built where it is none yet.

        Raises:
            TidegateError: it cannot be built.
        """
        path, sample = await asyncio.to_thread(source.artifact_of, offer)
        if (path / _MANIFEST).is_file():
            return Served(offer.version, await asyncio.to_thread(self._under_its_digest, path))
        return Served(offer.version, await self._build(path, sample or self._settings.sample, in_background))

    async def forget(self, keep: Sequence[Path]) -> None:
        """Remove the bundles that were built here and are not among those to keep, and what killed builds left.

        Not to be called while a bundle is built.
        """
        await asyncio.to_thread(self._forget, {path.name for path in keep})

    def _forget(self, keep: set[str]) -> None:
        if not self._bundles.is_dir():
            return
        for entry in self._bundles.iterdir():
            if entry.name in keep:
                continue
            if entry.is_symlink():
                entry.unlink(missing_ok=True)
            else:
                shutil.rmtree(entry, ignore_errors=True)

    def _under_its_digest(self, folder: Path) -> Path:
        """Return a bundle's folder under the name that it must have; in a repository it is named by its version."""
        try:
            digest = str(json.loads((folder / _MANIFEST).read_bytes())["digest"])
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(f"the bundle in {folder.name} is damaged: {error}", subject=str(folder)) from error
        if folder.name == digest:
            return folder
        if re.fullmatch(r"[0-9a-f]{64}", digest) is None:
            raise InvalidInput(f"the bundle in {folder.name} is damaged: its digest is none", subject=str(folder))
        self._bundles.mkdir(parents=True, exist_ok=True)
        link = self._bundles / digest
        beside = self._bundles / f".{digest}.link"
        beside.unlink(missing_ok=True)
        beside.symlink_to(folder)
        if not link.is_dir() or link.is_symlink():
            beside.replace(link)
        else:  # built here before, with the same content
            beside.unlink()
        return link

    async def _build(self, path: Path, sample: Path | None, in_background: bool) -> Path:
        settings = self._settings
        request = {
            "path": str(path),
            "framework": settings.framework,
            "trust": settings.trust,
            "sample": None if sample is None else str(sample),
            "settings": settings.settings,
            "bundles": str(self._bundles),
            "seconds": settings.load_seconds,
            "in_background": in_background,
        }
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tidegate.server.supervisor.build"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                process_group=0,  # in the session of the workers, to which it stands back
            )
        except OSError as error:
            raise Unavailable(f"the process that builds bundles cannot be started: {error}") from error
        said = await _answer_of(process, json.dumps(request).encode())
        try:
            answer = json.loads(said)
        except ValueError:
            raise Unavailable(
                f"the process that builds bundles ended with code {process.returncode} and no answer"
            ) from None
        if "error" in answer:
            raise error_of(answer["error"])
        return Path(answer["ok"]["folder"])


async def _answer_of(process: asyncio.subprocess.Process, request: bytes) -> bytes:
    """Return what the process says until it ends; it is ended when nobody waits for it any more."""
    assert process.stdin is not None  # noqa: S101 (both are pipes)
    assert process.stdout is not None  # noqa: S101
    try:
        with contextlib.suppress(ConnectionError):  # it ended; what it said will tell
            process.stdin.write(request + b"\n")
            await process.stdin.drain()
        said = await process.stdout.read()
        await process.wait()
    except asyncio.CancelledError:
        # Its input ends with this. It then ends what it has started, too, which would outlive a kill of it alone.
        process.stdin.close()
        await _ended(process)
        raise
    process.stdin.close()
    return said


async def _ended(process: asyncio.subprocess.Process) -> None:
    try:
        async with asyncio.timeout(_BUILD_END_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()


def error_of(document: dict[str, Any]) -> TidegateError:
    """Return an error that another process wrote down. A model that is no good is bad input, whatever its code."""
    details = {key: document.get(key) for key in ("subject", "expected", "got", "hint")}
    kind = Unavailable if document.get("code") == "unavailable" else InvalidInput
    return kind(str(document.get("message", "the model could not be built")), **details)


def source_of(settings: SupervisorSettings) -> Source:
    """Return the source that the settings name.

    Raises:
        TidegateError: it is not there, or it is not clear which model of it is meant.
    """
    if settings.repository is not None:
        return Repository(settings.repository, settings.model)
    path = settings.bundle or settings.model_file
    assert path is not None  # noqa: S101 (the parser takes care)
    return OneModel(path, settings.version, settings.sample)
