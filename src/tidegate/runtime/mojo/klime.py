"""k-LIME: a linear model per cluster, which explains another model near a row (format section 13.3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.errors import MojoFormatError, MojoRowError
from tidegate.runtime.mojo.glm import Columns, check_length, columns_of
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.klime_kernel import reasons
from tidegate.runtime.mojo.kmeans import KMeans
from tidegate.runtime.mojo.nested import Picker, Submodels
from tidegate.runtime.mojo.registry import MAX_MODELS
from tidegate.runtime.mojo.scorer import Rows, Scorer


@dataclass(frozen=True)
class LocalModel:
    """A linear model with what its reasons take: where coefficients of columns lie, and the coefficients."""

    scorer: Scorer
    columns: Columns
    beta: NDArray[np.float64]


@dataclass(frozen=True)
class KLime:
    """Clusters and their models.

    Attributes:
        picks: the row of the clustering from ours. The linear models take ours as it is.
        models: each once; used: of each cluster the place of its model.
    """

    header: Header
    clustering: KMeans
    picks: Picker
    models: tuple[LocalModel, ...]
    used: NDArray[np.intp]

    @property
    def outputs(self) -> tuple[str, ...]:
        """The prediction, the cluster, and what each feature adds to the prediction."""
        return ("predict", "cluster", *(f"reason_{name}" for name in self.header.features))

    def score(self, rows: Rows, offset: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return predictions, clusters, reasons. A level without a coefficient has NaN as its reason.

        Raises:
            MojoRowError: a row is in no cluster, or its model cannot score it.
        """
        scores = np.empty((len(rows), len(self.outputs)), np.float64)
        clusters = self.clustering.score(self.picks(rows))[:, 0].astype(np.intp)
        if len(clusters) and clusters.min() < 0:
            raise MojoRowError(f"row {int(clusters.argmin())}: is at no finite distance from any cluster")
        scores[:, 1] = clusters
        used = self.used[clusters]
        places = set(used.tolist())
        for place in places:
            chosen = slice(None) if len(places) == 1 else np.flatnonzero(used == place)
            self._score(self.models[place], rows, chosen, scores)
        return scores

    def _score(
        self, model: LocalModel, rows: Rows, chosen: slice | NDArray[np.intp], scores: NDArray[np.float64]
    ) -> None:
        """Write the predictions and reasons of the chosen rows."""
        own = rows[chosen]
        columns = model.columns
        found = np.empty_like(own)
        scores[chosen, 0] = model.scorer.score(own)[:, 0]
        reasons(own, columns.offsets, columns.first_level, columns.cat_fill, columns.num_fill, model.beta, found)
        scores[chosen, 2:] = found


def read(container: Container, header: Header, depth: int) -> KLime:
    """Read the clusters and their models.

    Raises:
        MojoFormatError: they are damaged, or do not fit together.
        MojoUnsupportedError: a model cannot be scored.
    """
    keys = header.keys
    models = Submodels(container, header, depth)
    clustering = models[keys.text("clustering_model")]
    if not isinstance(clustering, KMeans):
        raise MojoFormatError(MODEL_INI, "clustering_model: expected one of K-means")
    count = keys.integer("cluster_num", most=MAX_MODELS)
    if len(clustering.centers) > count:
        raise MojoFormatError(MODEL_INI, f"there are {len(clustering.centers)} centres for {count} clusters")
    general = keys.text("global_regression_model")
    named = [keys.text(f"cluster_regression_model_{number}", general) for number in range(count)]
    places = {name: place for place, name in enumerate(dict.fromkeys(named))}
    return KLime(
        header,
        clustering,
        picks=Picker(header.features, clustering.header.features),
        models=tuple(_local(models[name], header) for name in places),
        used=np.array([places[name] for name in named], np.intp),
    )


def _local(scorer: Scorer, header: Header) -> LocalModel:
    keys = scorer.header.keys
    if scorer.header.algorithm != "glm" or len(scorer.outputs) != 1:
        raise MojoFormatError(MODEL_INI, "cluster_regression_model: expected a linear model of a number")
    if scorer.header.n_features != header.n_features:
        raise MojoFormatError(MODEL_INI, "cluster_regression_model: expected a linear model of the same features")
    columns = columns_of(keys, header.n_features)
    if columns.cats + len(columns.num_fill) != header.n_features:
        raise MojoFormatError(MODEL_INI, "cluster_regression_model: has features without coefficients")
    beta = keys.numbers("beta")
    check_length(beta, "beta", columns.coefficients)
    return LocalModel(scorer, columns, beta)
