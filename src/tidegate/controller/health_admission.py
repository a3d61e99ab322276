"""Whether the checks that a request asks for can be made at all: asked before anything changes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tidegate.artifact.build import BundleInfo
from tidegate.contract.errors import InvalidInput
from tidegate.contract.health import HealthCheck
from tidegate.contract.request import DeploymentRequest
from tidegate.controller.admission import Admitted, refuse_relative
from tidegate.gate.golden import refuse_impossible
from tidegate.gate.kept import keep, kept_path, read_golden
from tidegate.health import python_runner
from tidegate.health.subprocesses import environment, find_program, run_words
from tidegate.runtime.signatures import signature_from_dict

#: How long the import of a module may take that has a check in it.
_IMPORT_SECONDS = 30.0


async def refuse_unrunnable(request: DeploymentRequest) -> None:
    """Raise InvalidInput for a program or a Python function that is not there."""
    for name, check in request.health_checks.every().items():
        refuse_relative(check.golden, check.folder)
        if not check.needs_folder:
            continue
        where = _where(request, name)
        folder = _folder(where, check)
        if check.command is not None:
            _refuse_program(where, check.command[0], folder)
        if check.python is not None:
            await _refuse_function(where, check.python, folder)


def _where(request: DeploymentRequest, name: str) -> str:
    names = [check.name for check in request.health_checks.custom]
    return f"healthChecks.custom[{names.index(name)}]" if name in names else f"healthChecks.{name}"


def _folder(where: str, check: HealthCheck) -> Path:
    if check.folder is None or not Path(check.folder).is_dir():
        raise InvalidInput(
            f"{where}.folder: there is no such folder: {check.folder}",
            subject=f"{where}.folder",
            expected="the folder in which the check runs, as an absolute path",
            got=str(check.folder),
        )
    return Path(check.folder)


def _refuse_program(where: str, word: str, folder: Path) -> None:
    if find_program(word, folder, os.environ.get("PATH")) is not None:
        return
    is_there = "/" in word and (folder / word).exists()
    raise InvalidInput(
        f"{where}.command: {word} cannot be executed" if is_there else f"{where}.command: there is no program {word}",
        subject=f"{where}.command",
        expected="a program that is installed here, or a file that may be executed; with a slash it counts from folder",
        got=word,
        hint="for a Python file, begin the command with {python}" if word.endswith(".py") else None,
    )


async def _refuse_function(where: str, entry_point: str, folder: Path) -> None:
    words = [sys.executable, python_runner.__file__, entry_point]
    try:
        async with asyncio.timeout(_IMPORT_SECONDS):
            found = await run_words(words, folder, environment(os.environ, None))
    except TimeoutError:
        found = None
    if found is None or not found.passed:
        told = f"no import within {_IMPORT_SECONDS:g} s" if found is None else found.detail.partition(": ")[2]
        raise InvalidInput(
            f"{where}.python: {entry_point} cannot be used: {told}",
            subject=f"{where}.python",
            expected=f"module:function, importable in {folder} by the Python that runs Tidegate",
            got=entry_point,
        )


async def with_kept_goldens(
    request: DeploymentRequest, candidate: BundleInfo, folder: Path, *, write: bool
) -> DeploymentRequest:
    """Return the request as a revision keeps it: the golden requests of its checks are copies that never change.

    Args:
        folder: below which the copies lie.
        write: whether they are written; else only named.

    Raises:
        InvalidInput: golden requests cannot be read, or expect what the candidate cannot give.
    """
    checks = request.health_checks
    three = {name: getattr(checks, name) for name in ("startup", "liveness", "readiness")}
    kept = {
        name: check if check is None else await _kept(check, candidate, folder, write=write)
        for name, check in three.items()
    }
    custom = [await _kept(check, candidate, folder, write=write) for check in checks.custom]
    changed = checks.model_copy(update={**kept, "custom": tuple(custom)})
    return request.model_copy(update={"health_checks": changed})


async def _kept(check: HealthCheck, candidate: BundleInfo, folder: Path, *, write: bool) -> HealthCheck:
    if check.golden is None:
        return check
    path = Path(check.golden)
    golden, content = await asyncio.to_thread(read_golden, path)
    refuse_impossible(golden, signature_from_dict(candidate.manifest.signature))
    place = keep if write else kept_path
    return check.model_copy(update={"golden": str(place(content, path.suffix.lower(), folder))})


async def all_with_kept_goldens(admitted: Sequence[Admitted], folder: Path, *, write: bool) -> list[Admitted]:
    """Return the candidates as `with_kept_goldens` has the request of each."""
    return [
        replace(one, request=await with_kept_goldens(one.request, one.info, folder, write=write)) for one in admitted
    ]
