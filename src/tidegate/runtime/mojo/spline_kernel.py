"""Values of splines: what a GAM's smoothers make of their inputs. Each kernel writes columns of the model's rows.

In all of them `out` has a row per row of the input, and `z` has shape (columns, basis): what takes the mean out of the
basis. A missing input makes missing columns.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.compiled import kernel


@kernel
def project(z: NDArray[np.float64], basis: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """Write z x basis."""
    for i in range(z.shape[0]):
        total = 0.0
        for j in range(z.shape[1]):
            total += z[i, j] * basis[j]
        out[i] = total


@kernel
def cubic(
    x: NDArray[np.float64],
    knots: NDArray[np.float64],
    curvature: NDArray[np.float64],
    z: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Write a cubic regression spline, which is continued beyond its outer knots.

    Args:
        curvature: of shape (knots - 2, knots): the second derivatives at the inner knots.
    """
    size = knots.shape[0]
    basis = np.empty(size)
    for r in range(x.shape[0]):
        value = x[r]
        if math.isnan(value):
            out[r, :] = np.nan
            continue
        j = min(max(np.searchsorted(knots, value, side="right") - 1, 0), size - 2)
        h = knots[j + 1] - knots[j]
        right = knots[j + 1] - value
        left = value - knots[j]
        before = (right * right * right / h - right * h) / 6.0
        after = (left * left * left / h - left * h) / 6.0
        for i in range(size):
            total = 0.0
            if j >= 1:
                total = before * curvature[j - 1, i]
            if j < size - 2:
                total += after * curvature[j, i]
            basis[i] = total
        basis[j] += right / h
        basis[j + 1] += left / h
        project(z, basis, out[r])


@kernel
def thin_plate(
    x: NDArray[np.float64],
    bases: NDArray[np.float64],
    knots: NDArray[np.float64],
    order: int,
    constant: float,
    projection: NDArray[np.float64],
    exponents: NDArray[np.int64],
    z: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Write a thin plate regression spline.

    Args:
        x, bases: of shape (rows, inputs): what is compared with the knots, and what monomials are made of.
        knots: of shape (inputs, knots).
        order, constant: of the distance's power, and the factor of it.
        projection: of shape (knots - monomials, knots).
        exponents: of shape (monomials, inputs).
    """
    inputs, size = knots.shape
    power = 2 * order - inputs
    rest = projection.shape[0]
    distances = np.empty(size)
    basis = np.empty(rest + exponents.shape[0])
    for r in range(x.shape[0]):
        missing = False
        for k in range(inputs):
            missing |= math.isnan(x[r, k])
        if missing:
            out[r, :] = np.nan
            continue
        for j in range(size):
            squared = 0.0
            for k in range(inputs):
                difference = x[r, k] - knots[k, j]
                squared += difference * difference
            root = math.sqrt(squared)
            distance = root
            for _ in range(power - 1):
                distance *= root
            found = constant * distance
            if inputs % 2 == 0 and distance != 0.0:
                found *= math.log(distance)
            distances[j] = found
        project(projection, distances, basis[:rest])
        for i in range(exponents.shape[0]):
            product = 1.0
            for k in range(inputs):
                product *= math.pow(bases[r, k], float(exponents[i, k]))
            basis[rest + i] = product
        project(z, basis, out[r])


@kernel
def normalised(x: float, sequence: NDArray[np.float64], order: int, values: NDArray[np.float64]) -> None:
    """Write the B-splines of an order that add up to 1; `values` has room for one less than the sequence has knots."""
    for i in range(sequence.shape[0] - 1):
        values[i] = 1.0 if sequence[i] <= x < sequence[i + 1] else 0.0
    for step in range(2, order + 1):
        for i in range(sequence.shape[0] - step):
            total = 0.0
            width = sequence[i + step - 1] - sequence[i]
            if width != 0.0:
                total += 1.0 / width * (x - sequence[i]) * values[i]
            width = sequence[i + step] - sequence[i + 1]
            if width != 0.0:
                total += 1.0 / width * (sequence[i + step] - x) * values[i + 1]
            values[i] = total


@kernel
def i_spline(x: NDArray[np.float64], sequence: NDArray[np.float64], order: int, out: NDArray[np.float64]) -> None:
    """Write an I-spline: functions that rise from 0 to 1.

    Args:
        sequence: the knots with `order` copies of the outer ones added on either side.
        out: of shape (rows, knots + order - 2).
    """
    size = out.shape[1]
    values = np.empty(sequence.shape[0] - 1)
    splines = sequence.shape[0] - order - 1
    for r in range(x.shape[0]):
        value = x[r]
        if math.isnan(value):
            out[r, :] = np.nan
            continue
        normalised(value, sequence, order + 1, values)
        for i in range(size):
            # Function i spans order + 1 knots of the sequence with one copy less.
            if value < sequence[i + 1]:
                out[r, i] = 0.0
            elif value >= sequence[i + 1 + order]:
                out[r, i] = 1.0
            else:
                total = 0.0
                for m in range(i + 1, splines):
                    if value < sequence[m]:
                        break
                    total += 1.0 if value >= sequence[m + order + 1] else values[m]
                out[r, i] = total


@kernel
def m_spline(
    x: NDArray[np.float64],
    sequence: NDArray[np.float64],
    order: int,
    z: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Write an M-spline: functions of area 1.

    Args:
        sequence: the knots with `order` - 1 copies of the outer ones added on either side.
    """
    values = np.empty(sequence.shape[0] - 1)
    for r in range(x.shape[0]):
        value = x[r]
        if math.isnan(value):
            out[r, :] = np.nan
            continue
        for i in range(sequence.shape[0] - 1):
            inside = sequence[i] <= value < sequence[i + 1]
            values[i] = 1.0 / (sequence[i + 1] - sequence[i]) if inside else 0.0
        for step in range(2, order + 1):
            factor = step / (step - 1.0)
            for i in range(sequence.shape[0] - step):
                width = sequence[i + step] - sequence[i]
                if width == 0.0:
                    values[i] = 0.0
                else:
                    share = 1.0 / width
                    rising = share * (value - sequence[i]) * values[i]
                    falling = share * (sequence[i + step] - value) * values[i + 1]
                    values[i] = factor * (rising + falling)
        project(z, values[: z.shape[1]], out[r])
