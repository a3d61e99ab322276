"""Calls the pipeline from a block of Mage: standard library only, since it runs among Mage's own.

Mage pins typer, typing_extensions and psutil to versions that Tidegate cannot use, so the pipeline has an interpreter
of its own, which TIDEGATE_PIPELINE_PYTHON names.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

#: Names the interpreter.
PYTHON = "TIDEGATE_PIPELINE_PYTHON"
#: Folders of packages that it has beside its own; unset where Tidegate is installed in it.
PLACES = "TIDEGATE_PIPELINE_PYTHONPATH"
#: Lines of what was said that an error repeats.
_KEPT = 10


class PipelineError(Exception):
    """A command of the pipeline failed; the message is its own."""


def call(
    command: str, *arguments: object, say: Callable[[str], object] = print, timeout_seconds: float | None = None
) -> Any:
    """Run `python -m tidegate_pipeline COMMAND`, say what it says while it does, and return its JSON document.

    The command ends when this process does, however that ends: it watches its standard input.

    Raises:
        PipelineError: it failed, took longer than `timeout_seconds`, or the interpreter is not named.
    """
    python = os.environ.get(PYTHON)
    if not python:
        raise PipelineError(
            f"{PYTHON} is not set: it names the Python that requirements-pipeline.txt was installed for"
        )
    words = [python, "-m", "tidegate_pipeline", command, *map(str, arguments), "--output", "json", "--with-parent"]
    said: list[str] = []
    answered: list[str] = []
    with subprocess.Popen(
        words,
        env=_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        readers = [
            threading.Thread(target=_listen, args=(process.stderr, say, said)),
            threading.Thread(target=_listen, args=(process.stdout, answered.append, [])),
        ]
        for reader in readers:
            reader.start()
        try:
            process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            raise PipelineError(f"{command} took more than {timeout_seconds:g} s and was ended") from None
        finally:
            process.kill()
            for reader in readers:
                reader.join()
    if process.returncode != 0:
        told = " ".join(said[-_KEPT:]).strip() or "without a word"
        raise PipelineError(f"{command} ended with {process.returncode}: {told}")
    return json.loads("\n".join(answered))


def options(variables: Mapping[str, Any], *names: str) -> list[object]:
    """Return the variables of these names that are set, as options of a command."""
    known = ((f"--{name.replace('_', '-')}", variables.get(name)) for name in names)
    return [word for option, value in known if value is not None for word in (option, value)]


def _environment() -> dict[str, str]:
    """Return this process's own environment, without what tells a Python where its packages are: others are meant."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    places = [str(Path(__file__).resolve().parent.parent), os.environ.get(PLACES, "")]
    return {**own, "PYTHONPATH": os.pathsep.join(filter(None, places)), "PYTHONUNBUFFERED": "1"}


def _listen(stream: Iterable[str], say: Callable[[str], object], said: list[str]) -> None:
    for line in stream:
        said.append(line.strip())
        say(line.rstrip("\n"))
