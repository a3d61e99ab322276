"""Isotonic regression, as a model of its own and as the calibration of a classifier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.errors import MojoFormatError, MojoRowError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.isotonic_kernel import interpolate_each
from tidegate.runtime.mojo.scorer import Rows

_X = "calib/thresholds_x"
_Y = "calib/thresholds_y"


@dataclass(frozen=True)
class IsotonicFunction:
    """A monotone, piecewise linear function.

    Attributes:
        x, y: its corners, at least one; `x` ascends, and may repeat.
        least, most: where arguments are clipped; within the corners.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    least: float
    most: float

    def at(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the function's values at places of shape (n,); NaN at NaN.

        Raises:
            MojoRowError: a place is -0.0 and the first corner 0.0, which Java orders after it and then fails.
        """
        out = np.empty(len(values))
        if interpolate_each(self.x, self.y, self.least, self.most, np.ascontiguousarray(values), out) >= 0:
            raise MojoRowError("-0.0 lies before the first corner of an isotonic function, which is 0.0")
        return out


def read_function(container: Container, header: Header) -> IsotonicFunction:
    """Read the corners and the bounds.

    Raises:
        MojoFormatError: they are damaged, or arguments would be clipped to places that the corners do not reach.
    """
    x = _doubles(container, _X)
    y = _doubles(container, _Y)
    if len(x) != len(y):
        raise MojoFormatError(_Y, f"has {len(y)} values, and {_X} has {len(x)}")
    if not len(x):
        raise MojoFormatError(_X, "is empty")
    if not np.all(x[1:] >= x[:-1]):
        raise MojoFormatError(_X, "does not ascend")
    least = header.keys.number("calib_min_x")
    most = header.keys.number("calib_max_x")
    if not x[0] <= least <= most <= x[-1]:
        raise MojoFormatError(MODEL_INI, f"calib_min_x and calib_max_x are not within {x[0]} and {x[-1]}")
    return IsotonicFunction(x, y, least, most)


class IsotonicScorer:
    """Isotonic regression on one numeric column. What lies outside of the training data is clipped to its ends: the
    file does not say whether H2O was told to answer NaN there."""

    outputs = ("predict",)

    def __init__(self, header: Header, function: IsotonicFunction) -> None:
        self.header = header
        self.function = function

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        return self.function.at(rows[:, 0])[:, np.newaxis]


def read(container: Container, header: Header) -> IsotonicScorer:
    """Read a regression.

    Raises:
        MojoFormatError: it is damaged.
    """
    if header.n_features < 1:
        raise MojoFormatError(MODEL_INI, "an isotonic regression without a feature")
    return IsotonicScorer(header, read_function(container, header))


def _doubles(container: Container, name: str) -> NDArray[np.float64]:
    """Read a count and so many numbers, big-endian."""
    data = container.read(name)
    if len(data) < 4:
        raise MojoFormatError(name, "ends within its count", offset=len(data))
    count = int.from_bytes(data[:4], "big", signed=True)
    if count < 0 or len(data) != 4 + 8 * count:
        raise MojoFormatError(
            name, f"says that it has {count} numbers, and has {len(data) - 4} bytes of them", offset=0
        )
    numbers = np.frombuffer(data, dtype=">f8", offset=4).astype(np.float64)
    if np.isnan(numbers).any():
        raise MojoFormatError(name, "has a number that is none")
    numbers.setflags(write=False)
    return numbers
