"""Generalized linear models: all families and links that H2O exports, multinomial and ordinal ones among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.arrays import fixed
from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.errors import MojoFormatError, MojoRowError, MojoUnsupportedError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.info import Keys
from tidegate.runtime.mojo.labels import class_outputs
from tidegate.runtime.mojo.linear_kernel import (
    MEAN,
    TWO_CLASSES,
    first_fault,
    score_multinomial,
    score_ordinal,
    score_packed_one,
)
from tidegate.runtime.mojo.links import Link, glm_link
from tidegate.runtime.mojo.offsets import offsets_of
from tidegate.runtime.mojo.packed import LINEAR, Packed, Program
from tidegate.runtime.mojo.scorer import Rows

TWO_CLASS_FAMILIES = ("binomial", "quasibinomial", "fractionalbinomial")
MEAN_FAMILIES = ("gaussian", "poisson", "gamma", "tweedie", "negativebinomial")

NO_OFFSET: NDArray[np.float64] = np.empty(0)


@dataclass(frozen=True)
class Columns:
    """Where the coefficients of columns lie. Categorical columns come first in a row, then numbers.

    Attributes:
        offsets: of shape (categoricals + 1,): the first coefficient of each; where the last ends, numbers begin.
        first_level: 1 where the first level of a column has no coefficient, else 0.
        filled: whether missing values are filled in.
        cat_fill: the level that stands for a missing one; 0 without meaning when not `filled`.
        num_fill: the number that stands for a missing one; NaN when not `filled`.
    """

    offsets: NDArray[np.int64]
    first_level: int
    filled: bool
    cat_fill: NDArray[np.int64]
    num_fill: NDArray[np.float64]

    @property
    def cats(self) -> int:
        return len(self.offsets) - 1

    @property
    def coefficients(self) -> int:
        """How many there are, with the intercept."""
        return int(self.offsets[-1]) + len(self.num_fill) + 1


class MeanModel:
    """One linear predictor: the mean, or two classes."""

    def __init__(
        self, header: Header, columns: Columns, beta: NDArray[np.float64], link: Link, *, two_classes: bool
    ) -> None:
        self.header = header
        self.outputs = class_outputs(header) if two_classes else ("predict",)
        self._columns = columns
        form = TWO_CLASSES if two_classes else MEAN
        self._model = (
            columns.offsets, columns.first_level, columns.cat_fill, columns.num_fill, beta,
            link.code, link.power, form, header.threshold,
        )  # fmt: skip
        self._packed = Packed(
            columns.offsets,
            columns.cat_fill,
            columns.num_fill,
            beta,
            floats=(link.power, header.threshold),
            whole=(columns.first_level, link.code, form, columns.filled),
        )
        self._table = self._packed.table
        self.program = Program(LINEAR, self._packed, header.n_features, len(self.outputs))

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        out = np.empty((len(rows), len(self.outputs)))
        fault = score_packed_one(self._table, rows, NO_OFFSET if offset is None else offset, out)
        if fault >= 0:
            refuse_level(self.header, self._columns, rows, fault)
        return out


class MultinomialModel:
    """One linear predictor per class. Offsets are ignored."""

    def __init__(self, header: Header, columns: Columns, beta: NDArray[np.float64]) -> None:
        self.header = header
        self.outputs = class_outputs(header)
        self._columns = columns
        self._model = (columns.offsets, columns.first_level, columns.cat_fill, columns.num_fill, beta)

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        refuse_missing_levels(self.header, self._columns, rows)
        out = np.empty((len(rows), len(self.outputs)))
        score_multinomial(rows, *self._model, out)
        return out


class OrdinalModel:
    """A linear predictor per class but the last, for the probability of that class and those before it."""

    def __init__(self, header: Header, columns: Columns, beta: NDArray[np.float64], *, by_sign: bool = False) -> None:
        self.header = header
        self.outputs = class_outputs(header)
        self._columns = columns
        self._model = (
            columns.offsets, columns.first_level, columns.cat_fill, columns.num_fill, fixed(beta[:, :-1]), by_sign,
        )  # fmt: skip

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        refuse_missing_levels(self.header, self._columns, rows)
        out = np.empty((len(rows), len(self.outputs)))
        score_ordinal(rows, NO_OFFSET if offset is None else offset, *self._model, out)
        return out


def read(container: Container, header: Header) -> MeanModel | MultinomialModel | OrdinalModel:
    """Read a GLM.

    Raises:
        MojoFormatError: the file is damaged.
        MojoUnsupportedError: a family or a link that H2O does not export.
    """
    del container
    keys = header.keys
    columns = columns_of(keys, header.n_features)
    beta = keys.numbers("beta")
    family = keys.text("family")
    link = keys.text("link")
    if family in ("multinomial", "ordinal"):
        blocks = blocks_of(beta, "beta", header.n_classes, columns.coefficients)
        if family == "multinomial":
            return MultinomialModel(header, columns, blocks)
        if link != "ologit":
            raise MojoUnsupportedError(f"an ordinal model with the link {link!r} cannot be scored", expected="ologit")
        return OrdinalModel(header, columns, blocks)
    if family not in (*TWO_CLASS_FAMILIES, *MEAN_FAMILIES):
        raise MojoUnsupportedError(f"the family {family!r} of a linear model is not known")
    if family in TWO_CLASS_FAMILIES and header.n_classes != 2:
        raise MojoFormatError(MODEL_INI, f"n_classes is {header.n_classes}, and the family is {family}")
    check_length(beta, "beta", columns.coefficients)
    return MeanModel(header, columns, fixed(beta), link_of(keys), two_classes=family in TWO_CLASS_FAMILIES)


def columns_of(keys: Keys, n_features: int) -> Columns:
    """Read what a linear model says of its columns. Raises MojoFormatError."""
    cats = keys.integer("cats", 0, most=n_features)
    nums = keys.integer("nums", 0, most=n_features - cats)
    offsets = offsets_of(keys, "cat_offsets", cats)
    filled = keys.flag("mean_imputation", default=False)
    cat_fill = keys.integers("cat_modes", cats) if filled and cats else np.zeros(cats, dtype=np.int64)
    if (cat_fill < 0).any():
        raise MojoFormatError(MODEL_INI, "cat_modes: a level is negative")
    num_fill = keys.numbers("num_means", nums) if filled and nums else np.full(nums, np.nan)
    return Columns(
        offsets=fixed(offsets),
        first_level=0 if keys.flag("use_all_factor_levels", default=False) else 1,
        filled=filled,
        cat_fill=fixed(cat_fill),
        num_fill=fixed(num_fill),
    )


def check_length(beta: NDArray[np.float64], name: str, expected: int) -> None:
    if len(beta) != expected:
        raise MojoFormatError(MODEL_INI, f"{name}: expected {expected} coefficients, got {len(beta)}")


def blocks_of(beta: NDArray[np.float64], name: str, classes: int, coefficients: int) -> NDArray[np.float64]:
    """Return coefficients of shape (coefficients, classes). Raises MojoFormatError where they are not so many."""
    if classes < 2:
        raise MojoFormatError(MODEL_INI, f"n_classes is {classes}, and the model has several predictors")
    check_length(beta, name, classes * coefficients)
    return fixed(beta.reshape(classes, coefficients).T)


def link_of(keys: Keys) -> Link:
    """Return the link of a linear model. Raises MojoUnsupportedError for one that is not known."""
    link = keys.text("link")
    return glm_link(link, keys.number("tweedie_link_power") if link == "tweedie" else 0.0)


def refuse_missing_levels(header: Header, columns: Columns, rows: Rows) -> None:
    """Raise MojoRowError for a row without a level that the model can score."""
    if not columns.cats:
        return
    place = first_fault(rows, columns.filled, columns.cats)
    if place >= 0:
        refuse_level(header, columns, rows, place)


def refuse_level(header: Header, columns: Columns, rows: Rows, place: int) -> NoReturn:
    """Raise MojoRowError for the categorical at a place, as `first_fault` counts them."""
    row, column = divmod(place, columns.cats)
    value = rows[row, column]
    name = header.features[column]
    problem = "is missing, and the model does not fill it in" if np.isnan(value) else f"is no level: {value:g}"
    raise MojoRowError(f"row {row}: {name!r} {problem}", subject=name)
