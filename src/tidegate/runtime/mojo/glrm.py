"""Generalized low rank models: the factors of a row (format section 12.3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo import glrm_losses_kernel as loss_kinds
from tidegate.runtime.mojo import glrm_regularizers_kernel as regularizers
from tidegate.runtime.mojo.blobs import doubles_of
from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError
from tidegate.runtime.mojo.glrm_kernel import factors
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.info import lines_of_entry
from tidegate.runtime.mojo.scorer import Rows
from tidegate.runtime.mojo.text import trim

_ARCHETYPES = "archetypes"
_LOSSES = "losses"
_LONG = 1 << 63

LOSSES_OF_NUMBERS = {
    "Quadratic": loss_kinds.QUADRATIC,
    "Absolute": loss_kinds.ABSOLUTE,
    "Huber": loss_kinds.HUBER,
    "Poisson": loss_kinds.POISSON,
    "Logistic": loss_kinds.LOGISTIC,
    "Hinge": loss_kinds.HINGE,
}
LOSSES_OF_LEVELS = {"Categorical": loss_kinds.CATEGORICAL, "Ordinal": loss_kinds.ORDINAL}
REGULARIZERS = {
    "None": regularizers.NONE,
    "Quadratic": regularizers.QUADRATIC,
    "L2": regularizers.L2,
    "L1": regularizers.L1,
    "NonNegative": regularizers.NON_NEGATIVE,
    "OneSparse": regularizers.ONE_SPARSE,
    "UnitOneSparse": regularizers.UNIT_ONE_SPARSE,
    "Simplex": regularizers.SIMPLEX,
}


@dataclass(frozen=True)
class Glrm:
    """Archetypes, and what it costs to differ from them.

    Attributes:
        permutation: columns in the model's order, categorical ones first.
        levels: how many each categorical column has.
        losses: of each column.
        archetypes: shape (rank, levels of all columns + numeric columns).
        reverses: whether H2O gives reconstructed numbers in their own units.
    """

    header: Header
    permutation: NDArray[np.int64]
    levels: NDArray[np.int64]
    losses: NDArray[np.int64]
    shift: NDArray[np.float64]
    scale: NDArray[np.float64]
    archetypes: NDArray[np.float64]
    regularizer: int
    gamma: float
    seed: int
    reverses: bool

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(f"Arch{number + 1}" for number in range(self.archetypes.shape[0]))

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return the factors of rows, shape (rows, rank).

        They are searched for from a random point, which H2O's scorer draws from the model's seed plus the number of
        rows that it has scored before: the same row gives other numbers the next time. Here the rows of one call
        count, from 0, and no others. A table scored in one call so has the numbers of H2O's scorer that was just
        loaded; and what a call returns depends on its own rows alone, whatever other threads do.
        """
        scores = np.empty((len(rows), self.archetypes.shape[0]), np.float64)
        factors(
            rows,
            self.permutation,
            self.shift,
            self.scale,
            self.archetypes,
            self.levels,
            self.losses,
            self.regularizer,
            self.gamma,
            self.seed,
            scores,
        )
        return scores


def read(container: Container, header: Header) -> Glrm:
    """Read the archetypes.

    Raises:
        MojoFormatError: the file is damaged.
        MojoUnsupportedError: the model is of a version without a seed, or of a loss that H2O's scorer cannot load.
    """
    keys = header.keys
    if "seed" not in keys:
        raise MojoUnsupportedError(
            "a low rank model of this version has no seed: H2O's scorer begins its search at another point each time",
            expected="a model of version 1.10, which H2O writes since 3.26",
        )
    columns = keys.integer("ncolA", most=header.n_features)
    cats = keys.integer("num_categories", most=columns)
    numbers = keys.integer("num_numeric", most=columns)
    if cats + numbers != columns:
        raise MojoFormatError(MODEL_INI, f"ncolA is {columns}, with {cats} categorical and {numbers} numeric columns")
    permutation = keys.integers("cols_permutation", columns)
    if ((permutation < 0) | (permutation >= header.n_features)).any():
        raise MojoFormatError(MODEL_INI, f"cols_permutation: expected columns from 0 to {header.n_features - 1}")
    levels = keys.integers("num_levels_per_category")[:cats] if cats else np.empty(0, np.int64)
    width = keys.integer("ncolY")
    if len(levels) != cats or (levels < 1).any() or (levels > width).any() or int(levels.sum()) + numbers != width:
        raise MojoFormatError(MODEL_INI, f"ncolY is {width}, which is not what levels and numeric columns take")
    rank = keys.integer("nrowY", least=1)
    if rank != keys.integer("ncolX"):
        raise MojoFormatError(MODEL_INI, "nrowY and ncolX differ")
    if not width:
        raise MojoFormatError(MODEL_INI, "ncolY is 0")
    gamma = keys.number("gammaX")
    if not gamma >= 0:
        raise MojoFormatError(MODEL_INI, f"gammaX is {gamma:g}, which is no weight of a regulariser")
    return Glrm(
        header,
        permutation=permutation,
        levels=np.ascontiguousarray(levels),
        losses=_losses(container, cats, columns),
        shift=keys.numbers("norm_sub", numbers),
        scale=keys.numbers("norm_mul", numbers),
        archetypes=doubles_of(container, _ARCHETYPES, rank, width),
        regularizer=_known(REGULARIZERS, keys.text("regularizationX"), "the regulariser"),
        gamma=gamma,
        seed=keys.integer("seed", least=-_LONG, most=_LONG - 1),
        reverses=keys.flag("reverse_transform", default=False),
    )


def _losses(container: Container, cats: int, columns: int) -> NDArray[np.int64]:
    names = list(map(trim, lines_of_entry(container, _LOSSES, columns, "losses")))
    codes = [
        _known(LOSSES_OF_LEVELS if place < cats else LOSSES_OF_NUMBERS, name, "the loss")
        for place, name in enumerate(names)
    ]
    return np.array(codes, np.int64)


def _known(kinds: dict[str, int], name: str, what: str) -> int:
    if name not in kinds:
        raise MojoUnsupportedError(
            f"{what} {name[:60]!r} of a low rank model cannot be scored there", expected=", ".join(kinds)
        )
    return kinds[name]
