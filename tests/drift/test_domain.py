"""All columns at once: what no column shows by itself is found, and chance is not taken for it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_info, threadpool_limits

from tidegate.contract.errors import InvalidInput
from tidegate.drift import Policy, Reference, State, compare_together
from tidegate.drift.significance import area_of, rank_chance, rows_needed_together
from tidegate.drift.wording import sentences

SCORES = st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.1, 0.5])), min_size=1, max_size=40)


def together(seed: int, rows: int, correlation: float) -> dict[str, Any]:
    """Return columns that are each alike whatever the correlation of the first two."""
    chance = np.random.default_rng(seed)
    first = chance.normal(size=rows)
    second = correlation * first + np.sqrt(1 - correlation**2) * chance.normal(size=rows)
    return {
        "delay": first,
        "distance": np.where(chance.random(rows) < 0.05, np.nan, second),
        "hour": chance.integers(0, 24, rows),
        "carrier": chance.choice(["AA", "DL", None], rows),
    }


def test_columns_that_go_together_in_another_way_are_drift_that_no_column_shows() -> None:
    before, now = together(1, 2_000, 0.8), together(2, 1_500, -0.8)
    assert Reference.of(before).compare(now).state is State.NONE
    reading = compare_together(before, now)
    assert reading.state is State.LARGE
    assert reading.area > 0.8
    assert list(reading.columns)[:2] in (["delay", "distance"], ["distance", "delay"])
    assert reading.columns["hour"] < reading.columns["delay"] / 10


def test_a_level_of_its_own_tells_rows_apart() -> None:
    before, now = together(1, 600, 0.0), together(2, 600, 0.0)
    now["carrier"] = np.where(np.arange(600) % 2 == 0, "WN", now["carrier"].astype(object))
    reading = compare_together(before, now)
    assert reading.state is State.LARGE
    assert next(iter(reading.columns)) == "carrier"


def test_rows_that_are_alike_are_told_apart_no_more_often_than_stated() -> None:
    chances = [compare_together(together(seed, 120, 0.5), together(1000 + seed, 80, 0.5)).chance for seed in range(60)]
    # A binomial of 60 with 10 % is above 13 less than once in a hundred times; the two halves cost some of it.
    assert sum(chance <= 0.1 for chance in chances) <= 13


def test_few_rows_are_inconclusive_and_it_is_said_how_many_would_do() -> None:
    reading = compare_together(together(1, 2_000, 0.0), together(2, 30, 0.0))
    assert reading.state is State.INCONCLUSIVE
    assert reading.rows_needed is not None
    assert 50 < reading.rows_needed < 1_000
    more = compare_together(together(1, 2_000, 0.0), together(2, reading.rows_needed, 0.0))
    assert more.state is State.NONE


def test_the_same_rows_give_the_same_reading() -> None:
    before, now = together(1, 200, 0.3), together(2, 200, -0.3)
    assert compare_together(before, now) == compare_together(before, now)


def test_what_is_infinite_or_of_another_kind_than_before_is_compared_all_the_same() -> None:
    before = {"x": np.arange(100.0), "y": ["a", None] * 50}
    now = {"x": [np.inf, -np.inf, None, "no number"] * 25, "y": np.arange(100.0)}
    assert compare_together(before, now).state is State.LARGE


def test_small_tables_take_one_thread_and_leave_the_others_to_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[set[int]] = []
    fit = HistGradientBoostingClassifier.fit

    def counted(classifier: Any, *given: Any) -> Any:
        threads.append(openmp_threads())
        return fit(classifier, *given)

    monkeypatch.setattr(HistGradientBoostingClassifier, "fit", counted)
    before, now = together(1, 200, 0.8), together(2, 200, -0.8)
    with threadpool_limits(2, user_api="openmp"):
        alone = compare_together(before, now)
        assert openmp_threads() == {2}
        monkeypatch.setattr("tidegate.drift.domain._FOR_ONE_THREAD", 0)
        assert compare_together(before, now) == alone
    assert threads == [{1}, {1}, {2}, {2}]


def openmp_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp"}


def test_long_texts_take_no_memory_for_each_other() -> None:
    texts = np.array([f"note {number} " * 20_000 for number in range(40)], dtype=object)
    assert compare_together({"note": texts}, {"note": texts}).state is not State.LARGE


@given(SCORES, SCORES)
def test_the_area_and_its_chance_are_scipys(scores: list[float], others: list[float]) -> None:
    area, chance = rank_chance(np.array(scores), np.array(others))
    wanted = stats.mannwhitneyu(scores, others, alternative="greater", method="asymptotic")
    assert area == pytest.approx(wanted.statistic / (len(scores) * len(others)))
    if len({*scores, *others}) > 1:
        assert chance == pytest.approx(wanted.pvalue, abs=1e-9)
    else:
        assert chance == 1.0


@pytest.mark.parametrize("distance", [0.3, 0.5, 1.0])
def test_an_area_is_as_large_as_the_index_of_two_normal_distributions(distance: float) -> None:
    wanted = stats.norm.cdf(distance / np.sqrt(2))
    assert area_of(distance**2) == pytest.approx(wanted)


def test_a_reference_that_is_too_small_for_any_number_of_rows_says_so() -> None:
    assert rows_needed_together(0.51, 0.01, 50) is None


@pytest.mark.parametrize(
    ("before", "now", "problem"),
    [
        ({"x": np.arange(100.0)}, {"y": np.arange(100.0)}, "no column of the reference"),
        ({"x": np.arange(100.0)}, {"x": np.arange(19.0)}, "the current data has too few rows"),
        ({"x": np.arange(3.0)}, {"x": np.arange(100.0)}, "the reference has too few rows"),
    ],
)
def test_what_cannot_be_compared_is_refused(before: Any, now: Any, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        compare_together(before, now)


def test_a_reading_says_what_was_found_together() -> None:
    from dataclasses import replace

    before, now = together(1, 1_000, 0.8), together(2, 1_000, -0.8)
    policy = Policy(alpha=0.005)
    reading = replace(Reference.of(before).compare(now, policy), together=compare_together(before, now, policy))
    assert reading.state is State.LARGE
    assert re.search(r"most of all by (delay, distance|distance, delay):", sentences(reading)[-1])
    assert reading.as_dict()["together"]["columns"][0]["lost"] > 0.1
