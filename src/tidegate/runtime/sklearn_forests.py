"""Engines for the trees of `sklearn.tree`: one tree, forests, and gradient boosting. They take float32.

Only attributes are read here, by the name of the class; scikit-learn is not imported.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tidegate.runtime.base import Array
from tidegate.runtime.sklearn_answers import Answer, Final, RefusedError, dense, require
from tidegate.runtime.trees import AT_MOST, Forest, NotCoveredError, Tree, rooted
from tidegate.runtime.trees_engine import leaves_engine, require_equal, require_fit, sums_engine

#: Where not all trees are on the graph, rows are made from the first that have so many nodes together.
_PROBED_NODES = 100_000

log = logging.getLogger("tidegate.runtime")


def _tree(tree: Any, values: Array, thresholds: Array, target: int) -> Tree:
    left, right = np.asarray(tree.children_left, np.int64), np.asarray(tree.children_right, np.int64)
    is_leaf = left < 0
    return Tree(
        feature=np.where(is_leaf, 0, tree.feature),
        threshold=np.where(is_leaf, values, thresholds),
        mode=np.full(len(left), AT_MOST),
        yes=left,
        no=right,
        missing_yes=np.asarray(tree.missing_go_to_left, dtype=bool) & ~is_leaf,
        members={},
        target=target,
    )


def _rounded_down(thresholds: Array) -> Array:
    """Return the highest float32 not above each threshold: a float32 is below the one when it is below the other."""
    nearest = thresholds.astype(np.float32)
    return np.where(nearest > thresholds, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def _takes_missing(final: Any) -> bool:
    try:
        final.predict(np.full((1, final.n_features_in_), np.nan))
    except ValueError:
        return False
    return True


def _checked(takes_missing: bool) -> Callable[[Array], Array]:
    """Return a function to float32 that refuses what scikit-learn refuses."""

    def check(matrix: Array) -> Array:
        with np.errstate(over="ignore"):
            values = np.ascontiguousarray(dense(matrix), dtype=np.float32)
        wrong = np.isinf(values) if takes_missing else ~np.isfinite(values)
        if wrong.any():
            raise RefusedError
        return values

    return check


def _probed(forest: Forest, engine: Final, final: Any, takes_missing: bool) -> Final:
    def numbers(answer: Answer) -> Array:
        labels, probabilities = answer
        return labels if probabilities is None else probabilities

    def rows(probe: Array) -> Array:
        return probe if takes_missing else np.nan_to_num(probe)

    own = final.predict_proba if hasattr(final, "classes_") else final.predict
    require_equal(lambda probe: numbers(engine(rows(probe))), lambda probe: own(rows(probe)), forest)
    return engine


def one_tree(final: Any) -> Final:
    require(final.n_outputs_ == 1, "it has several outputs")
    takes_missing, tree = _takes_missing(final), final.tree_
    forest = Forest(
        final.n_features_in_, np.dtype(np.float32), [_tree(tree, np.zeros(tree.node_count), tree.threshold, 0)],
        np.zeros(1),
    )  # fmt: skip
    check = _checked(takes_missing)
    if not hasattr(final, "classes_"):
        # The tree itself is as fast as any engine once nothing stands before it.
        return _probed(forest, lambda matrix: (tree.predict(check(matrix))[:, 0], None), final, takes_missing)
    classes, count = final.classes_, int(final.n_classes_)

    def engine(matrix: Array) -> Answer:
        probabilities = tree.predict(check(matrix))[:, :count]
        return classes.take(np.argmax(probabilities, axis=1), axis=0), probabilities

    return _probed(forest, engine, final, takes_missing)


def mean_of_trees(final: Any) -> Final:
    """Forests that answer numbers: a sum in float64, divided by the number of trees."""
    require(final.n_outputs_ == 1, "it has several outputs")
    trees = [member.tree_ for member in final.estimators_]
    takes_missing, count = _takes_missing(final), len(trees)
    check = _checked(takes_missing)

    def forest_of(chosen: Sequence[Any]) -> Forest:
        grown = [_tree(tree, tree.value[:, 0, 0], tree.threshold, 0) for tree in chosen]
        return Forest(final.n_features_in_, np.dtype(np.float64), grown, np.zeros(1))

    def directly(matrix: Array) -> Answer:
        values = check(matrix)
        sums = np.zeros(len(values))
        for tree in trees:
            sums += tree.predict(values)[:, 0]
        sums /= count
        return sums, None

    def on_graph() -> tuple[Final, Forest]:
        forest = forest_of(trees)
        sums = sums_engine(forest)
        return lambda matrix: (sums(check(matrix).astype(np.float64)).reshape(-1) / count, None), forest

    engine, forest = _on_graph_or(directly, on_graph, trees, forest_of)
    return _probed(forest, engine, final, takes_missing)


def vote_of_trees(final: Any) -> Final:
    """Forests that answer classes: the probabilities of the leaves that each tree ends in, added in their order."""
    require(final.n_outputs_ == 1, "it has several outputs")
    trees = [member.tree_ for member in final.estimators_]
    takes_missing, trees_count = _takes_missing(final), len(trees)
    check, classes, count = _checked(takes_missing), final.classes_, int(final.n_classes_)

    def forest_of(chosen: Sequence[Any]) -> Forest:
        grown = [rooted(_tree(tree, np.zeros(tree.node_count), _rounded_down(tree.threshold), 0)) for tree in chosen]
        return Forest(final.n_features_in_, np.dtype(np.float32), grown, np.zeros(1))

    def answer(probabilities: Array) -> Answer:
        probabilities /= trees_count
        return classes.take(np.argmax(probabilities, axis=1), axis=0), probabilities

    def directly(matrix: Array) -> Answer:
        values = check(matrix)
        probabilities = np.zeros((len(values), count))
        for tree in trees:
            probabilities += tree.predict(values)[:, :count]
        return answer(probabilities)

    def on_graph() -> tuple[Final, Forest]:
        forest = forest_of(trees)
        # A tree of one leaf has become one of three nodes, all of which say the same.
        tables = [
            np.resize(tree.value[:, 0, :count], (len(own.yes), count))
            for tree, own in zip(trees, forest.trees, strict=True)
        ]
        table = np.concatenate(tables)
        starts = np.cumsum([0, *(len(part) for part in tables[:-1])])
        leaves = leaves_engine(forest)

        def engine(matrix: Array) -> Answer:
            places = leaves(check(matrix)).astype(np.intp) + starts
            # One tree after the other, as scikit-learn adds them.
            return answer(np.add.reduce(table.take(places, axis=0), axis=1))

        return engine, forest

    engine, forest = _on_graph_or(directly, on_graph, trees, forest_of)
    return _probed(forest, engine, final, takes_missing)


def _on_graph_or(
    directly: Final,
    on_graph: Callable[[], tuple[Final, Forest]],
    trees: Sequence[Any],
    forest_of: Callable[[Sequence[Any]], Forest],
) -> tuple[Final, Forest]:
    """Return the engine on the graph, or else the trees themselves called one by one; and trees to make probes from.

    Called one by one, the trees take no memory beyond their own. What that spares is scikit-learn's way to them.
    """
    try:
        require_fit(sum(int(tree.node_count) for tree in trees))
        return on_graph()
    except NotCoveredError as reason:
        log.info("The trees are called one by one: %s.", reason)
        sizes = np.cumsum([int(tree.node_count) for tree in trees])
        return directly, forest_of(trees[: max(1, int(np.searchsorted(sizes, _PROBED_NODES, side="right")))])


def boosted(final: Any) -> Final:
    """`GradientBoostingClassifier` and `GradientBoostingRegressor`."""
    is_constant = isinstance(final.init_, str) or type(final.init_).__name__ in ("DummyClassifier", "DummyRegressor")
    require(is_constant, "its trees begin at the answer of another model")
    base = final._raw_predict_init(np.zeros((1, final.n_features_in_), dtype=np.float32))[0]
    grown = [
        _tree(member.tree_, final.learning_rate * member.tree_.value[:, 0, 0], member.tree_.threshold, target)
        for stage in final.estimators_
        for target, member in enumerate(stage)
    ]
    forest = Forest(final.n_features_in_, np.dtype(np.float64), grown, np.asarray(base))
    sums, check, link = sums_engine(forest), _checked(False), link_of(final, positive_from_zero=True)
    return _probed(forest, lambda matrix: link(sums(check(matrix).astype(np.float64))), final, False)


def link_of(final: Any, *, positive_from_zero: bool) -> Callable[[Array], Answer]:
    """Return what makes answers out of raw predictions, with the loss function that the model itself uses."""
    loss = final._loss
    if not hasattr(final, "classes_"):
        inverse = loss.link.inverse
        # `GradientBoostingRegressor` answers raw predictions as they are; its losses all have the identity as link.
        return lambda raw: (inverse(raw.ravel()), None)
    classes = final.classes_

    def link(raw: Array) -> Answer:
        if raw.shape[1] == 1:
            flat = raw.ravel()
            chosen = (flat >= 0 if positive_from_zero else flat > 0).astype(np.intp)
        else:
            chosen = np.argmax(raw, axis=1)
        return classes[chosen], loss.predict_proba(raw)

    return link
