"""What is said of splits, shadows and faults: as sure as the numbers are, and with the settings that they rest on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.delivery import shadow, splits
from benchmarks.delivery.cases import CASES
from benchmarks.delivery.interval import median_interval
from benchmarks.delivery.page import kept, page


def test_the_interval_of_a_median_is_that_of_the_tables() -> None:
    """Ranks from the binomial distribution with one half: 1 and 6 of 6, 2 and 9 of 10, 10 and 21 of 30."""
    assert median_interval(range(1, 6)) is None
    assert median_interval(range(1, 7)) == (1, 6)
    assert median_interval(range(1, 11)) == (2, 9)
    assert median_interval(range(1, 31)) == (10, 21)


@given(st.lists(st.floats(0.5, 2.0), min_size=6, max_size=60))
def test_the_interval_lies_around_the_median_and_does_not_mind_the_order(values: list[float]) -> None:
    found = median_interval(values)
    assert found is not None
    assert found[0] <= sorted(values)[len(values) // 2] <= found[1]
    assert found == median_interval(values[::-1])


@pytest.mark.parametrize(
    ("ratio", "high", "told"),
    [(1.06, 1.2, "not within 5 %"), (1.03, 1.08, "the interval allows 8 %"), (1.01, 1.04, "by all of the interval")],
)
def test_a_shadow_is_said_to_go_unnoticed_as_surely_as_the_interval_says(ratio: float, high: float, told: str) -> None:
    assert told in kept({"ratio": ratio, "interval": [0.9, high]})


def test_the_interval_of_a_shadow_holds_what_copies_cost_and_is_wider_where_pairs_differ() -> None:
    draw = np.random.default_rng(0)

    def pairs(spread: float) -> list[shadow.Pair]:
        levels = draw.lognormal(0.0, spread, (24, 2))
        return [shadow.Pair(a * draw.gamma(4.0, 1.0, 900), b * 1.2 * draw.gamma(4.0, 1.0, 900)) for a, b in levels]

    even, uneven = (shadow.interval(pairs(spread)) for spread in (0.0, 0.2))
    assert even[0] < 1.2 < even[1]
    assert even[1] - even[0] < 0.15 < uneven[1] - uneven[0]


@pytest.mark.parametrize("percent", [0.5, 1, 10, 100])
def test_a_share_is_counted_until_a_tenth_of_it_would_be_seen(percent: float) -> None:
    seconds = splits.window_for(percent, 20.0)
    assert seconds >= 20.0
    expected = round(splits.RATE * seconds * percent / 100)
    assert expected >= splits.LEAST_EXPECTED
    row = splits._row("canary", percent, expected, round(splits.RATE * seconds))
    assert row["within"]
    if percent < 100:
        assert not splits._row("canary", percent, expected // 10, round(splits.RATE * seconds))["within"]


def test_a_short_look_is_short_for_small_shares_too() -> None:
    assert splits.window_for(0.5, 2.0) < 20.0
    assert splits.window_for(0, 5.0) == 5.0


def measured(name: str, to_users: int) -> dict[str, Any]:
    return {
        "fault": name,
        "outcome": "rolled_back",
        "onset_to_zero_seconds": 3.0,
        "decision_to_zero_ms": 15.0,
        "bad_answers": 7,
        "bad_answers_to_users": to_users,
    }


def test_the_table_of_faults_says_who_got_the_answers_and_what_each_was_found_by() -> None:
    rows = [measured(case.name, 0 if case.is_copied else 7) for case in CASES]
    machine = {"cpus": 2, "cpu_model": "any"}
    told = {"at": "now", "load_before": [0.0], "quick": False, "machine": machine, "measured": rows}
    lines = page({"faults": told}).splitlines()
    found = {case.name: next(line for line in lines if line.startswith(f"| {case.name} |")) for case in CASES}
    assert [name for name, line in found.items() if "no user saw" in line] == ["wrong answers"]
    for case in CASES:
        assert f"- {case.name}: {case.setting}" in lines
