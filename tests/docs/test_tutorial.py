"""The tutorial, block by block, with a real controller, Envoy and replicas."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tests.docs.pages import DOCS, read
from tests.docs.running import Reader

pytestmark = pytest.mark.e2e


def test_a_newcomer_can_follow_the_tutorial_from_top_to_bottom(tmp_path: Path) -> None:
    reader = Reader(tmp_path, tmp_path / "home")
    try:
        reader.follow(read(DOCS / "tutorial.md"))
    finally:
        reader.leave()
    assert [process for process in psutil.process_iter(["cmdline"]) if _belongs(process, reader.home)] == []


def _belongs(process: psutil.Process, home: Path) -> bool:
    return any(str(home) in word for word in process.info["cmdline"] or ())
