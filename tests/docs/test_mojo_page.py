"""The page on MOJO files: its Python is one program that runs, and answers as the page says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import DOCS, read
from tests.support.mojos import FOLDER, ROWS


def test_the_python_on_the_page_runs_and_answers_as_it_says(tmp_path: Path) -> None:
    page = read(DOCS / "how-to" / "score-a-mojo.md")
    shutil.copy(FOLDER / "gbm_platt.zip", tmp_path / "churn.zip")
    shutil.copy(ROWS, tmp_path / "customers.csv")
    program = "\n".join(block.text for block in page.blocks("python"))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (shown,) = page.blocks("text")
    told = done.stdout
    for part in shown.text.strip().split("…"):
        assert part in told
        told = told.partition(part)[2]
