"""The page on the scanner: a reader follows it from top to bottom, with the real hadolint."""

from __future__ import annotations

import json
from pathlib import Path

from tests.docs.pages import DOCS, read
from tests.docs.running import Reader


def test_the_page_runs_and_says_what_it_shows(tmp_path: Path) -> None:
    reader = Reader(tmp_path, tmp_path / "home")
    reader.follow(read(DOCS / "how-to" / "scan-dockerfiles.md"))
    assert json.loads((tmp_path / "scan.sarif").read_text())["version"] == "2.1.0"
    assert json.loads((tmp_path / "scan.json").read_text())["hadolint"]["ran"]
