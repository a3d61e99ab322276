"""Runs a command or a Python entry point as an attempt: with a time limit, little environment, and bounded output.

The guard of the command runtime stands between us and the program: when its control pipe ends, because we close it or
were killed ourselves, it kills the program and all that it started.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tidegate.health import python_runner
from tidegate.health.base import Attempt, CommandProbe, PythonProbe, Replica
from tidegate.runtime.command import guard

#: Read of what a program writes; of this the end is kept. The rest is thrown away.
_KEPT_BYTES = 4096
_LONGEST_DETAIL = 200
#: How long the guard may take to kill what is left.
_END_SECONDS = 6.0

#: All that a check gets of the controller's environment, in which there may be secrets.
_HANDED_ON = (
    "HOME",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "PATH",
    "PYTHONPATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
)
_PLACEHOLDER = re.compile(r"\{(url|host|port|deployment|revision|replica|python)\}")


def environment(inherited: Mapping[str, str], replica: Replica | None) -> dict[str, str]:
    """Return the environment of a check: a few harmless variables, and which replica is asked."""
    kept = {name: value for name, value in inherited.items() if name in _HANDED_ON or name.startswith("LC_")}
    if replica is None:
        return kept
    return {
        **kept,
        "REPLICA_URL": replica.url,
        "REPLICA_HOST": replica.host,
        "REPLICA_PORT": str(replica.port),
        "REPLICA_INDEX": str(replica.index),
        "DEPLOYMENT": replica.deployment,
        "REVISION": str(replica.revision),
    }


def words_of(probe: CommandProbe | PythonProbe, replica: Replica) -> list[str]:
    """Return the command line of an attempt, its placeholders filled in; the first is the program as it was named."""
    if isinstance(probe, PythonProbe):
        return [sys.executable, python_runner.__file__, probe.entry_point, replica.url]
    values = {
        "url": replica.url,
        "host": replica.host,
        "port": str(replica.port),
        "deployment": replica.deployment,
        "revision": str(replica.revision),
        "replica": str(replica.index),
        "python": sys.executable,
    }
    return [_PLACEHOLDER.sub(lambda match: values[match[1]], word) for word in probe.words]


def find_program(word: str, folder: Path, path: str | None) -> str | None:
    """Return the program's path, None when there is none; one that is named with a slash counts from the folder."""
    if word == "{python}":
        return sys.executable
    return shutil.which(str(folder / word) if "/" in word else word, path=path)


async def run(probe: CommandProbe | PythonProbe, replica: Replica) -> Attempt:
    """Make one attempt; when this is cancelled, the program is killed with all that it started."""
    return await run_words(words_of(probe, replica), probe.folder, environment(os.environ, replica))


async def run_words(words: Sequence[str], folder: Path, env: Mapping[str, str]) -> Attempt:
    """Run a program to its end, see `run`; it passes with exit code 0."""
    program = find_program(words[0], folder, env.get("PATH"))
    if program is None:
        return Attempt(passed=False, detail=f"there is no program {words[0]}")
    control, ours = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", guard.__file__, str(control), "--", program, *words[1:]),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            cwd=folder,
            env=dict(env),
            pass_fds=(control,),
            start_new_session=True,
        )
    except OSError as error:
        os.close(ours)
        return Attempt(passed=False, detail=f"it cannot be started: {error.strerror or error}")
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(control)
    try:
        said = await _read_end(process)
        code = await process.wait()
    finally:
        # The guard kills everything when it finds the pipe closed, and ends after that.
        os.close(ours)
        await _gone(process)
    if code == 0:
        return Attempt(passed=True, detail="exit code 0")
    return Attempt(passed=False, detail=f"exit code {code}" + (f": {said}" if said else ""))


async def _read_end(process: asyncio.subprocess.Process) -> str:
    """Return the last line of what the program wrote, cut short; the rest is read and thrown away."""
    assert process.stderr is not None  # noqa: S101 (it is a pipe)
    end = b""
    while data := await process.stderr.read(65536):
        end = (end + data)[-_KEPT_BYTES:]
    lines = end.decode(errors="replace").strip().splitlines()
    last = "".join(letter if letter.isprintable() else " " for letter in lines[-1]) if lines else ""
    return last.strip()[:_LONGEST_DETAIL]


async def _gone(process: asyncio.subprocess.Process) -> None:
    """Wait for the guard, also while we are being cancelled: only then nothing of the program is left."""
    if process.returncode is None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(process.wait()), _END_SECONDS)
