"""Wealth is moved and multiplied, never made."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.judge.wealth import Wealth, log_sum

factors = st.lists(st.floats(-50.0, 50.0), min_size=3, max_size=3)
rounds = st.lists(st.tuples(factors, st.integers(1, 10_000)), max_size=20)
NO_CEILING = 1e9


def played(blocks: list[tuple[list[float], int]], ceiling: float = NO_CEILING) -> Wealth:
    wealth = Wealth.start((2.0, 1.0, 1.0))
    for logs, requests in blocks:
        wealth = wealth.after(logs, requests, ceiling)
    return wealth


def test_wealth_starts_at_one():
    assert math.exp(Wealth.start((3.0, 1.0)).log) == pytest.approx(1.0)


@given(rounds, st.integers(1, 10_000))
def test_blocks_that_say_nothing_change_nothing(blocks, requests):
    before = played(blocks)
    assert before.after([0.0, 0.0, 0.0], requests, NO_CEILING).log == pytest.approx(before.log, abs=1e-9)


@given(rounds)
def test_a_new_step_moves_money_and_makes_none(blocks):
    before = played(blocks)
    after = before.at_new_step()
    assert after.log == pytest.approx(before.log, abs=1e-9)
    assert after.reserve <= before.reserve


@given(rounds, factors, st.integers(1, 10_000))
def test_a_block_gains_no_more_than_its_best_bet(blocks, logs, requests):
    before = played(blocks)
    after = before.after(logs, requests, NO_CEILING)
    assert after.log <= before.log + max(0.0, *logs) + 1e-9


@given(rounds, st.floats(0.0, 10.0))
def test_wealth_stays_below_its_ceiling(blocks, ceiling):
    assert played(blocks, ceiling).log <= max(ceiling, 0.0) + 1e-9


def test_an_hour_of_good_behaviour_does_not_use_up_the_reserve():
    wealth = played([([-5.0, -5.0, -5.0], 100)] * 1_000)
    assert wealth.requests == 100_000
    assert wealth.log > math.log(0.005)


def test_log_sum_neither_overflows_nor_loses_the_larger():
    assert log_sum([1_000.0, 1_000.0]) == pytest.approx(1_000.0 + math.log(2.0))
    assert log_sum([-1_000.0, 3.0]) == pytest.approx(3.0)
