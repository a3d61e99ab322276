"""How many requests are answered together, what they are expected to cost, and that company changes no answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.runtime.base import Columns, Signature, TensorSpec
from tidegate.server.batching import (
    BatchPolicy,
    CostModel,
    group_calls,
    join_inputs,
    rows_are_independent,
    split_outputs,
)
from tidegate.server.protocols.base import Call

TENSORS = Signature("tensors", (TensorSpec("x", "FP32", (-1, -1)),), (TensorSpec("y", "FP32"),))
COLUMNS = Signature("columns", (TensorSpec("a", "FP64"),), (TensorSpec("y", "FP64"),))


def learned(fixed: float, per_byte: float, sizes: list[int]) -> CostModel:
    cost = CostModel()
    for size in sizes:
        cost.learn(size // 100, size, fixed + per_byte * size)
    return cost


def test_the_fixed_part_and_the_part_per_byte_are_found() -> None:
    cost = learned(0.002, 1e-6, [100, 800, 400, 1600, 200] * 20)
    assert cost.fixed == pytest.approx(0.002, rel=1e-6)
    assert cost.per_byte == pytest.approx(1e-6, rel=1e-6)
    assert cost.seconds(1000) == pytest.approx(0.003, rel=1e-6)


def test_with_batches_of_one_size_all_of_the_time_is_taken_for_the_bytes() -> None:
    cost = learned(0.004, 0.0, [100] * 20)
    assert cost.seconds(100) == pytest.approx(0.004)
    assert cost.seconds(1000) == pytest.approx(0.04)


def test_one_pause_of_the_machine_changes_little() -> None:
    cost = learned(0.001, 1e-6, [100, 200, 400] * 30)
    before = cost.seconds(200)
    cost.learn(2, 200, 5.0)
    assert cost.seconds(200) < 1.5 * before


def test_what_a_batch_costs_is_learned_anew_when_it_changes() -> None:
    cost = learned(0.001, 1e-6, [100, 200, 400] * 30)
    for size in [100, 200, 400] * 100:
        cost.learn(size // 100, size, 0.010 + 1e-5 * size)
    assert cost.seconds(300) == pytest.approx(0.013, rel=0.05)


@given(
    measured=st.lists(st.tuples(st.integers(1, 200), st.integers(0, 10**7), st.floats(0, 60)), max_size=50),
    waiting=st.integers(1, 10_000),
    size=st.integers(0, 10**9),
    most=st.integers(1, 256),
)
def test_at_least_one_and_never_more_than_wait_or_may_are_taken(
    measured: list[tuple[int, int, float]], waiting: int, size: int, most: int
) -> None:
    cost, policy = CostModel(), BatchPolicy(0.05, requests=most)
    for requests, measured_size, seconds in measured:
        cost.learn(requests, measured_size, seconds)
    assert cost.fixed >= -1e-9
    assert cost.per_byte >= 0
    assert 1 <= policy.take(cost, waiting, size) <= min(waiting, most)
    assert policy.expected_wait(cost, waiting, size, threads=2) >= -1e-6
    if policy.is_soon(cost, waiting, size, threads=2):
        assert policy.expected_wait(cost, waiting, size, threads=2) <= policy.longest_wait(cost, size) + 1e-6


def test_batches_grow_no_faster_than_twofold() -> None:
    cost, policy = CostModel(), BatchPolicy(0.05)
    taken = []
    for _ in range(6):
        count = policy.take(cost, 1000, 100_000)
        taken.append(count)
        cost.learn(count, 100 * count, 1e-4)
    assert taken == [2, 4, 8, 16, 32, 64]


def test_company_costs_at_most_a_quarter_of_the_objective() -> None:
    cost = learned(0.0, 1e-5, [100, 200, 400, 800, 6400] * 20)  # 1 ms for each request of 100 bytes
    assert BatchPolicy(0.040).take(cost, 500, 50_000) == 10
    assert BatchPolicy(0.400).take(cost, 500, 50_000) == 100


def test_a_fixed_cost_keeps_no_batch_small() -> None:
    cost = learned(0.030, 1e-9, [100, 200, 400, 800, 6400] * 20)
    assert BatchPolicy(0.040).take(cost, 500, 50_000) == 128


def test_the_expected_wait_counts_batches_and_bytes() -> None:
    cost = learned(0.001, 1e-5, [100, 200, 400, 800, 6400] * 20)
    policy = BatchPolicy(0.040)
    assert policy.expected_wait(cost, 0, 0, threads=1) == 0
    assert policy.expected_wait(cost, 20, 2000, threads=1) == pytest.approx(0.022, rel=0.01)
    assert policy.expected_wait(cost, 20, 2000, threads=2) == pytest.approx(0.011, rel=0.01)


def test_a_short_queue_is_soon_over_and_a_long_one_is_not() -> None:
    cost = learned(0.001, 1e-5, [100, 200, 400, 800, 6400] * 20)
    policy = BatchPolicy(0.040)
    assert policy.is_soon(cost, 7, 700, threads=1)
    assert not policy.is_soon(cost, 9, 900, threads=1)
    assert policy.is_soon(cost, 14, 1400, threads=2)


def call_of(rows: int, width: int = 3, dtype: Any = np.float32) -> Call:
    return Call({"x": np.full((rows, width), rows, dtype)}, rows, TENSORS.outputs)


def test_other_shapes_and_dtypes_are_never_answered_together() -> None:
    calls = [call_of(1), call_of(2, width=4), call_of(3), call_of(1, dtype=np.float64), call_of(1, width=4)]
    groups = group_calls(calls, TENSORS, most_rows=100)
    assert sorted(tuple(group.positions) for group in groups) == [(0, 2), (1, 4), (3,)]


@given(rows=st.lists(st.integers(1, 30), min_size=1, max_size=20), most=st.integers(1, 40))
def test_groups_hold_every_call_once_in_order_and_bounded(rows: list[int], most: int) -> None:
    calls = [call_of(count) for count in rows]
    groups = group_calls(calls, TENSORS, most)
    assert sorted(position for group in groups for position in group.positions) == list(range(len(calls)))
    for group in groups:
        assert group.positions == sorted(group.positions)
        assert group.rows == sum(rows[position] for position in group.positions)
        assert group.rows <= most or len(group.positions) == 1


@given(rows=st.lists(st.integers(1, 5), min_size=1, max_size=8))
def test_what_was_joined_comes_apart_again(rows: list[int]) -> None:
    calls = [Call({"a": np.arange(count) + 10.0 * at}, count, COLUMNS.outputs) for at, count in enumerate(rows)]
    joined = join_inputs(calls)
    parts = split_outputs({"y": joined["a"] * 2}, calls)
    for call, part in zip(calls, parts, strict=True):
        np.testing.assert_array_equal(part["y"], call.inputs["a"] * 2)


class Formula:
    """A model that is one expression over its column `a`."""

    def __init__(self, formula: Any, signature: Signature = COLUMNS) -> None:
        self.signature = signature
        self._formula = formula

    def predict(self, inputs: Columns) -> Columns:
        return {"y": self._formula(inputs["a"])}

    def close(self) -> None:
        pass


def test_a_model_that_looks_at_the_whole_batch_is_found_out() -> None:
    inputs = {"a": np.array([1.0, 5.0, 2.0])}
    assert rows_are_independent(Formula(np.sqrt), inputs)
    assert rows_are_independent(Formula(np.sqrt), {"a": np.array([4.0])})
    assert not rows_are_independent(Formula(lambda a: a - a.mean()), inputs)
    assert not rows_are_independent(Formula(np.argsort), inputs)
    assert not rows_are_independent(Formula(lambda a: a / len(a)), {"a": np.array([4.0])})


def test_missing_values_and_rounding_are_no_difference() -> None:
    assert rows_are_independent(Formula(lambda a: a), {"a": np.array([np.nan, 1.0])})
    assert rows_are_independent(Formula(lambda a: a * (1 + 1e-15 * len(a))), {"a": np.array([3.0, 1.0])})


def test_a_model_that_works_in_place_may_be_asked_in_batches_and_leaves_the_sample_as_it_is() -> None:
    def doubled_in_place(a: Any) -> Any:
        a *= 2
        return a.copy()

    inputs = {"a": np.array([1.0, 5.0, 2.0])}
    assert rows_are_independent(Formula(doubled_in_place), inputs)
    assert inputs["a"].tolist() == [1.0, 5.0, 2.0]


def test_a_batch_of_fixed_size_is_not_extended() -> None:
    fixed = Signature("tensors", (TensorSpec("a", "FP64", (1, 2)),), (TensorSpec("y", "FP64", (1, 2)),))
    assert not rows_are_independent(Formula(lambda a: a, fixed), {"a": np.ones((1, 2))})
