"""Reads the smoothers of a GAM out of the entries of its file, and checks that these fit together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.arrays import fixed
from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.info import Keys, lines_of_entry
from tidegate.runtime.mojo.splines import Cubic, Density, Monotone, Smoother, ThinPlate, sequence_of
from tidegate.runtime.mojo.text import trim

CUBIC, THIN_PLATE, MONOTONE, DENSITY = range(4)
MAX_INPUTS = 30
MAX_ORDER = 100


class _Numbers:
    """The numbers of an entry, handed out from the front."""

    def __init__(self, container: Container, name: str, kind: str = ">f8") -> None:
        self._name = name
        data = container.read(name) if container.has(name) else b""
        if len(data) % np.dtype(kind).itemsize:
            raise MojoFormatError(name, f"{len(data)} bytes are no whole numbers")
        self._numbers = np.frombuffer(data, dtype=kind) if data else np.empty(0, dtype=kind)
        self._kind = np.dtype(kind)
        self._place = 0

    def take(self, rows: int, columns: int) -> NDArray[np.float64]:
        """Return the next numbers, of shape (rows, columns). Raises MojoFormatError where they are not there."""
        end = self._place + rows * columns
        if rows < 0 or columns < 0 or end > len(self._numbers):
            offset = self._place * self._kind.itemsize
            raise MojoFormatError(self._name, f"ends before {rows} × {columns} numbers", offset=offset)
        found = self._numbers[self._place : end].astype(np.float64).reshape(rows, columns)
        self._place = end
        return fixed(found)

    def end(self) -> None:
        if self._place != len(self._numbers):
            left = len(self._numbers) - self._place
            raise MojoFormatError(
                self._name, f"{left} numbers that belong to no smoother", offset=self._place * self._kind.itemsize
            )


def read_smoothers(container: Container, keys: Keys) -> list[Smoother]:
    """Return the smoothers in the order of their columns. Raises MojoFormatError."""
    kinds = keys.integers("bs_sorted").tolist()
    knots = keys.integers("num_knots_sorted", len(kinds)).tolist()
    inputs = keys.integers("_d", len(kinds)).tolist()
    names = _columns(container, inputs)
    orders = _orders(keys, kinds)
    values = _Numbers(container, "knots")
    centres = _Numbers(container, "zTranspose")
    curvatures = _Numbers(container, "_binvD")
    plates = _plates(container, keys, kinds, names, knots)
    found: list[Smoother] = []
    for index, kind in enumerate(kinds):
        size = knots[index]
        if size < 2:
            raise MojoFormatError(MODEL_INI, f"num_knots_sorted: a smoother of {size} knots")
        at = values.take(inputs[index], size)
        if kind == THIN_PLATE:
            order, projection, exponents, scales = next(plates)
            z = centres.take(size - 1, size)
            if scales is not None:
                at = fixed((at - scales[0][:, None]) * scales[1][:, None])
            found.append(ThinPlate(names[index], order, at, projection, exponents, z, scales))
            continue
        ascending = _ascending(at, names[index])
        basis = size + orders[index] - 2
        if kind == CUBIC:
            curvature = curvatures.take(size - 2, size)
            found.append(Cubic(names[index], ascending, curvature, centres.take(size - 1, size)))
        elif kind == MONOTONE:
            found.append(Monotone(names[index], orders[index], sequence_of(ascending, orders[index])))
        elif kind == DENSITY:
            sequence = sequence_of(ascending, orders[index] - 1)
            found.append(Density(names[index], orders[index], sequence, centres.take(basis - 1, basis)))
        else:
            raise MojoFormatError(MODEL_INI, f"bs_sorted: no kind of smoother is {kind}")
    for numbers in (values, centres, curvatures):
        numbers.end()
    return found


def _columns(container: Container, inputs: list[int]) -> list[tuple[str, ...]]:
    """Return the names of each smoother's inputs."""
    if not inputs or min(inputs) < 1 or max(inputs) > MAX_INPUTS:
        raise MojoFormatError(MODEL_INI, f"_d: expected smoothers of 1 to {MAX_INPUTS} inputs")
    entry = "gam_columns_sorted"
    lines = list(map(trim, lines_of_entry(container, entry, sum(inputs), "names of the smoothers' inputs")))
    ends = np.cumsum([0, *inputs]).tolist()
    return [tuple(lines[begin:end]) for begin, end in pairwise(ends)]


def _orders(keys: Keys, kinds: list[int]) -> list[int]:
    """Return the order of each smoother that has one, and 1 for the others."""
    if not any(kind in (MONOTONE, DENSITY) for kind in kinds):
        return [1] * len(kinds)
    given = keys.integers("spline_orders_sorted", len(kinds)).tolist()
    orders = [order if kind in (MONOTONE, DENSITY) else 1 for kind, order in zip(kinds, given, strict=True)]
    if min(orders) < 1 or max(orders) > MAX_ORDER:
        raise MojoFormatError(MODEL_INI, f"spline_orders_sorted: expected orders of 1 to {MAX_ORDER}")
    return orders


def _ascending(knots: NDArray[np.float64], names: tuple[str, ...]) -> NDArray[np.float64]:
    if len(names) != 1:
        raise MojoFormatError(MODEL_INI, f"_d: a smoother of {len(names)} inputs that is no thin plate")
    if not (np.diff(knots[0]) > 0.0).all():
        raise MojoFormatError("knots", f"those of {names[0]!r} do not ascend")
    return fixed(knots[0])


def _plates(
    container: Container, keys: Keys, kinds: list[int], names: list[tuple[str, ...]], knots: list[int]
) -> Iterator[tuple[int, NDArray[np.float64], NDArray[np.int64], NDArray[np.float64] | None]]:
    """Yield what only thin plates have: order, projection, exponents, scales."""
    count = kinds.count(THIN_PLATE)
    if not count:
        return
    orders = keys.integers("_m", count).tolist()
    monomials = keys.integers("_M", count).tolist()
    projections = _Numbers(container, "zTransposeCS")
    powers = _Numbers(container, "polynomialBasisList", ">i4")
    standardised = keys.flag("standardize", default=False)
    means = _Numbers(container, "gamColMeansRaw")
    # A standard deviation by name, and one divided by it in truth.
    multipliers = _Numbers(container, "gamColStdRaw")
    indexes = [index for index, kind in enumerate(kinds) if kind == THIN_PLATE]
    for index, order, functions in zip(indexes, orders, monomials, strict=True):
        inputs = len(names[index])
        if not (inputs < 2 * order <= 2 * MAX_ORDER and 1 <= functions < knots[index]):
            raise MojoFormatError(MODEL_INI, f"_m, _M: {order} and {functions} for a thin plate of {inputs} inputs")
        projection = projections.take(knots[index] - functions, knots[index])
        exponents = powers.take(functions, inputs).astype(np.int64)
        scales = None
        if standardised:
            scales = fixed(np.concatenate([means.take(1, inputs), multipliers.take(1, inputs)]))
        yield order, projection, fixed(exponents), scales
    projections.end()
    powers.end()
