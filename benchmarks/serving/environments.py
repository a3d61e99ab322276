"""One virtual environment per peer, made once from its pinned requirements and used again while they stay the same."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from benchmarks.serving.servers import PEERS, Server

PROFILER_REQUIREMENT = "py-spy==0.4.3"


class EnvironmentFailedError(Exception):
    """A peer cannot be installed here; the message says what the installer said."""


def python_of(server: Server, base: Path) -> Path:
    """Return the interpreter that runs a server, after making its environment under `base` if need be.

    Raises:
        EnvironmentFailedError: the installer failed.
    """
    if server.peer is None:
        return Path(sys.executable)
    return made(base / server.peer, (PEERS / server.peer / "requirements.txt").read_text())


def profiler(base: Path) -> Path:
    """Return the command py-spy from an environment of its own. Raises EnvironmentFailedError."""
    return made(base / "profiler", PROFILER_REQUIREMENT).parent / "py-spy"


def versions(server: Server, python: Path) -> dict[str, str]:
    """Return the installed versions of the packages that matter for a server."""
    if server.peer is None:
        return {name: metadata.version(name) for name in server.packages}
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"],
        check=True,
        capture_output=True,
    )
    installed = {entry["name"].lower(): entry["version"] for entry in json.loads(listed.stdout)}
    return {name: installed[name] for name in server.packages if name in installed}


def made(folder: Path, requirements: str) -> Path:
    stamp, digest = folder / ".made-from", hashlib.sha256(requirements.encode()).hexdigest()
    python = folder / "bin" / "python"
    if stamp.exists() and stamp.read_text() == digest:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    listed = folder / "requirements.txt"
    listed.write_text(requirements)
    _call([sys.executable, "-m", "venv", str(folder)], folder.name)
    # The list is complete. Resolving it again would refuse what works: mlserver-xgboost asks for the distribution
    # `xgboost`, and `xgboost-cpu` brings the same module without half a gigabyte for GPUs.
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", str(listed)]
    _call([str(python), *install], folder.name)
    stamp.write_text(digest)
    return python


def _call(command: list[str], what: str) -> None:
    print(f"making the environment of {what} …", flush=True)
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if "ERROR" in line]
        raise EnvironmentFailedError(f"{what}: {' '.join(lines)[:500] or done.stderr[-500:]}")
