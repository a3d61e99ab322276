"""The smoothers of a GAM, as its file describes them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo import spline_kernel
from tidegate.runtime.mojo.arrays import fixed


class Smoother(Protocol):
    """What makes some columns of one or more inputs."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its inputs."""
        ...

    @property
    def width(self) -> int:
        """How many columns it makes."""
        ...

    def write(self, inputs: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        """Write its columns: `inputs` has shape (rows, inputs), `out` (rows, width); NaN where an input is NaN."""
        ...


@dataclass(frozen=True)
class Cubic:
    """A cubic regression spline.

    Attributes:
        knots: ascending, of shape (knots,).
        curvature: of shape (knots - 2, knots).
        z: of shape (knots - 1, knots).
    """

    columns: tuple[str, ...]
    knots: NDArray[np.float64]
    curvature: NDArray[np.float64]
    z: NDArray[np.float64]

    @property
    def width(self) -> int:
        return len(self.z)

    def write(self, inputs: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        spline_kernel.cubic(inputs[:, 0].copy(), self.knots, self.curvature, self.z, out)


@dataclass(frozen=True)
class ThinPlate:
    """A thin plate regression spline of one or more inputs.

    Attributes:
        order: of the derivative that it keeps small.
        knots: of shape (inputs, knots); standardised where inputs are.
        projection: of shape (knots - monomials, knots).
        exponents: of the monomials, of shape (monomials, inputs).
        z: of shape (knots - 1, knots).
        scales: of shape (2, inputs): what is subtracted from an input, and what the rest is multiplied by; None where
            inputs are taken as they are.
    """

    columns: tuple[str, ...]
    order: int
    knots: NDArray[np.float64]
    projection: NDArray[np.float64]
    exponents: NDArray[np.int64]
    z: NDArray[np.float64]
    scales: NDArray[np.float64] | None

    @property
    def width(self) -> int:
        return len(self.z)

    def write(self, inputs: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        points = bases = np.ascontiguousarray(inputs)
        if self.scales is not None:
            means, multipliers = self.scales
            points = (inputs - means) * multipliers
            # Not standardised, and not the input either: so the cluster made the columns that the model was fitted to.
            bases = inputs - means * multipliers
        constant = thin_plate_constant(self.order, len(self.columns))
        spline_kernel.thin_plate(
            points, bases, self.knots, self.order, constant, self.projection, self.exponents, self.z, out
        )


@dataclass(frozen=True)
class Monotone:
    """An I-spline.

    Attributes:
        sequence: the knots, with `order` copies of the outer ones added on either side.
    """

    columns: tuple[str, ...]
    order: int
    sequence: NDArray[np.float64]

    @property
    def width(self) -> int:
        return len(self.sequence) - self.order - 2

    def write(self, inputs: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        spline_kernel.i_spline(inputs[:, 0].copy(), self.sequence, self.order, out)


@dataclass(frozen=True)
class Density:
    """An M-spline.

    Attributes:
        sequence: the knots, with `order` - 1 copies of the outer ones added on either side.
        z: of shape (basis - 1, basis), with knots + order - 2 functions in the basis.
    """

    columns: tuple[str, ...]
    order: int
    sequence: NDArray[np.float64]
    z: NDArray[np.float64]

    @property
    def width(self) -> int:
        return len(self.z)

    def write(self, inputs: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        spline_kernel.m_spline(inputs[:, 0].copy(), self.sequence, self.order, self.z, out)


def sequence_of(knots: NDArray[np.float64], copies: int) -> NDArray[np.float64]:
    """Return knots with copies of the outer ones added on either side."""
    return fixed(np.concatenate([np.repeat(knots[:1], copies), knots, np.repeat(knots[-1:], copies)]))


def thin_plate_constant(order: int, inputs: int) -> float:
    """Return the factor of a thin plate spline's distances, for 2 x order > inputs."""
    half = inputs // 2
    if inputs % 2 == 0:
        sign = -1.0 if (order + 1 + half) % 2 else 1.0
        denominator = 2.0 ** (2 * order - 1) * math.pi**half * math.factorial(order - 1) * math.factorial(order - half)
        return sign / denominator
    sign = -1.0 if order % 2 else 1.0
    return sign * order / (math.factorial(2 * order) * math.pi**half)
