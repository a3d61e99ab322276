"""Build a bundle in a process of its own, and survive whatever the model does to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tidegate.artifact.bundle import Manifest, read_bundle
from tidegate.artifact.inspect import ArtifactLimits, measure
from tidegate.contract.errors import InvalidInput, TidegateError, Unavailable
from tidegate.runtime.registry import get_runtime

_POLL_SECONDS = 0.05
_ANSWER_LIMIT = 4 << 20


@dataclass(frozen=True)
class BuildRequest:
    """What to build a bundle from.

    Attributes:
        path: the artifact, a file or a folder, on this machine.
        framework: name of the runtime, None to go by the content.
        version: the model's version as its clients see it; serving knows it, the bundle does not depend on it.
        trust: the user made the file, or trusts who did: code in it may run.
        sample_path: JSON records or CSV with typical rows, None for a made-up row.
        settings: settings of the runtime alone.
    """

    path: Path
    framework: str | None = None
    version: str | None = None
    trust: bool = False
    sample_path: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BuildLimits:
    """What one build may take.

    Attributes:
        seconds: wall-clock time for inspection, loading, the sample inference and copying.
        memory_bytes: resident memory of the process that does it; None for no limit.
        artifact: size of the artifact.
    """

    seconds: float = 120.0
    memory_bytes: int | None = None
    artifact: ArtifactLimits = field(default_factory=ArtifactLimits)


@dataclass(frozen=True)
class BundleInfo:
    """A bundle that is ready to be served, and what the user should know about it."""

    digest: str
    folder: Path
    manifest: Manifest
    warnings: list[str]


async def build_bundle(request: BuildRequest, bundles: Path, limits: BuildLimits | None = None) -> BundleInfo:
    """Inspect, check and bundle an artifact under `bundles`. Building the same twice, also at once, is one bundle.

    Raises:
        InvalidInput: the artifact is no good, or took the process that loaded it down.
        NotTrusted: it would run code of its own, and `trust` is False.
        Conflict: the artifact was changed while it was being checked.
        Unavailable: the disk refuses, or the process cannot be started.
    """
    limits = limits or BuildLimits()
    if request.framework is not None:
        get_runtime(request.framework)
    # Known at once, without a process: most mistakes are a mistyped path.
    await asyncio.to_thread(measure, request.path, limits.artifact)
    answer = await _run_worker(request, bundles, limits)
    if "error" in answer:
        raise error_from_dict(answer["error"])
    outcome = answer["ok"]
    folder = bundles / outcome["digest"]
    bundle = read_bundle(folder)
    return BundleInfo(outcome["digest"], folder, bundle.manifest, list(outcome["warnings"]))


def error_from_dict(document: Mapping[str, Any]) -> TidegateError:
    """Return the error whose `as_dict` this is; an unknown code becomes the base class."""
    code = str(document.get("code"))
    # The first is the most general: a package may have narrower classes under a code of `contract.errors`.
    kind = next((found for found in _subclasses(TidegateError) if found.code == code), TidegateError)
    details = {key: document.get(key) for key in ("subject", "expected", "got", "hint")}
    return kind(str(document.get("message", "The model could not be built.")), **details)


def _subclasses(kind: type[TidegateError]) -> list[type[TidegateError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _subclasses(child))]


async def _run_worker(request: BuildRequest, bundles: Path, limits: BuildLimits) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="tidegate-build-") as scratch:
        request_file, log_file = Path(scratch, "request.json"), Path(scratch, "log")
        await asyncio.to_thread(_write_request, request_file, request, bundles, limits)
        process = await _start(request_file, log_file)
        answer = await _answer_of(process, request.path, limits)
        if answer is not None:
            return answer
        raise _crashed(request.path, process.returncode or 0, log_file)


def _write_request(request_file: Path, request: BuildRequest, bundles: Path, limits: BuildLimits) -> None:
    document = {
        "path": str(request.path.absolute()),
        "framework": request.framework,
        "trust": request.trust,
        "sample_path": None if request.sample_path is None else str(request.sample_path.absolute()),
        "settings": dict(request.settings),
        "bundles": str(bundles.absolute()),
        "seconds": limits.seconds,
        "limits": asdict(limits.artifact),
    }
    request_file.write_text(json.dumps(document))


async def _start(request_file: Path, log_file: Path) -> asyncio.subprocess.Process:
    # The worker's own folder as working directory: what a model writes beside itself is thrown away.
    scratch = str(log_file.parent)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TMPDIR": scratch}
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tidegate.artifact", "--request", str(request_file)),
            stdin=asyncio.subprocess.PIPE,  # its end is the end of this process, after which nobody would end the other
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            cwd=scratch,
            env=environment,
            process_group=0,
            limit=_ANSWER_LIMIT,
        )
    except OSError as error:
        raise Unavailable(f"The process that checks models cannot be started: {error}.") from error
    finally:
        os.close(log)


async def _answer_of(process: asyncio.subprocess.Process, path: Path, limits: BuildLimits) -> dict[str, Any] | None:
    """Return the worker's answer, None when it ended without one. The worker and its children are gone afterwards."""
    assert process.stdout is not None  # noqa: S101 (it was asked for)
    watch = asyncio.create_task(_memory_exceeded(process.pid, limits.memory_bytes))
    read = asyncio.create_task(process.stdout.readline())
    try:
        await asyncio.wait({read, watch}, timeout=limits.seconds, return_when=asyncio.FIRST_COMPLETED)
        if watch.done():
            raise InvalidInput(
                f"{path.name} needs more memory than it may take.",
                subject=str(path),
                expected=f"at most {limits.memory_bytes} bytes",
                got=f"{watch.result()} bytes and growing",
            )
        if not read.done():
            raise InvalidInput(
                f"{path.name} could not be checked in {limits.seconds:g} seconds.",
                subject=str(path),
                hint="The model is very large, or loading it never ends.",
            )
        return _parsed(read.result())
    finally:
        for task in (watch, read):
            task.cancel()
        _kill_group(process.pid)
        await process.wait()


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(line)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


async def _memory_exceeded(pid: int, limit: int | None) -> int:
    """Return the resident memory of a process and its children as soon as it is above the limit; never without one."""
    if limit is None:
        await asyncio.Event().wait()
        return 0
    while True:
        resident = _resident(pid)
        if resident > limit:
            return resident
        await asyncio.sleep(_POLL_SECONDS)


def _resident(pid: int) -> int:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return sum(_own_resident(member) for member in (process, *process.children(recursive=True)))
    return 0


def _own_resident(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _crashed(path: Path, code: int, log_file: Path) -> InvalidInput:
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    said = log_file.read_bytes()[-2000:].decode(errors="replace").strip().splitlines()
    return InvalidInput(
        f"{path.name}: the model crashed the process that loaded it ({how}).",
        subject=str(path),
        got=said[-1][:300] if said else None,
        hint="The file may be damaged, or made by another version of its framework.",
    )
