"""The how-to pages on what is asked before and while a model serves: gates, health checks, code of one's own."""

from __future__ import annotations

import pytest

from tests.docs.pages import HOW_TO, read
from tests.docs.running import Reader

pytestmark = pytest.mark.e2e


@pytest.mark.long
def test_the_page_on_gates_runs(reader: Reader) -> None:
    reader.follow(read(HOW_TO / "gate-a-candidate.md"))
    assert "is in production after" in reader.told


def test_the_page_on_health_runs(reader: Reader) -> None:
    reader.forget()
    reader.follow(read(HOW_TO / "check-health.md"))


def test_the_page_on_own_code_runs(reader: Reader) -> None:
    reader.follow(read(HOW_TO / "serve-your-own-code.md"))
