"""A watch spends its chance of a false alarm once, over all readings, and its standing is not turned over by jitter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.drift.test_served import sketches, table
from tidegate.drift import Policy, Reference, State
from tidegate.drift.watch import Standing, Watch

T0 = datetime(2026, 3, 1, tzinfo=UTC)
PERIOD = timedelta(hours=1)
STATES = st.lists(st.tuples(st.sampled_from(list(State)), st.integers(1, 40)), max_size=60)


@pytest.fixture
def reference() -> Reference:
    return Reference.of(table(0, 5_000))


def watched(reference: Reference, look: int = 0, **columns: Any) -> Watch:
    watch = Watch(reference, 60.0, Policy(alpha=0.2), look)
    rows = {**table(1, 500), **columns}
    watch.add(0.0, 500, sketches(rows))
    return watch


def test_each_reading_takes_a_part_of_alpha_and_all_of_them_no_more_than_alpha(reference: Reference) -> None:
    watch = watched(reference)
    spent = 0.0
    for look in range(1, 30):
        reading = watch.reading()
        assert reading is not None
        assert watch.look == look
        spent += reading.policy.alpha
    assert spent <= 0.2
    whole = watch.whole()
    assert whole is not None
    assert whole.policy.alpha == 0.2
    assert watch.look == 29


@given(st.integers(0, 10_000))
def test_a_watch_that_goes_on_spends_what_the_one_before_left(look: int) -> None:
    known = Reference.of({"kind": np.array(["a", "b"] * 50)})
    watch = Watch(known, 60.0, Policy(alpha=0.2), look)
    watch.add(0.0, 2, sketches({"kind": np.array(["a", "b"])}))
    reading = watch.reading()
    assert reading is not None
    assert reading.policy.alpha == pytest.approx(0.2 / ((look + 1) * (look + 2)))


def test_without_counts_there_is_no_reading_and_nothing_is_spent(reference: Reference) -> None:
    watch = Watch(reference, 60.0, Policy())
    assert watch.reading() is None
    assert watch.whole() is None
    watch.add(0.0, 500, {"stranger": sketches(table(1, 500))["amount"]})
    assert watch.reading() is None
    assert watch.look == 0


@pytest.mark.parametrize("state", [State.MODERATE, State.LARGE])
def test_the_first_drift_stands_until_a_period_had_none(state: State) -> None:
    drifted = Standing().after(state, T0, PERIOD)
    assert drifted == Standing(True, T0)
    soon = drifted.after(State.NONE, T0 + PERIOD / 2, PERIOD)
    assert soon.has_drifted
    unsure = drifted.after(State.INCONCLUSIVE, T0 + 2 * PERIOD, PERIOD)
    assert unsure.has_drifted
    assert not drifted.after(State.NONE, T0 + PERIOD, PERIOD).has_drifted


@given(STATES)
def test_between_the_end_of_a_drift_and_its_last_reading_lies_a_period_and_only_none_ends_it(
    readings: list[tuple[State, int]],
) -> None:
    standing, at, last = Standing(), T0, None
    for state, minutes in readings:
        at += timedelta(minutes=minutes)
        before, standing = standing, standing.after(state, at, PERIOD)
        is_drift = state in (State.MODERATE, State.LARGE)
        last = at if is_drift else last
        assert standing.drift_at == last
        if is_drift:
            assert standing.has_drifted
        if before.has_drifted and not standing.has_drifted:
            assert state is State.NONE
            assert last is not None
            assert at - last >= PERIOD
        if state is State.INCONCLUSIVE:
            assert standing == before
