"""How long is waited, and what an answer means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate_pipeline.backoff import Meaning, Patience, delay_seconds, meaning_of, retry_after_seconds

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
patiences = st.builds(
    Patience, first_delay_seconds=st.floats(0.01, 10), longest_delay_seconds=st.floats(0.01, 600), attempts=st.just(6)
)
chances = st.floats(0, 1)


@given(st.integers(1, 10_000), patiences, chances)
def test_without_a_word_of_the_server_a_wait_is_within_its_bound(
    failures: int, patience: Patience, chance: float
) -> None:
    waited = delay_seconds(failures, None, patience, chance)
    assert 0 <= waited <= patience.longest_delay_seconds
    assert waited <= patience.first_delay_seconds * 2.0 ** min(failures - 1, 60)


@given(st.integers(1, 50), patiences)
def test_the_longest_wait_doubles_until_it_may_not(failures: int, patience: Patience) -> None:
    now, later = (delay_seconds(count, None, patience, 1.0) for count in (failures, failures + 1))
    assert later == pytest.approx(min(now * 2, patience.longest_delay_seconds))


@given(st.integers(1, 100), st.floats(0, 3600), patiences, chances)
def test_what_the_server_asks_for_is_never_cut_short(
    failures: int, asked_for: float, patience: Patience, chance: float
) -> None:
    waited = delay_seconds(failures, asked_for, patience, chance)
    assert asked_for <= waited <= asked_for + patience.first_delay_seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value, NOW) == seconds


@given(st.text())
def test_no_retry_after_breaks_who_reads_it(value: str) -> None:
    found = retry_after_seconds(value, NOW)
    assert found is None or found >= 0


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (200, Meaning.GOOD),
        (204, Meaning.GOOD),
        (301, Meaning.STOP),
        (401, Meaning.STOP),
        (403, Meaning.STOP),
        (404, Meaning.LOST),
        (410, Meaning.LOST),
        (408, Meaning.AGAIN),
        (429, Meaning.AGAIN),
        (500, Meaning.AGAIN),
        (503, Meaning.AGAIN),
        (599, Meaning.AGAIN),
    ],
)
def test_what_a_status_means(status: int, meaning: Meaning) -> None:
    assert meaning_of(status) is meaning
