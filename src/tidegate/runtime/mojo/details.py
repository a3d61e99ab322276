"""What a model can tell of rows beside its predictions: leaves, stages, contributions, distances, reconstructions,
and how far these are from the rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.container import Container
from tidegate.runtime.mojo.errors import MojoUnsupportedError
from tidegate.runtime.mojo.scorer import Rows, Scorer

if TYPE_CHECKING:
    from tidegate.runtime.mojo.booster_insight import BoosterInsight
    from tidegate.runtime.mojo.glrm_reconstruction import Reconstruction
    from tidegate.runtime.mojo.tree_contributions import TreeContributions
    from tidegate.runtime.mojo.tree_insight import TreeInsight

#: Names of columns, and a function from rows and offsets to an array of shape (rows, columns).
Telling = tuple[tuple[str, ...], Callable[[Rows, NDArray[np.float64] | None], NDArray[Any]]]


class Details:
    """What one model can tell. What it takes is read from the container when it is first asked for.

    Every method raises MojoUnsupportedError for a model that has no such thing to tell.
    """

    def __init__(self, container: Container, scorer: Scorer) -> None:
        self._container = container
        self._scorer = scorer
        self._insight: TreeInsight | None = None
        self._booster: BoosterInsight | None = None
        self._contributions: TreeContributions | None = None

    def leaves(self, kind: Literal["path", "node_id"]) -> Telling:
        insight = self._boosted() or self._trees()
        if kind == "path":
            return insight.trees, lambda rows, _: insight.leaf_paths(rows)
        return insight.trees, lambda rows, _: insight.leaf_ids(rows)

    def stages(self) -> Telling:
        insight = self._trees()
        return insight.trees, insight.staged

    def contributions(self) -> Telling:
        from tidegate.runtime.mojo.tree_contributions import TreeContributions

        if (booster := self._boosted()) is not None:
            return booster.inputs, lambda rows, _: booster.contributions(rows)
        found = self._contributions
        if found is None:
            found = self._contributions = TreeContributions(self._container, self._scorer)
        return found.names, lambda rows, _: found.of(rows)

    def distances(self) -> Telling:
        from tidegate.runtime.mojo.kmeans import KMeans

        scorer = self._scorer
        if not isinstance(scorer, KMeans):
            raise MojoUnsupportedError(f"models of {scorer.header.keys.text('algorithm')} have no distances to tell")
        return scorer.distance_outputs, lambda rows, _: scorer.distances(rows)

    def anomaly(self) -> Telling:
        from tidegate.runtime.mojo.deep_learning import AutoencoderScorer

        scorer = self._scorer
        if not isinstance(scorer, AutoencoderScorer):
            raise MojoUnsupportedError(
                "the error of a reconstruction is told for autoencoders", got=scorer.header.keys.text("algorithm")
            )
        return ("Reconstruction.MSE",), lambda rows, _: scorer.errors(rows)[:, np.newaxis]

    def reconstruction(self) -> Reconstruction:
        """Return what reconstructs rows. Raises MojoFormatError where the file's columns do not fit each other."""
        from tidegate.runtime.mojo.glrm import Glrm
        from tidegate.runtime.mojo.glrm_reconstruction import Reconstruction

        scorer = self._scorer
        if not isinstance(scorer, Glrm):
            raise MojoUnsupportedError(f"models of {scorer.header.keys.text('algorithm')} do not reconstruct rows")
        return Reconstruction(scorer)

    def _boosted(self) -> BoosterInsight | None:
        """Return what XGBoost's trees tell; None for another model."""
        if self._scorer.header.algorithm != "xgboost":
            return None
        from tidegate.runtime.mojo.booster_insight import BoosterInsight

        if self._booster is None:
            self._booster = BoosterInsight(self._container, self._scorer.header)
        return self._booster

    def _trees(self) -> TreeInsight:
        from tidegate.runtime.mojo.tree_insight import TreeInsight

        if self._insight is None:
            self._insight = TreeInsight(self._container, self._scorer)
        return self._insight
