"""Cox's proportional hazards: the linear predictor (format section 12.4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.blobs import doubles_of
from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.coxph_interactions import Interactions, read_interactions
from tidegate.runtime.mojo.coxph_kernel import NO_LEVEL, NO_STRATUM, SCORED, hazards
from tidegate.runtime.mojo.errors import MojoFormatError, MojoRowError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.info import Keys
from tidegate.runtime.mojo.offsets import offsets_of
from tidegate.runtime.mojo.scorer import Rows

_NO_OFFSET: NDArray[np.float64] = np.empty(0)
_MAX_STRATA = 1 << 20


@dataclass(frozen=True)
class CoxPh:
    """Coefficients, and what the predictor of the average row of each stratum is.

    A row is the columns of strata, then categorical ones, then numbers.

    Attributes:
        strata: levels of each, shape (strata, columns); (0, 0) without strata.
        bases: what is subtracted, of each stratum, or one value.
        level_shifts: what is taken off the code of each categorical column.
        num_offsets: place of each number's coefficient.
        first_level: 1 where the first level of a column has no coefficient, else 0.
    """

    header: Header
    strata: NDArray[np.int64]
    bases: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    cat_offsets: NDArray[np.int64]
    level_shifts: NDArray[np.int64]
    num_offsets: NDArray[np.int64]
    first_level: int
    interactions: Interactions

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("lp",)

    @property
    def not_needed(self) -> frozenset[str]:
        """Columns that are made of two others, and those without a coefficient: of times, weights and strata."""
        beyond = np.flatnonzero(self.num_offsets >= len(self.coefficients))
        numbers = int(beyond[0]) if len(beyond) else len(self.num_offsets)
        needed = set(range(self.strata.shape[1] + len(self.cat_offsets) - 1 + numbers))
        needed.update(self.interactions.parts[:, 1:3].reshape(-1).tolist())
        needed.difference_update(self.interactions.parts[:, 3].tolist())
        return frozenset(name for place, name in enumerate(self.header.features) if place not in needed)

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return the logarithm of the hazard, relative to the average row of the stratum."""
        scores = np.empty((len(rows), 1), np.float64)
        faults = np.zeros(2, np.int64)
        end = hazards(
            rows,
            _NO_OFFSET if offset is None else offset,
            self.strata,
            self.bases,
            self.coefficients,
            self.cat_offsets,
            self.level_shifts,
            self.num_offsets,
            self.first_level,
            self.interactions.parts,
            self.interactions.shifted,
            self.interactions.levels,
            self.interactions.pairs,
            self.interactions.codes,
            scores,
            faults,
        )
        if end != SCORED:
            raise self._error(end, rows, int(faults[0]), int(faults[1]))
        return scores

    def _error(self, end: int, rows: Rows, row: int, column: int) -> MojoRowError:
        names = self.header.features
        if end == NO_STRATUM:
            width = self.strata.shape[1]
            told = ", ".join(f"{name} = {rows[row, i]:g}" for i, name in enumerate(names[:width]))
            return MojoRowError(f"row {row}: the training had no stratum of the levels {told}", subject=names[0])
        if end == NO_LEVEL:
            return MojoRowError(
                f"row {row}: {names[column]!r} is no level: {rows[row, column]:g}", subject=names[column]
            )
        return MojoRowError(f"row {row}: a level of columns that interact is none of the training's")


def read(container: Container, header: Header) -> CoxPh:
    """Read the coefficients. Raises MojoFormatError."""
    keys = header.keys
    coefficients = keys.numbers("coef")
    first_level = 0 if keys.flag("use_all_factor_levels") else 1
    strata = _strata(keys)
    lead = strata.shape[1]
    cats = keys.integer("cats", 0, most=header.n_features)
    cat_offsets = offsets_of(keys, "cat_offsets", cats)
    if cat_offsets[-1] > len(coefficients):
        raise MojoFormatError(MODEL_INI, f"cat_offsets lead beyond the {len(coefficients)} coefficients")
    num_offsets = _num_offsets(keys, int(cat_offsets[-1]), len(coefficients))
    if lead + cats + len(num_offsets) > header.n_features:
        raise MojoFormatError(MODEL_INI, f"the model has {lead + cats + len(num_offsets)} columns, not n_features")
    interactions = read_interactions(header, lead, cats, num_offsets)
    level_shifts = np.full(cats, first_level, np.int64)
    level_shifts[interactions.targets_with_levels(lead, cats)] = 0
    return CoxPh(
        header,
        strata=strata,
        bases=_bases(container, keys, coefficients, max(len(strata), 1)),
        coefficients=coefficients,
        cat_offsets=cat_offsets,
        level_shifts=level_shifts,
        num_offsets=num_offsets,
        first_level=first_level,
        interactions=interactions,
    )


def _strata(keys: Keys) -> NDArray[np.int64]:
    count = keys.integer("strata_count", 0, most=_MAX_STRATA)
    if not count:
        return np.empty((0, 0), np.int64)
    first = keys.numbers("strata_0")
    listed = [first, *(keys.numbers(f"strata_{number}", len(first)) for number in range(1, count))]
    strata = np.array(listed)
    if not len(first) or not (np.isfinite(strata) & (np.abs(strata) < 2.0**31)).all():
        raise MojoFormatError(MODEL_INI, "strata: expected levels of at least one column")
    return strata.astype(np.int64)


def _num_offsets(keys: Keys, first: int, coefficients: int) -> NDArray[np.int64]:
    """Return the place of each number's coefficient; in files without the key they follow one another."""
    if "num_numerical_columns" not in keys:
        return np.arange(first, coefficients, dtype=np.int64)
    count = keys.integer("num_numerical_columns")
    offsets = keys.integers("num_offsets")
    if len(offsets) < count or (offsets < 0).any() or (offsets >= 1 << 31).any():
        raise MojoFormatError(MODEL_INI, f"num_offsets: expected at least {count} places of coefficients")
    return np.ascontiguousarray(offsets[:count])


def _bases(container: Container, keys: Keys, coefficients: NDArray[np.float64], strata: int) -> NDArray[np.float64]:
    """Return the predictor of the average row of each stratum, added up in H2O's order: levels, then numbers."""
    sizes = {}
    for name in ("x_mean_cat", "x_mean_num"):
        rows = keys.integer(f"{name}_size1", least=strata, most=max(strata, _MAX_STRATA))
        sizes[name] = doubles_of(container, name, rows, keys.integer(f"{name}_size2"))
    cats, nums = sizes["x_mean_cat"], sizes["x_mean_num"]
    if cats.shape[1] + nums.shape[1] > len(coefficients):
        raise MojoFormatError(MODEL_INI, f"there are {len(coefficients)} coefficients for more means")
    bases = np.zeros(strata, np.float64)
    for i in range(cats.shape[1]):
        bases += cats[:strata, i] * coefficients[i]
    for i in range(nums.shape[1]):
        bases += nums[:strata, i] * coefficients[i + cats.shape[1]]
    return bases
