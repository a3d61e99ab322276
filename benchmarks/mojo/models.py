"""The models that are measured: H2O trains them once, in an environment that is made for it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.serving.environments import made

_HERE = Path(__file__).parent
BASE = _HERE.parents[1] / ".bench" / "mojo"
FOLDER = BASE / "models"


def h2o_python() -> Path:
    """Return the interpreter of an environment that has H2O. Raises EnvironmentFailedError."""
    return made(BASE / "h2o", (_HERE / "requirements.txt").read_text())


def train(python: Path, *names: str) -> Path:
    """Train models that are not there, all of them without names; return their folder. Raises CalledProcessError."""
    subprocess.run([python, _HERE / "train.py", FOLDER, *names], check=True)
    return FOLDER


def trained(names: Sequence[str]) -> Path:
    """Return the folder with these models in it. Raises as `h2o_python` and `train`, where one is yet to be trained."""
    if all((FOLDER / f"{name}.zip").exists() for name in names):
        return FOLDER
    return train(h2o_python(), *names)
