"""The how-to pages that look ahead: forecasts, and rehearsals of a rollback."""

from __future__ import annotations

import pytest

from tests.docs.pages import HOW_TO, read
from tests.docs.running import Reader

pytestmark = [pytest.mark.e2e, pytest.mark.long]


def test_the_page_on_forecasts_runs(reader: Reader) -> None:
    reader.follow(read(HOW_TO / "forecast-and-replay.md"))
    assert "None" not in reader.told


def test_the_page_on_rehearsals_finds_a_hole_and_mends_it(reader: Reader) -> None:
    reader.forget()
    reader.follow(read(HOW_TO / "rehearse-a-rollback.md"))
    assert reader.told == "No rehearsal was left behind.\n"
    assert len(list((reader.home / "rehearsals" / "churn").glob("*.html"))) == 2
