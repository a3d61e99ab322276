"""The trees of an XGBoost booster as a forest, and its scores out of sums.

Source of the layout: https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html and the JSON Schema there.
The arithmetic is XGBoost's own, all of it in float32: the sum begins with the base score, trees follow in order.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from tidegate.runtime.base import Array
from tidegate.runtime.trees import LESS, MEMBER, Forest, NotCoveredError, Tree
from tidegate.runtime.trees_engine import Scores, require_equal, sums_engine

_MAX_JSON_BYTES = 512 << 20

#: How an objective turns the base score into a sum, and a sum into a score. All others are not covered.
_IDENTITY = {
    "reg:squarederror", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror", "reg:quantileerror",
    "binary:logitraw", "rank:ndcg", "rank:map", "rank:pairwise",
}  # fmt: skip
_LOGISTIC = {"binary:logistic", "reg:logistic"}
_EXPONENTIAL = {"count:poisson", "reg:gamma", "reg:tweedie"}
_SOFTMAX = {"multi:softprob"}

#: Above every code that a category can have.
_NO_CODE = 1 << 24


def forest_of(booster: Any, trees: int) -> Forest:
    """Return the forest of a booster.

    Args:
        booster: an `xgboost.Booster`.
        trees: how many iterations count; 0 for all.

    Raises:
        NotCoveredError: it is not made of plain trees, or its objective is not known here.
    """
    raw = bytes(booster.save_raw("json"))
    if len(raw) > _MAX_JSON_BYTES:
        raise NotCoveredError(f"the model is larger than {_MAX_JSON_BYTES >> 20} MiB of JSON")
    learner = orjson.loads(raw)["learner"]
    kind, objective = learner["gradient_booster"]["name"], learner["objective"]["name"]
    if kind != "gbtree":
        raise NotCoveredError(f"it is no plain ensemble of trees but {kind}")
    model, parameters = learner["gradient_booster"]["model"], learner["learner_model_param"]
    targets = max(int(parameters.get("num_target", "1")), int(parameters["num_class"]), 1)
    base = _base(objective, parameters, targets)
    grown = model["trees"]
    if trees:
        grown = grown[: model["iteration_indptr"][min(trees, len(model["iteration_indptr"]) - 1)]]
    forest = [_tree(tree, target) for tree, target in zip(grown, model["tree_info"], strict=False)]
    return Forest(booster.num_features(), np.dtype(np.float32), forest, base)


def _base(objective: str, parameters: Mapping[str, str], targets: int) -> Array:
    told = orjson.loads(parameters["base_score"])
    scores = [float(np.float32(score)) for score in (told if isinstance(told, list) else [told])]
    if objective in _LOGISTIC:
        scores = [-_log(float(np.float32(1.0 / score)) - 1.0) for score in scores]
    elif objective in _EXPONENTIAL:
        scores = [_log(score) for score in scores]
    elif objective not in _IDENTITY | _SOFTMAX:
        raise NotCoveredError(f"the objective {objective} is not known to the engine")
    return np.array(scores * targets if len(scores) == 1 else scores, dtype=np.float32)


def _log(value: float) -> float:
    return math.log(value) if value > 0.0 else -math.inf


def _tree(tree: Mapping[str, Any], target: int) -> Tree:
    if int(tree["tree_param"].get("size_leaf_vector", "1")) > 1:
        raise NotCoveredError("its leaves hold several numbers")
    left, right = np.array(tree["left_children"], np.int64), np.array(tree["right_children"], np.int64)
    default_left = np.array(tree["default_left"], dtype=bool)
    chosen = np.array(tree["split_type"], dtype=np.int64) == 1
    chosen &= left >= 0
    members: dict[int, Sequence[float]] = {
        node: [float(value) for value in tree["categories"][start : start + size]]
        for node, start, size in zip(
            tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"], strict=True
        )
    }
    # A category that is in the set goes right, all others left; a number below the threshold goes left.
    return Tree(
        feature=np.array(tree["split_indices"], dtype=np.int64),
        threshold=np.array(tree["split_conditions"], dtype=np.float32),
        mode=np.where(chosen, MEMBER, LESS),
        yes=np.where(chosen, right, left),
        no=np.where(chosen, left, right),
        missing_yes=np.where(chosen, ~default_left, default_left),
        members=members,
        target=target,
    )


def engine_of(booster: Any, iterations: tuple[int, int], coded: frozenset[int]) -> Scores:
    """Return a function from a float32 matrix, shape [rows, features], missing as NaN, to the booster's scores.

    Args:
        booster: an `xgboost.Booster` that predicts in place, with the objective whose scores are wanted.
        iterations: as `Booster.inplace_predict` takes them.
        coded: columns that hold whole codes or NaN and nothing else.

    Raises:
        NotCoveredError: there is no such function, or it does not give the booster's own answers.
    """
    forest = forest_of(booster, iterations[1])
    sums = sums_engine(forest)
    link = _link(_objective(booster))
    cut = sorted({int(tree.feature[node]) for tree in forest.trees for node in tree.members} - coded)

    def engine(matrix: Array) -> Array:
        if cut:
            # XGBoost cuts codes down to whole numbers; below zero is no category.
            matrix = matrix.copy()
            matrix[:, cut] = np.clip(np.floor(matrix[:, cut]), -1, _NO_CODE)
        return link(sums(matrix))

    def own(probe: Array) -> Array:
        return np.asarray(booster.inplace_predict(probe, iteration_range=iterations, validate_features=False))

    require_equal(lambda probe: engine(probe.astype(np.float32)), own, forest)
    return engine


def _objective(booster: Any) -> str:
    return str(orjson.loads(booster.save_config())["learner"]["objective"]["name"])


def _link(objective: str) -> Callable[[Array], Array]:
    if objective in _LOGISTIC:
        return _logistic
    if objective in _EXPONENTIAL:
        return lambda sums: _flat(_exp(sums))
    return _softmax if objective in _SOFTMAX else _flat


def _flat(sums: Array) -> Array:
    return sums.reshape(-1) if sums.shape[1] == 1 else sums


def _c_exp() -> Callable[[float], float]:
    """Return C's `expf`, which XGBoost calls; NumPy has its own, that differs in the last bit."""
    # PyDLL: so short a call is not worth letting go of the interpreter's lock.
    function = ctypes.PyDLL(None).expf
    function.argtypes, function.restype = [ctypes.c_float], ctypes.c_float
    return function


_EXPF = _c_exp()


def _exp(values: Array) -> Array:
    listed = values.ravel().tolist()
    return np.array([_EXPF(value) for value in listed], dtype=np.float32).reshape(values.shape)


_ONE = np.float32(1.0)


#: XGBoost bounds the exponent, beyond which the result is all but 0.
_MOST = np.float32(88.7)


def _logistic(sums: Array) -> Array:
    if sums.size == 1:
        # For one row, half of the time would go into NumPy's ways around arrays.
        power = np.float32(_EXPF(min(-sums.item(), 88.7)))
        return np.array([_ONE / (power + _ONE)])
    return _flat(_ONE / (_exp(np.minimum(-sums, _MOST)) + _ONE))


def _softmax(sums: Array) -> Array:
    powers = _exp(sums - sums.max(axis=1, keepdims=True))
    # Added one after the other in double precision.
    total = np.add.accumulate(powers, axis=1, dtype=np.float64)[:, -1:]
    return powers / total.astype(np.float32)
