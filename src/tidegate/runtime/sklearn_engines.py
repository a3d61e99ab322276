"""The last step of a scikit-learn model without scikit-learn's way there: trees on the engine, linear models by hand.

For one row, nearly all of scikit-learn's time goes into checking the input again in every step, into joblib, and into
one call per tree. The arithmetic is done here in the same order and precision. Inputs that scikit-learn refuses
(infinities, and missing values where it takes none) are left to it, so that its error is the answer.

Only attributes are read here, by the name of the class; scikit-learn is not imported.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tidegate.runtime.base import Array
from tidegate.runtime.frameworks import import_framework
from tidegate.runtime.sklearn_answers import Answer, Final, RefusedError, dense, require
from tidegate.runtime.sklearn_forests import boosted, link_of, mean_of_trees, one_tree, vote_of_trees
from tidegate.runtime.trees import AT_MOST, MEMBER, Forest, NotCoveredError, Tree
from tidegate.runtime.trees_engine import require_close, require_equal, sums_engine

#: Up to so many rows the engine is faster than scikit-learn for forests, whose trees are deep; for boosted trees it is
#: for any number of rows on one thread (benchmarks/results/engines.md).
FEW_ROWS = 256
_BITS = 32


def final_engine(final: Any, threads: int = 1) -> Final:
    """Return a function that answers for a fitted estimator, whatever it is given.

    `threads` is how many scikit-learn may use for one call. The function raises `RefusedError` for what scikit-learn
    itself has to be asked about.

    Raises:
        NotCoveredError: there is none for this estimator, or it does not give the estimator's own answers.
    """
    kind = f"{type(final).__module__}.{type(final).__name__}"
    make = _MAKERS.get(kind)
    if make is None:
        raise NotCoveredError(f"there is no engine for {kind}")
    engine = _guarded(make, final)
    if kind.startswith(_FOREST) or (threads > 1 and kind.startswith((_BOOST, _HISTOGRAM))):
        return _at_most(FEW_ROWS, engine)
    return engine


def own_encoder(final: Any) -> Any:
    """Return the transformer that histogram boosting applies itself when it takes categories, None for all others.

    The engine of such a model is to be given what that transformer makes of the columns.
    """
    return getattr(final, "_preprocessor", None)


def _guarded(make: Callable[[Any], Final], final: Any) -> Final:
    try:
        with warnings.catch_warnings():
            # An estimator that was fitted on columns with names is asked about arrays.
            warnings.simplefilter("ignore")
            engine, width = make(final), final.n_features_in_
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise NotCoveredError(
            f"this version of scikit-learn keeps {type(final).__name__} otherwise: {error}"
        ) from error

    def guarded(data: Any) -> Answer:
        is_matrix = (isinstance(data, np.ndarray) and data.dtype.kind == "f") or hasattr(data, "toarray")
        if not is_matrix or data.ndim != 2 or data.shape[1] != width:
            raise RefusedError
        return engine(data)

    return guarded


def _at_most(rows: int, engine: Final) -> Final:
    """Return an engine that leaves larger batches to scikit-learn."""

    def limited(data: Any) -> Answer:
        if data.shape[0] > rows:
            raise RefusedError
        return engine(data)

    return limited


# --- histogram gradient boosting -----------------------------------------------------------------------------------


def _histogram(final: Any) -> Final:
    base = np.asarray(final._baseline_prediction, dtype=np.float64).reshape(-1)
    known, places = final._bin_mapper.make_known_categories_bitsets()
    grown = [
        _histogram_tree(predictor, target, known, places)
        for stage in final._predictors
        for target, predictor in enumerate(stage)
    ]
    forest = Forest(final.n_features_in_, np.dtype(np.float64), grown, base)
    sums, link = sums_engine(forest), link_of(final, positive_from_zero=False)

    def own(probe: Array) -> Array:
        raw = np.zeros((len(probe), len(base)), order="F") + base
        final._predict_iterations(probe, final._predictors, raw, False, 1)
        return raw

    require_equal(sums, lambda probe: np.ascontiguousarray(own(probe)), forest, unknown=False)

    def engine(matrix: Array) -> Answer:
        return link(sums(np.ascontiguousarray(dense(matrix), dtype=np.float64)))

    return engine


def _histogram_tree(predictor: Any, target: int, known: Array, places: Array) -> Tree:
    nodes, bitsets = predictor.nodes, predictor.raw_left_cat_bitsets
    is_leaf = nodes["is_leaf"] != 0
    chosen = (nodes["is_categorical"] != 0) & ~is_leaf
    members: dict[int, Sequence[float]] = {}
    for node in np.flatnonzero(chosen).tolist():
        codes = _codes(known[places[nodes["feature_idx"][node]]])
        # Unknown codes count as missing in scikit-learn; its encoder makes them NaN unless there are gaps.
        require(codes == list(range(len(codes))), "its categories have gaps")
        members[node] = [float(code) for code in _codes(bitsets[nodes["bitset_idx"][node]])]
    return Tree(
        feature=np.where(is_leaf, 0, nodes["feature_idx"]).astype(np.int64),
        threshold=np.where(is_leaf, nodes["value"], np.where(chosen, 0.0, nodes["num_threshold"])),
        mode=np.where(chosen, MEMBER, AT_MOST),
        yes=np.where(is_leaf, -1, nodes["left"].astype(np.int64)),
        no=np.where(is_leaf, -1, nodes["right"].astype(np.int64)),
        missing_yes=(nodes["missing_go_to_left"] != 0) & ~is_leaf,
        members=members,
        target=target,
    )


def _codes(words: Array) -> list[int]:
    return [index * _BITS + bit for index, word in enumerate(words.tolist()) for bit in range(_BITS) if word >> bit & 1]


# --- linear models -------------------------------------------------------------------------------------------------


def _finite(scores: Array) -> Array:
    if not np.isfinite(scores).all():
        raise RefusedError
    return scores


def _logistic(final: Any) -> Final:
    weights, offsets, classes = np.asarray(final.coef_).T, np.asarray(final.intercept_), final.classes_
    if len(classes) == 2:
        expit = import_framework("scipy.special", extra="sklearn", what="A logistic regression").expit

        def binary(matrix: Array) -> Answer:
            scores = _finite((matrix @ weights + offsets).reshape(-1))
            both = np.empty((len(scores), 2))
            both[:, 1] = expit(scores)
            np.subtract(1.0, both[:, 1], out=both[:, 0])
            return classes[(scores > 0).astype(np.intp)], both

        return _linear_probed(binary, final)
    softmax = import_framework("sklearn.utils.extmath", extra="sklearn", what="A logistic regression").softmax

    def several(matrix: Array) -> Answer:
        scores = _finite(matrix @ weights + offsets)
        return classes[np.argmax(scores, axis=1)], softmax(scores, copy=False)

    return _linear_probed(several, final)


def _linear(final: Any) -> Final:
    weights, offset = np.asarray(final.coef_), final.intercept_
    weights = weights if weights.ndim == 1 else weights.T
    return _linear_probed(lambda matrix: (_finite(matrix @ weights + offset), None), final)


def _linear_probed(engine: Final, final: Any) -> Final:
    probe = np.random.default_rng(0).normal(size=(16, final.n_features_in_))
    labels, probabilities = engine(probe)
    if probabilities is None:
        require_close(labels, np.asarray(final.predict(probe)))
    else:
        require_close(probabilities, np.asarray(final.predict_proba(probe)))
        require(labels.tolist() == final.predict(probe).tolist(), "its labels differ from the framework's own")
    return engine


_FOREST, _BOOST = "sklearn.ensemble._forest.", "sklearn.ensemble._gb.GradientBoosting"
_HISTOGRAM = "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoosting"
_MAKERS: dict[str, Callable[[Any], Final]] = {
    **{f"sklearn.tree._classes.{name}{kind}": one_tree
       for name in ("DecisionTree", "ExtraTree") for kind in ("Classifier", "Regressor")},
    **{f"{_FOREST}{name}Classifier": vote_of_trees for name in ("RandomForest", "ExtraTrees")},
    **{f"{_FOREST}{name}Regressor": mean_of_trees for name in ("RandomForest", "ExtraTrees")},
    **{f"{_BOOST}{kind}": boosted for kind in ("Classifier", "Regressor")},
    **{f"{_HISTOGRAM}{kind}": _histogram for kind in ("Classifier", "Regressor")},
    "sklearn.linear_model._logistic.LogisticRegression": _logistic,
    "sklearn.linear_model._base.LinearRegression": _linear,
    "sklearn.linear_model._ridge.Ridge": _linear,
    "sklearn.linear_model._coordinate_descent.Lasso": _linear,
    "sklearn.linear_model._coordinate_descent.ElasticNet": _linear,
}  # fmt: skip
