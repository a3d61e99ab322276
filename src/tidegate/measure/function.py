"""Calls a user's function in a process of its own. Nothing of it is ever imported here."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidegate.measure.errors import UnmeasurableError

_RUNNER = Path(__file__).with_name("runner.py")
_MOST_SOURCE = 1 << 20
_MOST_ANSWER = 64 << 10
#: Of the controller's environment nothing else is handed on: what is TIDEGATE_… may be a secret.
_HANDED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")


async def call(path: Path, function: str, context: Mapping[str, Any], timeout_seconds: float) -> Any:
    """Return what the function returns, as a JSON value.

    Args:
        path: the file that defines it; read anew each time.
        context: its one argument.

    Raises:
        UnmeasurableError: the file is open to others, or the function fails, takes too long, or returns no JSON value.
    """
    source = await asyncio.to_thread(source_of, path)
    request = {
        "path": str(path),
        "source": source,
        "function": function,
        "context": dict(context),
        "seconds": timeout_seconds,
    }
    environment = {name: os.environ[name] for name in _HANDED_ON if name in os.environ}
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-B", str(_RUNNER)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise UnmeasurableError(f"no process can be started: {error.strerror}") from None
    try:
        async with asyncio.timeout(timeout_seconds):
            answer = await _exchange(process, json.dumps(request).encode())
    except TimeoutError:
        raise UnmeasurableError(f"{function} did not return within {timeout_seconds:g} s") from None
    finally:
        # Also what the function started and left; it is not waited for.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    return _answered(answer, function, process.returncode)


async def _exchange(process: asyncio.subprocess.Process, request: bytes) -> bytes:
    """Return the line that the runner answers with; what the function leaves running may hold the pipe open."""
    if process.stdin is None or process.stdout is None:
        raise UnmeasurableError("no pipe can be opened")
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(request)
        await process.stdin.drain()
        process.stdin.close()
    answer = bytearray()
    while chunk := await process.stdout.read(_MOST_ANSWER):
        answer += chunk
        if answer.endswith(b"\n") or len(answer) > _MOST_ANSWER:
            break
    return bytes(answer)


def _answered(answer: bytes, function: str, code: int | None) -> Any:
    if len(answer) > _MOST_ANSWER:
        raise UnmeasurableError(f"{function} returned more than {_MOST_ANSWER >> 10} KiB")
    try:
        said = json.loads(answer)
        if "error" not in said:
            return said["result"]
        why = str(said["error"])
    except (ValueError, KeyError, TypeError, RecursionError):
        why = f"{function} ended its process (exit code {code})"
    raise UnmeasurableError(why)


def source_of(path: Path) -> str:
    """Return the text of the file; what is checked is what runs, whatever becomes of the name meanwhile.

    Raises:
        UnmeasurableError: there is none, or others than the controller's user could have written it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise UnmeasurableError(f"{path.name}: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as stream:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise UnmeasurableError(f"{path.name} is no regular file")
        if found.st_uid != os.geteuid():
            raise UnmeasurableError(f"{path.name} belongs to somebody else than the controller's user")
        if found.st_mode & 0o022:
            raise UnmeasurableError(f"{path.name} can be written by others (chmod go-w)")
        try:
            text = stream.read(_MOST_SOURCE + 1)
            if len(text) > _MOST_SOURCE:
                raise UnmeasurableError(f"{path.name} has more than {_MOST_SOURCE >> 20} MiB")
            return text.decode()
        except (OSError, UnicodeDecodeError):
            raise UnmeasurableError(f"{path.name} cannot be read as text") from None
