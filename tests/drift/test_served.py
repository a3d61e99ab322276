"""What replicas count falls into the bins of a reference as the values themselves would."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contract.sketch import Sketch
from tidegate.drift import LevelBins, Policy, Reference, State
from tidegate.drift.bins import number_bins
from tidegate.drift.served import Served
from tidegate.drift.significance import alpha_of_look
from tidegate.drift.tally import count_sketch
from tidegate.server.recording.columns import sketch_of

#: Those that a sketch counts as themselves.
NUMBERS = st.one_of(st.floats(-1e12, 1e12).map(lambda x: 0.0 if abs(x) < 1e-9 else x), st.integers(-4, 4).map(float))
LISTS = st.lists(NUMBERS, min_size=1, max_size=60)


@given(LISTS, LISTS, st.integers(0, 3))
def test_numbers_are_in_the_bins_that_they_would_be_in_by_themselves(
    reference: list[float], values: list[float], missing: int
) -> None:
    bins = number_bins(np.sort(np.array(reference)))
    asked = [*values, *[None] * missing]
    found = count_sketch(bins, sketch_of(asked))
    assert found is not None
    wanted = bins.count(np.array([np.nan if value is None else value for value in asked]))
    assert found.sum() == wanted.sum()
    # A number that is as near to an edge as 32 bits tell may lie on the other side of it.
    edges = np.array(bins.edges)
    if not any((np.abs(edges - value) <= 2e-6 * np.abs(edges)).any() for value in values if value not in edges):
        assert found.tolist() == wanted.tolist()


@given(st.lists(st.sampled_from(["a", "b", "c", "z", None]), min_size=1, max_size=40))
def test_levels_are_in_the_bins_that_they_would_be_in_by_themselves(values: list[str | None]) -> None:
    bins = LevelBins(("a", "b"), frozenset("c"))
    found = count_sketch(bins, sketch_of(values))
    assert found is not None
    assert found.tolist() == bins.count(np.array([*values, None], dtype=object)[:-1]).tolist()


def test_numbers_that_went_through_32_bits_are_those_of_the_reference() -> None:
    prices = np.round(np.arange(1, 12) * 0.1, 1)
    bins = number_bins(np.sort(prices))
    assert bins.is_each
    found = count_sketch(bins, sketch_of(list(prices.astype(np.float32).astype(np.float64))))
    assert found is not None
    assert found.tolist() == [1] * 11 + [0, 0]
    many = np.round(np.arange(1, 101) * 0.1, 1)
    dense = number_bins(np.sort(many))
    found = count_sketch(dense, sketch_of(list(many.astype(np.float32).astype(np.float64))))
    assert found is not None
    assert found.tolist() == dense.count(many).tolist()


def test_flags_are_the_numbers_that_a_reference_takes_them_for() -> None:
    reference = Reference.of({"is_late": np.array([True, False] * 50)})
    found = count_sketch(reference.columns["is_late"].bins, sketch_of([True, True, False, None, "perhaps"]))
    assert found is not None
    assert found.tolist() == [1, 2, 1, 1]


def test_numbers_are_levels_where_the_reference_has_levels() -> None:
    found = count_sketch(LevelBins(("1", "2.5")), sketch_of([1.0, 2.5, 7.0]))
    assert found is not None
    assert found.tolist() == [1, 1, 1, 0]


def test_texts_that_were_hashed_cannot_be_compared_as_levels_and_are_no_numbers() -> None:
    sketch = sketch_of(["x" * 50, "1"])
    assert sketch.is_hashed
    assert count_sketch(LevelBins(("1",)), sketch) is None
    found = count_sketch(number_bins(np.arange(100.0)), sketch)
    assert found is not None
    assert found[-2] == 2


def table(seed: int, rows: int, shift: float = 0.0) -> dict[str, Any]:
    chance = np.random.default_rng(seed)
    return {"amount": chance.normal(shift, 1.0, rows), "kind": chance.choice(["a", "b"], rows)}


def sketches(rows: dict[str, Any]) -> dict[str, Sketch]:
    return {name: sketch_of(values.tolist()) for name, values in rows.items()}


@pytest.fixture
def reference() -> Reference:
    return Reference.of(table(0, 5_000))


def test_counts_of_replicas_and_moments_add_up_to_those_of_all_rows(reference: Reference) -> None:
    served = Served(reference, 3600.0)
    parts = [table(seed, 200) for seed in range(1, 9)]
    for at, part in enumerate(parts):
        served.add(float(at), 200, sketches(part))
    reading = served.reading(Policy())
    assert reading is not None
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    wanted = reference.compare(whole)
    assert {one.name: (one.current, one.psi, one.state) for one in reading.columns} == {
        one.name: (one.current, one.psi, one.state) for one in wanted.columns
    }
    assert reading.rows == 1_600


def test_what_is_older_than_the_period_counts_no_more(reference: Reference) -> None:
    served = Served(reference, 60.0)
    served.add(0.0, 1_000, sketches(table(1, 1_000, shift=3.0)))
    before = served.reading(Policy())
    assert before is not None
    assert before.state is State.LARGE
    for at in range(30, 100):
        served.add(float(at), 100, sketches(table(at, 100)))
    after = served.reading(Policy())
    assert after is not None
    assert after.state is State.NONE
    assert served.requests == 6_000


def test_columns_that_nobody_counts_are_told_and_no_drift(reference: Reference) -> None:
    served = Served(reference, 60.0)
    assert served.reading(Policy()) is None
    served.add(0.0, 1_000, {"amount": sketch_of(table(1, 1_000)["amount"].tolist()), "other": sketch_of([1.0])})
    reading = served.reading(Policy())
    assert reading is not None
    assert [one.name for one in reading.columns] == ["amount"]
    assert reading.skipped == {"kind": "the replicas count no such column"}
    served.add(1.0, 1, {"kind": sketch_of(["x" * 50])})
    reading = served.reading(Policy())
    assert reading is not None
    assert "too long" in reading.skipped["kind"]
    served.clear()
    assert served.reading(Policy()) is None


def test_readings_that_never_end_raise_a_false_alarm_no_more_often_than_stated() -> None:
    assert sum(alpha_of_look(0.01, look) for look in range(1, 100_000)) <= 0.01
    policy = Policy(moderate=1e-9, large=1e-9, alpha=0.2)
    alarms = 0
    for seed in range(40):
        known = Reference.of(table(1000 + seed, 4_000))
        served = Served(known, 3600.0)
        states = []
        for look in range(1, 21):
            served.add(float(look), 100, sketches(table(5000 + 100 * seed + look, 100)))
            reading = served.reading(replace(policy, alpha=alpha_of_look(policy.alpha, look)))
            assert reading is not None
            states.append(reading.state)
        alarms += State.LARGE in states
    # A binomial of 40 with 20 % is above 16 less than once in five hundred times.
    assert alarms <= 16
