"""The page on versions: its files are written, its commands typed, and they answer as it says."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.docs.pages import HOW_TO, read
from tests.docs.running import Reader
from tests.support.mojos import FOLDER


def test_the_commands_on_the_page_answer_as_it_says(tmp_path: Path) -> None:
    page = read(HOW_TO / "check-versions.md")
    reader = Reader(tmp_path / "project", tmp_path / "home")
    reader.folder.mkdir()
    shutil.copy(FOLDER / "gbm_platt.zip", reader.folder / "churn.zip")
    (dockerfile,) = page.blocks("dockerfile")
    (reader.folder / dockerfile.words[0]).write_text(dockerfile.text, encoding="utf-8")
    reader.follow(page)
