"""The package `tidegate_pipeline` as a process: what trains is not in the command that asks for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tidegate.contract.errors import Unavailable

#: Names the Python of the pipeline where that is another one than this.
PYTHON = "TIDEGATE_PIPELINE_PYTHON"
#: Folders of packages that it has beside its own.
PLACES = "TIDEGATE_PIPELINE_PYTHONPATH"


def run(home: Path, *arguments: object) -> int:
    """Run a command of the pipeline with this terminal for its own; return its exit code.

    Raises:
        Unavailable: this Python has no pipeline, and no other is named.
    """
    command, environment = _command(home, arguments)
    with subprocess.Popen(command, env=environment) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                # It was interrupted as well, and says what there is to say.
                continue


def ask(home: Path, *arguments: object) -> Any:
    """Return the document that a command of the pipeline answers, None where it fails.

    Raises:
        Unavailable: see `run`.
    """
    command, environment = _command(home, (*arguments, "--output", "json"))
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def _command(home: Path, arguments: tuple[object, ...]) -> tuple[list[str], dict[str, str]]:
    python, own = os.environ.get(PYTHON), dict(os.environ)
    if python is None:
        if find_spec("tidegate_pipeline") is None:
            raise Unavailable(
                "the pipeline is not installed in this Python",
                subject="tidegate_pipeline",
                hint=f"pip install 'tidegate[retraining]', or let {PYTHON} name a Python that has it",
            )
        python = sys.executable
    else:
        own = {name: value for name, value in own.items() if not name.startswith("PYTHON")}
    places = [one for one in (os.environ.get(PLACES), own.get("PYTHONPATH")) if one]
    environment = {**own, "TIDEGATE_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    if places:
        environment["PYTHONPATH"] = os.pathsep.join(places)
    return [python, "-m", "tidegate_pipeline", *map(str, arguments)], environment
