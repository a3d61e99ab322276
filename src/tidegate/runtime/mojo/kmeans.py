"""K-means: the nearest centre (format section 12.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.kmeans_kernel import nearest
from tidegate.runtime.mojo.scorer import Rows


@dataclass(frozen=True)
class KMeans:
    """The centres of clusters.

    Attributes:
        fill: per column the value for NaN: the mean, or the mode of a categorical column; NaN: none is filled in.
        shift, scale: of numeric columns, (v - shift) * scale; 0 and 1 without standardisation.
        centers: shape (clusters, n_features).
    """

    header: Header
    fill: NDArray[np.float64]
    shift: NDArray[np.float64]
    scale: NDArray[np.float64]
    categorical: NDArray[np.bool_]
    centers: NDArray[np.float64]

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("cluster",)

    @property
    def distance_outputs(self) -> tuple[str, ...]:
        """Names of the columns of `distances`."""
        return tuple(f"distance_{number}" for number in range(len(self.centers)))

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return the number of the nearest cluster: the first of equals; -1 where no distance is finite."""
        return self.score_with_distances(rows)[0]

    def distances(self, rows: Rows) -> NDArray[np.float64]:
        """Return the squared distance to each centre, shape (rows, clusters)."""
        return self.score_with_distances(rows)[1]

    def score_with_distances(self, rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return both: shapes (rows, 1) and (rows, clusters)."""
        clusters = np.empty((len(rows), 1), np.float64)
        distances = np.empty((len(rows), len(self.centers)), np.float64)
        nearest(rows, self.fill, self.shift, self.scale, self.categorical, self.centers, distances, clusters)
        return clusters, distances


def read(container: Container, header: Header) -> KMeans:
    """Read the centres. Raises MojoFormatError."""
    keys = header.keys
    size = header.n_features
    count = keys.integer("center_num", least=1, most=container.size(MODEL_INI))
    centers = np.empty((count, size), np.float64)
    # The lists come one by one: each is in the file, so that no count in it can claim more memory than it has.
    for number in range(count):
        centers[number] = keys.numbers(f"center_{number}", size)
    categorical = np.array([domain is not None for domain in header.feature_domains], np.bool_)
    if not keys.flag("standardize"):
        nothing = np.full(size, np.nan)
        return KMeans(header, nothing, np.zeros(size), np.ones(size), categorical, centers)
    means = keys.numbers("standardize_means", size)
    mults = keys.numbers("standardize_mults", size)
    modes = keys.integers("standardize_modes", size)
    if (modes < -1).any():
        raise MojoFormatError(MODEL_INI, "standardize_modes: expected levels, and -1 for numbers")
    numeric = modes == -1
    return KMeans(
        header,
        fill=np.where(numeric, means, modes.astype(np.float64)),
        shift=np.where(numeric, means, 0.0),
        scale=np.where(numeric, mults, 1.0),
        categorical=categorical,
        centers=centers,
    )
