"""promtool, Prometheus' own checker: from PATH, or from .tools/ where `scripts/get_prometheus.sh` puts it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

Promtool = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def promtool() -> Promtool:
    """Return a function that runs promtool with arguments and, optionally, a text on its standard input."""
    own = ROOT / ".tools" / "promtool"
    path = shutil.which("promtool") or (str(own) if own.exists() else None)
    if path is None:
        reason = "promtool is neither on PATH nor in .tools/; scripts/get_prometheus.sh fetches it"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)

    def run(*arguments: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [path, *map(str, arguments)], input=stdin, capture_output=True, text=True, check=False, timeout=60
        )

    return run
