"""References of revisions: read once, in a process of their own, and kept in the home under the sha256 of their bytes.

What is kept is bins and counts, of those columns that the model takes or answers: all that readings are compared with.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tidegate.artifact.build import error_from_dict
from tidegate.contract.drift import Drift
from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.controller.admission import Admitted
from tidegate.drift import Reference
from tidegate.gate.kept import keep, kept_path
from tidegate.health.subprocesses import environment
from tidegate.runtime.base import Signature
from tidegate.runtime.signatures import signature_from_dict

#: Of one reference as it is kept.
MOST_BYTES = 4 << 20
_SECONDS = 60.0
#: What the process may say: a reference of many columns that the model has nothing of, too.
_MOST_SAID = 64 << 20


async def all_with_kept_references(admitted: Sequence[Admitted], folder: Path, *, write: bool) -> list[Admitted]:
    """Return the candidates, each with a request whose reference is a copy that never changes.

    Args:
        folder: below which the copies lie.
        write: whether they are written; else only named.

    Raises:
        InvalidInput: a reference cannot be read, is too large, or has no column that the model has.
        Unavailable: the disk refuses, or no process can be started.
    """
    return [await _with_kept(one, folder, write=write) for one in admitted]


async def _with_kept(one: Admitted, folder: Path, *, write: bool) -> Admitted:
    drift = one.request.drift
    if drift is None:
        return one
    plain = await _read(drift)
    reference = watchable(Reference.from_plain(plain), drift, signature_from_dict(one.info.manifest.signature))
    content = json.dumps(reference.as_plain(), sort_keys=True).encode()
    if len(content) > MOST_BYTES:
        raise InvalidInput(
            f"drift.reference: {drift.reference} has {len(content):,} bytes of bins and levels",
            subject="drift.reference",
            expected=f"at most {MOST_BYTES >> 20} MiB",
            hint="name fewer columns in drift.columns: those with many different levels take most",
        )
    if write:
        path = await asyncio.to_thread(keep, content, ".json", folder, what="the reference of drift")
    else:
        path = kept_path(content, ".json", folder)
    kept = drift.model_copy(update={"reference": str(path)})
    return replace(one, request=one.request.model_copy(update={"drift": kept}))


def watchable(reference: Reference, drift: Drift, signature: Signature) -> Reference:
    """Return the columns of a reference that replicas may count of a model. Pure.

    Raises:
        InvalidInput: there are none, or one that the request names is not among them.
    """
    names = [spec.name for spec in (*signature.inputs, *signature.outputs)]
    known = [column for column in reference.columns if _is_of(column, names)]
    strangers = [column for column in drift.columns if column not in known]
    if strangers or not known:
        listed = ", ".join(names)
        raise InvalidInput(
            f"drift.columns: the model has no {', '.join(strangers)}"
            if strangers
            else "drift.reference: it has no column that the model takes or answers",
            subject="drift.columns" if strangers else "drift.reference",
            expected=f"columns among {listed}",
            got=", ".join(strangers or list(reference.columns)[:10]),
        )
    return reference.only(known)


def _is_of(column: str, names: Iterable[str]) -> bool:
    # Columns of a table, and what is counted of an answer with several labels, go by its name and what follows.
    return any(column == name or column.startswith((f"{name}[", f"{name}, ", f"{name} of ")) for name in names)


def read_kept(path: Path) -> Reference:
    """Read what was kept.

    Raises:
        InvalidInput: it is gone, or its bytes are no longer those that its name says.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise InvalidInput(
            f"the reference {path.name} cannot be read: {(error.strerror or 'unknown reason').lower()}",
            subject=str(path),
            hint="deploy again with its file",
        ) from error
    if hashlib.sha256(content).hexdigest() != path.stem:
        raise InvalidInput(
            f"the reference {path.name} was changed after it was kept",
            subject=str(path),
            expected=path.stem,
            hint="delete the file and deploy again",
        )
    return Reference.from_plain(json.loads(content))


async def _read(drift: Drift) -> Any:
    """Return the reference as the process says it; the process is gone afterwards."""
    words = [sys.executable, "-m", "tidegate.drift", drift.reference, *drift.columns]
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment(os.environ, None),
            limit=_MOST_SAID,
        )
    except (OSError, ValueError) as error:
        raise Unavailable(f"the process that reads references cannot be started: {error}") from error
    assert process.stdout is not None  # noqa: S101 (it is a pipe)
    try:
        async with asyncio.timeout(_SECONDS):
            line = await process.stdout.readline()
    except (TimeoutError, ValueError) as error:
        raise InvalidInput(
            f"drift.reference: {drift.reference} could not be read in {_SECONDS:g} seconds, or is too large",
            subject="drift.reference",
            hint="write a reference of it first: tidegate drift reference DATA --out reference.json",
        ) from error
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return await asyncio.to_thread(_answered, line, drift.reference)


def _answered(line: bytes, path: str) -> Any:
    try:
        answer = json.loads(line)
    except ValueError:
        raise InvalidInput(
            f"drift.reference: the process that reads {path} ended without an answer",
            subject="drift.reference",
            hint="see what is wrong with it: tidegate drift reference DATA --out reference.json",
        ) from None
    if "error" in answer:
        raise error_from_dict(answer["error"])
    return answer["ok"]
