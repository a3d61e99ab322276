"""How many requests replicas answer, by the utilisation law: more of anything never answers less."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.trial.capacity import (
    GATEWAY_SECONDS,
    SERVER_SECONDS,
    UTILISATION,
    replica_rate,
    replicas_needed,
    revision_rate,
    whole,
)

seconds = st.floats(1e-6, 10)
rates = st.floats(0.01, 1e6)
lanes = st.integers(1, 64)


def test_what_takes_ten_milliseconds_is_answered_seventy_times_a_second_by_each_core() -> None:
    model = 0.01 - SERVER_SECONDS
    assert replica_rate(model, 1) == pytest.approx(70)
    assert replica_rate(model, 4) == pytest.approx(280)
    assert replicas_needed(175, model, 1) == pytest.approx(2.5)
    assert revision_rate(model, 1, 3, cores=64) == pytest.approx(210)


def test_a_machine_answers_no_more_than_its_cores_do_gateway_included() -> None:
    model = 0.01 - SERVER_SECONDS
    assert revision_rate(model, 1, 8, cores=2) == pytest.approx(2 * UTILISATION / (0.01 + GATEWAY_SECONDS))


@given(rate=rates, cpu=seconds, lanes=lanes)
def test_the_replicas_that_are_needed_answer_all_and_one_less_does_not(rate: float, cpu: float, lanes: int) -> None:
    needed, each = replicas_needed(rate, cpu, lanes), replica_rate(cpu, lanes)
    assert needed is not None
    assert each is not None
    assert whole(needed) * each >= rate * (1 - 1e-6)
    assert whole(needed) == 1 or (whole(needed) - 1) * each < rate


@given(cpu=seconds, lanes=lanes, replicas=st.integers(1, 64), cores=st.integers(1, 256))
def test_more_of_anything_never_answers_less(cpu: float, lanes: int, replicas: int, cores: int) -> None:
    answered = revision_rate(cpu, lanes, replicas, cores)
    assert answered is not None
    for more in (
        revision_rate(cpu, lanes + 1, replicas, cores),
        revision_rate(cpu, lanes, replicas + 1, cores),
        revision_rate(cpu, lanes, replicas, cores + 1),
        revision_rate(cpu / 2, lanes, replicas, cores),
    ):
        assert more is not None
        assert more >= answered


def test_of_what_was_not_measured_nothing_is_said() -> None:
    assert replica_rate(None, 1) is None
    assert replicas_needed(50, None, 1) is None
    assert revision_rate(None, 1, 2, 2) is None
