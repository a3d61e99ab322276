"""The page on drift: its Python and its commands run, one after the other, and say what the page says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import DOCS, read

#: What makes the command of the environment that runs the tests be found.
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def run(command: list[str], folder: Path) -> str:
    environment = {**os.environ, "PATH": PATH}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_runs_and_says_what_it_shows(tmp_path: Path) -> None:
    page = read(DOCS / "how-to" / "detect-drift.md")
    last = ""
    for block in page.blocks("python", "console", "text"):
        if "not-run" in block.words:
            continue
        if block.language == "python":
            last = run([sys.executable, "-c", block.text], tmp_path)
        elif block.language == "text":
            assert last == f"{block.text.strip()}\n"
        else:
            commands = [line[2:] for line in block.text.splitlines() if line.startswith("$ ")]
            told = "".join(run(["bash", "-c", command], tmp_path) for command in commands)
            for line in block.text.splitlines():
                if line.strip() and not line.startswith("$ "):
                    assert line.split() in [found.split() for found in told.splitlines()], line
