"""What each column contributes to a prediction of boosted trees or a random forest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.container import Container
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError
from tidegate.runtime.mojo.forests import DrfScorer, GbmScorer
from tidegate.runtime.mojo.importances import used_variables
from tidegate.runtime.mojo.scorer import Rows, Scorer
from tidegate.runtime.mojo.tree_insight import TreeInsight
from tidegate.runtime.mojo.tree_shap_kernel import add_contributions, weigh

#: Memory grows with the square of the depth, and time does.
MAX_DEPTH = 1_000


class TreeContributions:
    """Shapley values by the paths of training rows (TreeSHAP), in float32, as H2O computes them.

    For boosted trees they add up to the prediction before the inverse link, without the offset; for a random forest to
    the prediction, which is the probability of class 1 where there are two classes.
    """

    def __init__(self, container: Container, scorer: Scorer) -> None:
        """Take a forest that was read from a container.

        Raises:
            MojoFormatError: the notes of training, which have the weights, are damaged.
            MojoUnsupportedError: H2O does not tell contributions for such a model either, or the file lacks weights.
        """
        if not isinstance(scorer, GbmScorer | DrfScorer):
            raise MojoUnsupportedError(
                f"contributions are not told for models of {scorer.header.keys.text('algorithm')}", expected="GBM, DRF"
            )
        forest = scorer.model.forest
        if forest.n_classes != 1 or scorer.header.n_classes > 2:
            raise MojoUnsupportedError("contributions are told for regression, and two classes that share trees")
        if scorer.header.version < 1.1:
            raise MojoUnsupportedError("version 1.00 of the format has no weights of training rows", expected="1.10")
        insight = TreeInsight(container, scorer)
        notes = insight.notes
        self._scorer = scorer
        self._weights = np.empty(len(insight.ranks), dtype=np.float32)
        self._means = np.empty(len(forest.roots), dtype=np.float32)
        levels = np.empty(len(insight.ranks), dtype=np.int32)
        self._deepest = weigh(
            forest.nodes,
            forest.roots,
            insight.ranks,
            notes.weight_left,
            notes.weight_right,
            self._weights,
            levels,
            self._means,
        )
        if self._deepest > MAX_DEPTH:
            raise MojoUnsupportedError(f"contributions of trees that are more than {MAX_DEPTH:,} nodes deep")
        self._used = 0
        if isinstance(scorer, DrfScorer):
            if not forest.n_groups:
                raise MojoFormatError("model.ini", "a random forest without trees")
            if scorer.header.n_classes == 2:
                self._used = used_variables(container)

    @property
    def names(self) -> tuple[str, ...]:
        return (*self._scorer.header.features, "BiasTerm")

    def of(self, rows: Rows) -> NDArray[np.float32]:
        """Return the contribution of each column, and of what they start from, shape (rows, columns + 1)."""
        scorer = self._scorer
        out = np.zeros((len(rows), scorer.header.n_features + 1), dtype=np.float32)
        if isinstance(scorer, GbmScorer):
            out[:, -1] = np.float32(scorer.start)
        nodes, sets, roots, _, columns, kinds, limits = scorer.model.arrays
        add_contributions(
            nodes,
            sets,
            roots,
            columns,
            kinds,
            limits,
            self._weights,
            self._means,
            self._deepest,
            scorer.model.prepared(rows),
            out,
        )
        if isinstance(scorer, DrfScorer):
            groups = np.float32(scorer.model.forest.n_groups)
            if scorer.header.n_classes == 2:
                share = np.float32(1.0 / (self._used + 1))
                return np.where(out != 0, share + out / -groups, np.float32(0.0))
            out /= groups
        return out
