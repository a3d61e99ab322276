"""Counts in words, as the pages of a report have them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidegate.controller.counted import in_words
from tidegate.judge import Tally
from tidegate.trial.counting import Totals


def test_failures_are_told_by_their_status_the_most_frequent_first() -> None:
    counted = Totals(1200, 9, 0, 4, failed_as={"503": 6, "500": 1, "DEADLINE_EXCEEDED": 2})
    assert in_words(counted.as_dict()) == ("1,200 requests, 9 failed (6 × 503, 2 × DEADLINE_EXCEEDED, 1 × 500), 4 slow")


def test_counts_without_statuses_and_none_at_all_are_told() -> None:
    counts = {"requests": 9, "errors": 2, "rejections": 1, "slow": 0}
    assert in_words(counts) == "9 requests, 2 failed, 0 slow, 1 rejected"
    assert in_words(None) == "–"


def test_what_other_sources_counted_is_told_where_there_was_harm() -> None:
    counted = Totals(9, further={"outcomes": Tally(8, 2), "useless": Tally(4)})
    assert in_words(counted.as_dict()) == "9 requests, 0 failed, 0 slow, outcomes 2 of 8"


statuses = st.dictionaries(st.sampled_from(["500", "503", "504", "UNAVAILABLE"]), st.integers(1, 9))


@given(earlier=statuses, growth=statuses)
def test_statuses_add_up_and_come_back_from_storage(earlier: dict[str, int], growth: dict[str, int]) -> None:
    before, more = (Totals(99, sum(found.values()), failed_as=found) for found in (earlier, growth))
    both = before + more
    assert sum(both.failed_as.values()) == both.errors
    assert both.since(before).failed_as == growth
    assert Totals.from_dict(both.for_storage()) == both
