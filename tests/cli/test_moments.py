"""Moments and spans as people type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tidegate.cli.moments import parsed_moment, parsed_span
from tidegate.contract.errors import InvalidInput

NOW = datetime(2026, 12, 24, 18, tzinfo=UTC)


def test_a_time_without_a_zone_is_that_of_this_machine() -> None:
    assert parsed_moment("2026-12-24T18:00", "--end") == datetime(2026, 12, 24, 18).astimezone()
    assert parsed_moment("2026-12-24T18:00+02:00", "--end") == NOW - timedelta(hours=2)
    assert parsed_moment("2026-12-24", "--end").tzinfo is UTC
    assert parsed_moment("2026-12-24T18:00", "--as-of", UTC) == NOW
    assert parsed_moment("2026-12-24T18:00+02:00", "--as-of", UTC) == NOW - timedelta(hours=2)


@pytest.mark.parametrize("text", ["tomorrow", "", "24.12.2026", "0001-01-01T00:00+14:00"])
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidInput, match="--start: expected a date or time such as 2026-12-24T18:00"):
        parsed_moment(text, "--start")


def test_a_span_starts_now_unless_it_says_when_and_has_one_end() -> None:
    assert parsed_span(None, None, "4h", NOW) == (NOW, NOW + timedelta(hours=4))
    assert parsed_span("2026-12-25T00:00Z", "2026-12-26T00:00Z", None, NOW)[1].day == 26
    assert parsed_span(None, None, "90000h", NOW)[1] > NOW + timedelta(days=366)
    for end, duration in ((None, None), ("2026-12-26", "4h")):
        with pytest.raises(InvalidInput, match="either --end or --for"):
            parsed_span(None, end, duration, NOW)
    with pytest.raises(InvalidInput, match="--for: expected"):
        parsed_span(None, None, "4", NOW)
