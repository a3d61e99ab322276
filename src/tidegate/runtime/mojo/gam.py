"""Generalized additive models: a linear model of ordinary columns, and of those that smoothers make of other inputs.

Where H2O's own scorer is wrong or fails, and the file holds what is needed, scores are the cluster's: with I-splines
and M-splines, smoothers of several kinds, thin plates on standardised inputs, and offsets.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.arrays import fixed
from tidegate.runtime.mojo.blobs import doubles_of
from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError
from tidegate.runtime.mojo.gam_smoothers import read_smoothers
from tidegate.runtime.mojo.glm import (
    MEAN_FAMILIES,
    Columns,
    MeanModel,
    MultinomialModel,
    OrdinalModel,
    check_length,
    link_of,
)
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.offsets import offsets_of
from tidegate.runtime.mojo.scorer import Rows
from tidegate.runtime.mojo.splines import Smoother

_TWO_CLASS_FAMILIES = ("bernoulli", "fractionalbinomial", "quasibinomial")
LinearModel = MeanModel | MultinomialModel | OrdinalModel


class GamScorer:
    """A linear model whose last columns are made by smoothers, unless a row holds them already.

    Rows have shape (rows, n_features + more inputs), see `TakesMore`.
    """

    def __init__(self, model: LinearModel, smoothers: Sequence[Smoother]) -> None:
        self.header = model.header
        self.outputs = model.outputs
        self._model = model
        self._smoothers = smoothers
        self._first = self.header.n_features - sum(smoother.width for smoother in smoothers)
        features = {name: index for index, name in enumerate(self.header.features)}
        self.not_needed = frozenset(self.header.features[self._first :])
        wanted = dict.fromkeys(name for smoother in smoothers for name in smoother.columns)
        self.more_inputs = tuple(name for name in wanted if name not in features)
        places = features | {name: self.header.n_features + i for i, name in enumerate(self.more_inputs)}
        self._places = [[places[name] for name in smoother.columns] for smoother in smoothers]

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        return self._model.score(self.expanded(rows), offset)

    def expanded(self, rows: Rows) -> Rows:
        """Return rows of shape (rows, n_features), with what the smoothers make of them."""
        expanded = np.array(rows[:, : self.header.n_features], order="C")
        given = ~np.isnan(expanded[:, self._first :]).all(axis=1)
        column = self._first
        for smoother, places in zip(self._smoothers, self._places, strict=True):
            smoother.write(rows[:, places], expanded[:, column : column + smoother.width])
            column += smoother.width
        if given.any():
            expanded[given, self._first :] = rows[given, self._first : self.header.n_features]
        return expanded


def read(container: Container, header: Header) -> GamScorer:
    """Read a GAM.

    Raises:
        MojoFormatError: the file is damaged.
        MojoUnsupportedError: a family or a link that H2O does not export.
    """
    smoothers = read_smoothers(container, header.keys)
    columns = _columns(header)
    width = sum(smoother.width for smoother in smoothers)
    numbers = len(columns.num_fill)
    if columns.cats + numbers != header.n_features or width > numbers:
        raise MojoFormatError(
            MODEL_INI, f"{columns.cats} levels' columns and {numbers} numbers for {header.n_features} features"
        )
    if width != header.keys.integer("num_expanded_gam_columns_center", width):
        raise MojoFormatError(MODEL_INI, f"num_expanded_gam_columns_center: the smoothers make {width} columns")
    return GamScorer(_linear_model(container, header, columns), smoothers)


def _columns(header: Header) -> Columns:
    """Return the columns of the linear model. Raises MojoFormatError."""
    keys = header.keys
    cats = keys.integer("cats", 0, most=header.n_features)
    nums = keys.integer("numsCenter", 0, most=header.n_features - cats)
    filled = keys.flag("mean_imputation", default=False)
    cat_fill = keys.integers("catNAFills", cats) if filled and cats else np.zeros(cats, dtype=np.int64)
    if (cat_fill < 0).any():
        raise MojoFormatError(MODEL_INI, "catNAFills: a level is negative")
    num_fill = keys.numbers("numNAFillsCenter", nums) if filled and nums else np.full(nums, np.nan)
    return Columns(
        offsets=fixed(offsets_of(keys, "cat_offsets", cats)),
        first_level=0 if keys.flag("use_all_factor_levels", default=False) else 1,
        # Without imputation a missing level is the first one: that is what Java's cast makes of NaN.
        filled=True,
        cat_fill=fixed(cat_fill),
        num_fill=fixed(num_fill),
    )


def _linear_model(container: Container, header: Header, columns: Columns) -> LinearModel:
    keys = header.keys
    family = keys.text("family")
    if family in ("multinomial", "ordinal"):
        if header.n_classes < 2:
            raise MojoFormatError(MODEL_INI, f"n_classes is {header.n_classes}, and the family is {family}")
        beta = doubles_of(container, "beta_multinomial_centering", header.n_classes, columns.coefficients)
        if family == "multinomial":
            return MultinomialModel(header, columns, fixed(beta.T))
        return OrdinalModel(header, columns, fixed(beta.T), by_sign=True)
    two_classes = family in _TWO_CLASS_FAMILIES
    if not two_classes and family not in MEAN_FAMILIES:
        raise MojoUnsupportedError(f"the family {family!r} of an additive model is not known")
    if two_classes and header.n_classes != 2:
        raise MojoFormatError(MODEL_INI, f"n_classes is {header.n_classes}, and the family is {family}")
    beta = keys.numbers("beta_center")
    check_length(beta, "beta_center", columns.coefficients)
    return MeanModel(header, columns, fixed(beta), link_of(keys), two_classes=two_classes)
