"""Principal components: projections of a row (format section 12.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.blobs import doubles_of
from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.offsets import offsets_of
from tidegate.runtime.mojo.pca_kernel import project
from tidegate.runtime.mojo.scorer import Rows

_EIGENVECTORS = "eigenvectors_raw"


@dataclass(frozen=True)
class Pca:
    """Eigenvectors, and how a row is laid out for them.

    Attributes:
        permutation: columns in the model's order, categorical ones first.
        offsets: of the categorical columns' levels in the eigenvectors, and of the first numeric column.
        first_level: the level at a categorical column's offset: 0, or 1 where the first level has no place.
        eigenvectors: shape (offsets[-1] + numeric columns, components).
    """

    header: Header
    permutation: NDArray[np.int64]
    offsets: NDArray[np.int64]
    first_level: int
    shift: NDArray[np.float64]
    scale: NDArray[np.float64]
    eigenvectors: NDArray[np.float64]

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(f"PC{number + 1}" for number in range(self.eigenvectors.shape[1]))

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return the components. A missing or unknown level adds nothing; a missing number makes all of them NaN."""
        scores = np.empty((len(rows), self.eigenvectors.shape[1]), np.float64)
        project(
            rows,
            self.permutation,
            self.offsets,
            self.first_level,
            self.shift,
            self.scale,
            self.eigenvectors,
            scores,
        )
        return scores


def read(container: Container, header: Header) -> Pca:
    """Read the eigenvectors. Raises MojoFormatError."""
    keys = header.keys
    categorical = keys.integer("ncats", most=header.n_features)
    numeric = keys.integer("nnums", most=header.n_features)
    permutation = keys.integers("permutation", categorical + numeric)
    if ((permutation < 0) | (permutation >= header.n_features)).any():
        raise MojoFormatError(MODEL_INI, f"permutation: expected columns from 0 to {header.n_features - 1}")
    offsets = offsets_of(keys, "catOffsets", categorical)
    size = keys.integer("eigenvector_size", least=1)
    if size != int(offsets[-1]) + numeric:
        raise MojoFormatError(
            MODEL_INI, f"eigenvector_size is {size}, and the columns take {int(offsets[-1]) + numeric} values"
        )
    return Pca(
        header,
        permutation=permutation,
        offsets=offsets,
        first_level=0 if keys.flag("use_all_factor_levels") else 1,
        shift=keys.numbers("normSub", numeric),
        scale=keys.numbers("normMul", numeric),
        eigenvectors=doubles_of(container, _EIGENVECTORS, size, keys.integer("k", least=1)),
    )
