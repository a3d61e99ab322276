from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tidegate.runtime.mojo.spline_kernel import normalised
from tidegate.runtime.mojo.splines import Cubic, Density, Monotone, ThinPlate, sequence_of, thin_plate_constant

knots = st.lists(st.integers(-50, 50), min_size=3, max_size=9, unique=True).map(
    lambda found: np.array(sorted(found), dtype=np.float64)
)
orders = st.integers(1, 5)


def written(smoother: Cubic | Density | Monotone | ThinPlate, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.empty((len(inputs), smoother.width))
    smoother.write(inputs, out)
    return out


def within(at: NDArray[np.float64], count: int = 101) -> NDArray[np.float64]:
    return np.linspace(at[0], at[-1], count, endpoint=False)


@settings(max_examples=40, deadline=None)
@given(knots, orders)
def test_normalised_b_splines_add_up_to_1(at: NDArray[np.float64], order: int) -> None:
    sequence = sequence_of(at, order - 1)
    values = np.empty(len(sequence) - 1)
    for x in within(at, 23):
        normalised(float(x), sequence, order, values)
        count = len(sequence) - order
        assert values[:count].sum() == pytest.approx(1.0, rel=1e-12)
        assert (values[:count] >= 0.0).all()


@settings(max_examples=40, deadline=None)
@given(knots, orders)
def test_i_splines_rise_from_0_to_1(at: NDArray[np.float64], order: int) -> None:
    smoother = Monotone(("x",), order, sequence_of(at, order))
    assert smoother.width == len(at) + order - 2
    inside = np.concatenate([[at[0] - 9.0], within(at), [at[-1], at[-1] + 9.0]])
    found = written(smoother, inside[:, None])
    assert (np.diff(found, axis=0) >= -1e-12).all()
    assert (found[0] == 0.0).all()
    assert (found[-2:] == 1.0).all()


@settings(max_examples=20, deadline=None)
@given(knots, st.integers(1, 4))
def test_m_splines_have_an_area_of_1(at: NDArray[np.float64], order: int) -> None:
    basis = len(at) + order - 2
    smoother = Density(("x",), order, sequence_of(at, order - 1), np.eye(basis))
    points, weights = np.polynomial.legendre.leggauss(6)
    area = np.zeros(basis)
    for low, high in pairwise(at.tolist()):
        x = (high - low) / 2 * points + (high + low) / 2
        area += (high - low) / 2 * weights @ written(smoother, x[:, None])
    np.testing.assert_allclose(area, 1.0, rtol=1e-10)


def test_a_cubic_spline_goes_through_its_knots_and_straight_on_without_curvature() -> None:
    at = np.array([0.0, 1.0, 3.0, 4.0])
    smoother = Cubic(("x",), at, np.zeros((2, 4)), np.eye(4)[:3])
    found = written(smoother, np.array([[0.0], [1.0], [2.0], [3.0], [-1.0], [5.0]]))
    np.testing.assert_allclose(found[:2], np.eye(4)[:2, :3], atol=1e-15)
    assert found[4, 0] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("order", "inputs", "constant"),
    [(2, 1, 2 / 24), (2, 2, 1 / (8 * np.pi)), (3, 2, -1 / (32 * np.pi * 2 * 2)), (3, 3, -3 / (720 * np.pi))],
)
def test_the_factor_of_a_thin_plate(order: int, inputs: int, constant: float) -> None:
    assert thin_plate_constant(order, inputs) == pytest.approx(constant)


@pytest.mark.parametrize("inputs", [1, 2])
def test_a_missing_input_makes_missing_columns(inputs: int) -> None:
    at = np.array([[0.0, 1.0, 3.0, 4.0]] * inputs)
    exponents = np.eye(inputs + 1, inputs, k=-1, dtype=np.int64)
    plate = ThinPlate(("x",) * inputs, 2, at, np.ones((4 - inputs - 1, 4)), exponents, np.ones((3, 4)), None)
    rows = np.zeros((2, inputs))
    rows[1, -1] = np.nan
    found = written(plate, rows)
    assert not np.isnan(found[0]).any()
    assert np.isnan(found[1]).all()
    for smoother in (
        Cubic(("x",), at[0], np.zeros((2, 4)), np.eye(4)[:3]),
        Monotone(("x",), 3, sequence_of(at[0], 3)),
        Density(("x",), 3, sequence_of(at[0], 2), np.eye(5)[:4]),
    ):
        assert np.isnan(written(smoother, np.array([[np.nan]]))).all()
