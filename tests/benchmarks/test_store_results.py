"""What the benchmark of the store makes of its measurements, on a small view of a real server."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zlib import crc32

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.store import containment, log, lookup
from benchmarks.store.filled import Filled, filled
from benchmarks.store.page import effect, page
from benchmarks.store.paired import shift
from benchmarks.store.partitions import by_month
from benchmarks.store.sender import TAKEN_BELOW, ids, requests
from benchmarks.store.serving import turns
from benchmarks.store.vectors import ENTITY, rows
from tests.support.partition_year import Week
from tidegate.store.maintenance import Maintained
from tidegate.store.partitions import period_of

VECTORS = 3_000


@pytest.fixture(scope="module")
def small() -> Iterator[Filled]:
    with filled(VECTORS, None) as made:
        yield made


def told(measured: Any) -> dict[str, Any]:
    machine = {"cpus": 2, "cpu_model": "any", "memory_gib": 16}
    load = {"before": [0.5], "after": [1.0]}
    return {
        "at": "now", "seconds": 1.0, "quick": False, "machine": machine, "load_average": load, "measured": measured
    }  # fmt: skip


def test_each_vector_is_drawn_once_in_no_order_and_the_same_each_time() -> None:
    found = [row[ENTITY] for row in rows(0, VECTORS, VECTORS)]
    assert len(set(found)) == VECTORS
    assert found != sorted(found)
    assert list(rows(10, 12, VECTORS)) == list(rows(10, 12, VECTORS))


def test_look_ups_of_a_small_view_find_what_they_ask_for(small: Filled) -> None:
    found = lookup.measure(small, 0.2)
    assert {(one["way"], one["entities"]) for one in found["look_ups"]} == {
        (way, count)
        for way in ("tidegate.features", "a replica, of PostgreSQL", "a replica, of Redis")
        for count in lookup.ENTITIES
    }
    assert all(0 < one["p50_ms"] <= one["p99_ms"] <= one["longest_ms"] for one in found["look_ups"])
    assert {one["name"] for one in found["sizes"]} >= {"feature_vectors", "feature_vectors_by_content"}
    assert sum(load["rows"] for load in found["loaded"]["loads"]) == VECTORS
    text = page({"lookup": told(found)})
    assert f"Among {VECTORS:,} vectors" in text
    assert "`fsync = on`" in text


def test_a_containment_query_is_explained_with_its_index_and_without_and_the_index_stays(small: Filled) -> None:
    found = containment.measure(small, 1)
    again = containment.measure(small, 1)
    assert again["index_bytes"] == found["index_bytes"] > 0
    assert not any("feature_vectors_by_content" in line for line in found["without"]["plan"])
    assert "Execution Time" in found["with"]["plan"][-1]
    assert "Without it, `EXPLAIN (ANALYZE, BUFFERS)`" in page({"containment": told(found)})


def test_rows_of_the_log_are_counted_as_the_table_has_them(small: Filled) -> None:
    found = log.measure(small, 1, 0.6)
    none, slow, *_, most = found["rates"]
    assert (none["written"], none["per_second"]) == (0, 0)
    assert 0 < slow["written"] <= 0.6 * slow["rate"] + 500
    assert most["written"] > slow["written"]
    assert [one["failed"] for one in found["rates"]] == [0] * len(log.RATES)
    assert "| as many as it takes |" in page({"log": told(found)})


def test_users_whose_requests_are_logged_have_ids_of_the_sample_and_the_others_have_none() -> None:
    for taken in (True, False):
        found = list(itertools.islice(ids(taken=taken, seed=1), 100))
        assert len(set(found)) == 100
        assert {crc32(one.encode()) < TAKEN_BELOW for one in found} == {taken}
    request = requests("/predict", [b"[]"], [(0.0, 0.0), (10.0, 1.0), (20.0, 0.0), (30.0, 0.5)])
    in_sample = []
    for due in (1.0, 10.0, 19.9, 20.0, 30.0, 31.0, 32.0, 33.0):
        head = request(due).split(b"\r\n")
        (one,) = (line.partition(b": ")[2] for line in head if line.startswith(b"x-request-id"))
        in_sample.append(crc32(one) < TAKEN_BELOW)
    assert in_sample == [False, True, True, False, False, True, False, True]


def test_of_each_block_the_inner_or_the_outer_windows_are_logged_by_lot() -> None:
    found = turns(400, 3)
    blocks = [tuple(found[place : place + 4]) for place in range(0, len(found), 4)]
    inner, outer = (False, True, True, False), (True, False, False, True)
    assert set(blocks) == {inner, outer}
    assert 150 < blocks.count(inner) < 250
    assert turns(400, 3) == found != turns(400, 4)


def test_an_effect_is_one_only_where_the_interval_leaves_one_out() -> None:
    around, above = [0.9, 0.95, 0.99, 1.0, 1.01, 1.05, 1.1, 1.02], [1.1, 1.12, 1.2, 1.15, 1.11, 1.13, 1.3, 1.14]
    assert effect(around).startswith("no effect")
    assert "costs something: the p99 is 11 to 21 % longer" in effect(above)
    assert "too few" in effect(above[:5])


@settings(max_examples=50)
@given(st.lists(st.floats(0.2, 5.0), min_size=8, max_size=30))
def test_the_other_sides_shift_is_the_inverse(ratios: list[float]) -> None:
    found, other = shift(ratios), shift([1 / ratio for ratio in ratios])
    assert found.low is not None
    assert found.high is not None
    assert other.high is not None
    assert found.low <= found.factor <= found.high
    assert found.factor == pytest.approx(1 / other.factor)
    assert found.low == pytest.approx(1 / other.high)


def test_intervals_of_nothing_leave_it_out_in_a_twentieth_and_its_chance_is_what_it_says() -> None:
    drawn = numpy.random.default_rng(5)
    found = [shift(numpy.exp(drawn.normal(0, 0.3, 20)).tolist()) for _ in range(400)]
    outside = sum(not one.low <= 1 <= one.high for one in found if one.low is not None and one.high is not None)
    assert 8 <= outside <= 34
    assert 8 <= sum(one.chance <= 0.05 for one in found) <= 34


def test_a_month_is_the_sum_of_its_weeks_and_what_is_there_at_its_end() -> None:
    start = datetime(2027, 1, 1, 12, tzinfo=UTC)

    def week(number: int) -> Week:
        now = start + timedelta(days=7 * number)
        report = Maintained("predictions", "pg_partman", 30, made=("a", "b"), dropped=("c",))
        return Week(now, report, (period_of(now, "day"),), 70 + number, 0, now - timedelta(days=3))

    january, february = by_month([week(number) for number in range(6)], 10)
    assert (january["month"], january["made"], january["dropped"], january["written"]) == ("2027-01", 10, 5, 350)
    assert (february["month"], february["rows"], february["oldest_days"]) == ("2027-02", 75, 3.0)
    about = {"partman": "4.7.1", "version": "15", "keep_days": 30, "ahead": 7, "rows_a_day": 10}
    months = json.loads(json.dumps([january, february]))
    text = page({"partitions": told({**about, "months": months, "left": 0, "in_default": 0})})
    assert "In all 12 made, 6 dropped." in text


def test_the_page_has_nothing_of_what_was_not_measured() -> None:
    assert page({}).splitlines() == ["# The store in PostgreSQL", "", "`python -m benchmarks.store`"]
