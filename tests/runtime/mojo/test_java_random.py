"""Draws of Java's generator: the first ones of `new java.util.Random(42)` are widely known."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.runtime.mojo.java_random_kernel import fill_gaussian, next_double, seeded, strict_log


def test_doubles_are_javas() -> None:
    state = np.zeros(1, np.int64)
    seeded(state, 42)
    assert [next_double(state) for _ in range(2)] == [0.7275636800328681, 0.6832234717598454]


def test_normal_draws_are_javas() -> None:
    state = np.zeros(1, np.int64)
    values = np.empty(3)
    seeded(state, 42)
    fill_gaussian(state, values)
    assert values[:2].tolist() == [1.1419053154730547, 0.9194079489827879]


@settings(max_examples=300, deadline=None)
@given(st.floats(min_value=1e-300, max_value=1.0, exclude_max=True))
def test_the_logarithm_is_within_an_ulp(value: float) -> None:
    exact = math.log(value)
    assert abs(strict_log(value) - exact) <= math.ulp(exact)
