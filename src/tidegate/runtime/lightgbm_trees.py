"""The trees of a LightGBM booster as a forest, and its scores out of sums.

Read from LightGBM's text format as `src/io/tree.cpp` writes it; decisions as in `include/LightGBM/tree.h`. All of the
arithmetic is in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tidegate.runtime.base import Array
from tidegate.runtime.trees import AT_MOST, MEMBER, Forest, NotCoveredError, Tree
from tidegate.runtime.trees_engine import Scores, require_equal, sums_engine

_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_NO_MISSING, _ZERO_MISSING = 0, 1
_WORD_BITS = 32
#: `kZeroThreshold` of `include/LightGBM/meta.h`, a float32.
_ZERO = float(np.float32(1e-35))

_IDENTITY = {
    "", "regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg",
}  # fmt: skip
_EXPONENTIAL = {"poisson", "gamma", "tweedie"}

#: Above every code that a category can have.
_NO_CODE = 1 << 24


def forest_of(text: str) -> tuple[Forest, Mapping[str, str]]:
    """Return the forest of a model in LightGBM's text format, and the header of the text.

    Raises:
        NotCoveredError: it is not made of plain trees.
    """
    head, *blocks = text.partition("\nend of trees")[0].split("\nTree=")
    header = {line.partition("=")[0]: line.partition("=")[2] for line in head.splitlines()}
    if "average_output" in header:
        raise NotCoveredError("it answers the mean of its trees")
    targets = int(header["num_tree_per_iteration"])
    trees = [_tree(block, number % targets) for number, block in enumerate(blocks)]
    return Forest(int(header["max_feature_idx"]) + 1, np.dtype(np.float64), trees, np.zeros(targets)), header


def _tree(block: str, target: int) -> Tree:
    fields = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
    if fields.get("is_linear", "0") != "0":
        raise NotCoveredError("its leaves hold linear models")
    leaves = int(fields["num_leaves"])
    inner = leaves - 1
    values = _numbers(fields["leaf_value"])
    whole = np.zeros(inner + leaves, dtype=np.int64)
    nowhere = np.full(leaves, -1)
    if not inner:
        return Tree(whole, values, whole, nowhere, nowhere, whole, {}, target)
    kinds = _wholes(fields["decision_type"])
    missing = (kinds >> 2) & 3
    chosen = (kinds & _CATEGORICAL) > 0
    if ((missing == _ZERO_MISSING) & ~chosen).any():
        raise NotCoveredError("it was trained with zero as missing")
    thresholds = _numbers(fields["threshold"])
    # Where training met no missing value, one counts as 0.
    missing_yes = np.where(missing == _NO_MISSING, thresholds >= 0.0, (kinds & _DEFAULT_LEFT) > 0) & ~chosen
    places = thresholds
    # Rows are handed to the trees with every value this near to zero as zero.
    near_zero = np.abs(thresholds) <= _ZERO
    thresholds = np.where(near_zero, np.where(thresholds < 0.0, np.nextafter(-_ZERO, -1.0), _ZERO), thresholds)
    return Tree(
        feature=np.concatenate([_wholes(fields["split_feature"]), whole[:leaves]]),
        threshold=np.concatenate([thresholds, values]),
        mode=np.concatenate([np.where(chosen, MEMBER, AT_MOST), whole[:leaves]]),
        yes=np.concatenate([_children(fields["left_child"], inner), nowhere]),
        no=np.concatenate([_children(fields["right_child"], inner), nowhere]),
        missing_yes=np.concatenate([missing_yes, whole[:leaves] > 0]),
        members=dict(_members(fields, places, np.flatnonzero(chosen).tolist())),
        target=target,
    )


def _numbers(text: str) -> Array:
    return np.array([float(word) for word in text.split()])


def _wholes(text: str) -> Array:
    return np.array([int(word) for word in text.split()], dtype=np.int64)


def _children(text: str, inner: int) -> Array:
    """Return child nodes; LightGBM counts leaves apart, as -1, -2, …"""
    children = _wholes(text)
    return np.where(children < 0, inner - 1 - children, children)


def _members(fields: Mapping[str, str], places: Array, nodes: list[int]) -> Iterator[tuple[int, list[float]]]:
    if not nodes:
        return
    bounds, words = _wholes(fields["cat_boundaries"]).tolist(), _wholes(fields["cat_threshold"]).tolist()
    for node in nodes:
        place = int(places[node])
        own = words[bounds[place] : bounds[place + 1]]
        yield node, [
            float(index * _WORD_BITS + bit) for index, word in enumerate(own) for bit in range(_WORD_BITS)
            if word >> bit & 1
        ]  # fmt: skip


def engine_of(booster: Any, coded: frozenset[int], threads: int) -> Scores:
    """Return a function from a float64 matrix, shape [rows, features], to what `booster.predict` answers.

    Args:
        booster: a `lightgbm.Booster`.
        coded: columns that hold whole codes or NaN and nothing else.
        threads: for the booster's own answers, while they are compared.

    Raises:
        NotCoveredError: there is no such function, or it does not give the booster's own answers.
    """
    forest, header = forest_of(booster.model_to_string())
    link = _link(header.get("objective", ""))
    sums = sums_engine(forest)
    cut = sorted({int(tree.feature[node]) for tree in forest.trees for node in tree.members} - coded)

    def engine(matrix: Array) -> Array:
        if cut:
            # LightGBM cuts codes down to whole numbers.
            matrix = matrix.copy()
            matrix[:, cut] = np.clip(np.trunc(matrix[:, cut]), -1, _NO_CODE)
        return link(sums(matrix))

    require_equal(engine, lambda probe: np.asarray(booster.predict(probe, num_threads=threads)), forest)
    return engine


def _link(objective: str) -> Callable[[Array], Array]:
    kind, *parameters = objective.split(" ")
    told = dict(part.split(":", 1) for part in parameters if ":" in part)
    if kind in ("binary", "multiclassova"):
        return _logistic(float(told["sigmoid"]))
    if kind == "cross_entropy":
        return _logistic(1.0)
    if kind == "multiclass":
        return _softmax
    if kind in _EXPONENTIAL:
        return lambda sums: _flat(_exp(sums))
    if kind in _IDENTITY and "sqrt" not in parameters:
        return _flat
    raise NotCoveredError(f"the objective {objective!r} is not known to the engine")


def _flat(sums: Array) -> Array:
    return sums.reshape(-1) if sums.shape[1] == 1 else sums


def _exp(values: Array) -> Array:
    # C's `exp`, as LightGBM has it; NumPy's own may differ in the last bit.
    return np.array([_bounded_exp(value) for value in values.ravel().tolist()]).reshape(values.shape)


def _bounded_exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _logistic(steepness: float) -> Callable[[Array], Array]:
    def link(sums: Array) -> Array:
        if sums.size == 1:
            # For one row, half of the time would go into NumPy's ways around arrays.
            return np.array([1.0 / (1.0 + _bounded_exp(-steepness * sums.item()))])
        return _flat(1.0 / (1.0 + _exp(-steepness * sums)))

    return link


def _softmax(sums: Array) -> Array:
    powers = _exp(sums - sums.max(axis=1, keepdims=True))
    return powers / np.add.accumulate(powers, axis=1)[:, -1:]
