"""Are the trees of scikit-learn that came out of a file sound?

Fitted trees are arrays that compiled code walks without looking: a node that points outside its array, or to a
feature that is not there, reads memory that is not the model's. They hold nothing but numbers, though, and once every
number is checked they are as safe as the rest, so that a forest in a skops file needs no trust. (In a tree that
scikit-learn grew, children come after their parent; that rules out circles, too.)

Only attributes are read here; nothing is imported from scikit-learn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Array

_BITSET_WORDS = 8  # 256 categories, see `sklearn.ensemble._hist_gradient_boosting.common.X_BITSET_INNER_DTYPE`


def check_trees(estimator: Any) -> Any:
    """Check every tree inside an estimator, and return the estimator.

    Raises:
        InvalidInput: one of them points to where it must not.
    """
    for owner in _objects(estimator):
        attributes = owner.__dict__
        width = attributes.get("n_features_in_")
        if "tree_" in attributes:
            _check_tree(attributes["tree_"], width)
        if "_predictors" in attributes:
            _check_boosted(attributes, width)
        if "estimators_" in attributes and isinstance(width, int):
            for member, columns in _members(attributes, width):
                _check_tree(member, columns)
    return estimator


def _objects(root: Any) -> Iterator[Any]:
    """Yield every object with attributes that can be reached from `root`, each once."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, (list, tuple, set)):
            waiting.extend(value)
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, np.ndarray):
            if value.dtype.hasobject:
                waiting.extend(value.ravel().tolist())
        elif hasattr(value, "__dict__") and not isinstance(value, type):
            yield value
            waiting.extend(vars(value).values())


def _members(attributes: dict[str, Any], width: int) -> Iterator[tuple[Any, int]]:
    """Yield (tree, number of features that its ensemble hands to it) for each member that is a tree."""
    members = np.asarray(attributes["estimators_"], dtype=object).ravel().tolist()
    chosen = attributes.get("estimators_features_")
    for position, member in enumerate(members):
        tree = getattr(member, "__dict__", {}).get("tree_")
        if tree is not None:
            is_part = chosen is not None and position < len(chosen)
            yield tree, len(chosen[position]) if is_part and chosen is not None else width


def _check_tree(tree: Any, width: Any) -> None:
    count = int(tree.node_count)
    left, right, feature = (np.asarray(part) for part in (tree.children_left, tree.children_right, tree.feature))
    is_inner = left != -1
    _check_nodes(is_inner, (left, right), feature, count, width)


def _check_boosted(attributes: dict[str, Any], width: Any) -> None:
    mapper = attributes.get("_bin_mapper")
    is_categorical = np.asarray(getattr(mapper, "is_categorical_", ()), dtype=bool)
    _require(is_categorical.shape == (width,))
    for predictor in _flat(attributes["_predictors"]):
        nodes, bitsets = predictor.nodes, predictor.raw_left_cat_bitsets
        _require(isinstance(nodes, np.ndarray) and nodes.dtype.names is not None)
        is_inner = nodes["is_leaf"] == 0
        _check_nodes(is_inner, (nodes["left"], nodes["right"]), nodes["feature_idx"], len(nodes), width)
        by_category = nodes[is_inner & (nodes["is_categorical"] != 0)]
        if len(by_category):
            _require(bitsets.ndim == 2 and bitsets.shape[1] == _BITSET_WORDS)
            _require(bool((by_category["bitset_idx"] < len(bitsets)).all()))
            _require(bool(is_categorical[by_category["feature_idx"]].all()))


def _flat(predictors: Any) -> Iterator[Any]:
    for part in predictors:
        if isinstance(part, (list, tuple)):
            yield from _flat(part)
        else:
            yield part


def _check_nodes(is_inner: Array, children: Iterable[Array], feature: Array, count: int, width: Any) -> None:
    _require(isinstance(width, int) and count > 0 and is_inner.shape == (count,) and feature.shape == (count,))
    parents = np.flatnonzero(is_inner)
    for child in children:
        pointed = child[parents].astype(np.int64)
        _require(child.shape == (count,) and bool(((pointed > parents) & (pointed < count)).all()))
    used = feature[parents].astype(np.int64)
    _require(bool(((used >= 0) & (used < width)).all()))


def _require(is_sound: bool) -> None:
    if not is_sound:
        raise InvalidInput(
            "The model holds a tree that points outside of itself: the file is damaged, or made to do harm.",
            hint="Save the model again with skops.io.dump().",
        )
