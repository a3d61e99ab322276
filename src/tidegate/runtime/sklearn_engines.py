"""The last step of a scikit-learn model without scikit-learn's way there: trees on the engine, linear models by hand.

For one row, nearly all of scikit-learn's time goes into checking the input again in every step, into joblib, and into
one call per tree. The arithmetic is done here in the same order and precision. Inputs that scikit-learn refuses
(infinities, and missing values where it takes none) are left to it, so that its error is the answer.

Only attributes are read here, by the name of the class; scikit-learn is not imported.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tidegate.runtime.base import Array
from tidegate.runtime.frameworks import import_framework
from tidegate.runtime.trees import AT_MOST, MEMBER, Forest, NotCoveredError, Tree, rooted
from tidegate.runtime.trees_engine import leaves_engine, require_close, require_equal, sums_engine

#: Labels (or numbers), and probabilities where the model has them.
Answer = tuple[Array, Array | None]
#: Takes an array of floats, or a sparse matrix as scikit-learn's encoders make it; shape [rows, features].
Final = Callable[[Any], Answer]

#: Up to so many rows the engine is faster than scikit-learn for forests, whose trees are deep; for boosted trees it is
#: for any number of rows on one thread (benchmarks/results/engines.md).
FEW_ROWS = 256
_BITS = 32
#: Numbers in a sparse matrix that is made dense for an engine for trees.
_MAX_DENSE = 1_000_000


class RefusedError(Exception):
    """scikit-learn has to be asked about these rows."""


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


def _dense(data: Any) -> Array:
    """Return a matrix as an array; a sparse one only while it is small."""
    if not hasattr(data, "toarray"):
        return data  # type: ignore[no-any-return]
    if math.prod(data.shape) > _MAX_DENSE:
        raise RefusedError
    return data.toarray()  # type: ignore[no-any-return]


def _at_most(rows: int, engine: Final) -> Final:
    """Return an engine that leaves larger batches to scikit-learn."""

    def limited(data: Any) -> Answer:
        if data.shape[0] > rows:
            raise RefusedError
        return engine(data)

    return limited


def _require(is_plain: bool, why: str) -> None:
    if not is_plain:
        raise NotCoveredError(why)


# --- trees of sklearn.tree, which take float32 ---------------------------------------------------------------------


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
            values = np.ascontiguousarray(_dense(matrix), dtype=np.float32)
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


def _one_tree(final: Any) -> Final:
    _require(final.n_outputs_ == 1, "it has several outputs")
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


def _mean_of_trees(final: Any) -> Final:
    """Forests that answer numbers: a sum in float64, divided by the number of trees."""
    _require(final.n_outputs_ == 1, "it has several outputs")
    trees = [member.tree_ for member in final.estimators_]
    grown = [_tree(tree, tree.value[:, 0, 0], tree.threshold, 0) for tree in trees]
    forest = Forest(final.n_features_in_, np.dtype(np.float64), grown, np.zeros(1))
    sums, takes_missing = sums_engine(forest), _takes_missing(final)
    check, count = _checked(takes_missing), len(trees)

    def engine(matrix: Array) -> Answer:
        return sums(check(matrix).astype(np.float64)).reshape(-1) / count, None

    return _probed(forest, engine, final, takes_missing)


def _vote_of_trees(final: Any) -> Final:
    """Forests that answer classes: the probabilities of the leaves that each tree ends in, added in their order."""
    _require(final.n_outputs_ == 1, "it has several outputs")
    trees = [member.tree_ for member in final.estimators_]
    grown = [rooted(_tree(tree, np.zeros(tree.node_count), _rounded_down(tree.threshold), 0)) for tree in trees]
    forest = Forest(final.n_features_in_, np.dtype(np.float32), grown, np.zeros(1))
    classes, count = final.classes_, int(final.n_classes_)
    # A tree of one leaf has become one of three nodes, all of which say the same.
    tables = [
        np.resize(tree.value[:, 0, :count], (len(own.yes), count)) for tree, own in zip(trees, grown, strict=True)
    ]
    table = np.concatenate(tables)
    starts = np.cumsum([0, *(len(part) for part in tables[:-1])])
    leaves, takes_missing = leaves_engine(forest), _takes_missing(final)
    check, trees_count = _checked(takes_missing), len(trees)

    def engine(matrix: Array) -> Answer:
        places = leaves(check(matrix)).astype(np.intp) + starts
        # One tree after the other, as scikit-learn adds them.
        probabilities = np.add.reduce(table.take(places, axis=0), axis=1)
        probabilities /= trees_count
        return classes.take(np.argmax(probabilities, axis=1), axis=0), probabilities

    return _probed(forest, engine, final, takes_missing)


# --- gradient boosting ---------------------------------------------------------------------------------------------


def _boosted(final: Any) -> Final:
    """`GradientBoostingClassifier` and `GradientBoostingRegressor`."""
    is_constant = isinstance(final.init_, str) or type(final.init_).__name__ in ("DummyClassifier", "DummyRegressor")
    _require(is_constant, "its trees begin at the answer of another model")
    base = final._raw_predict_init(np.zeros((1, final.n_features_in_), dtype=np.float32))[0]
    grown = [
        _tree(member.tree_, final.learning_rate * member.tree_.value[:, 0, 0], member.tree_.threshold, target)
        for stage in final.estimators_
        for target, member in enumerate(stage)
    ]
    forest = Forest(final.n_features_in_, np.dtype(np.float64), grown, np.asarray(base))
    sums, check, link = sums_engine(forest), _checked(False), _link(final, positive_from_zero=True)
    return _probed(forest, lambda matrix: link(sums(check(matrix).astype(np.float64))), final, False)


def _link(final: Any, *, positive_from_zero: bool) -> Callable[[Array], Answer]:
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


def _histogram(final: Any) -> Final:
    base = np.asarray(final._baseline_prediction, dtype=np.float64).reshape(-1)
    known, places = final._bin_mapper.make_known_categories_bitsets()
    grown = [
        _histogram_tree(predictor, target, known, places)
        for stage in final._predictors
        for target, predictor in enumerate(stage)
    ]
    forest = Forest(final.n_features_in_, np.dtype(np.float64), grown, base)
    sums, link = sums_engine(forest), _link(final, positive_from_zero=False)

    def own(probe: Array) -> Array:
        raw = np.zeros((len(probe), len(base)), order="F") + base
        final._predict_iterations(probe, final._predictors, raw, False, 1)
        return raw

    require_equal(sums, lambda probe: np.ascontiguousarray(own(probe)), forest, unknown=False)

    def engine(matrix: Array) -> Answer:
        return link(sums(np.ascontiguousarray(_dense(matrix), dtype=np.float64)))

    return engine


def _histogram_tree(predictor: Any, target: int, known: Array, places: Array) -> Tree:
    nodes, bitsets = predictor.nodes, predictor.raw_left_cat_bitsets
    is_leaf = nodes["is_leaf"] != 0
    chosen = (nodes["is_categorical"] != 0) & ~is_leaf
    members: dict[int, Sequence[float]] = {}
    for node in np.flatnonzero(chosen).tolist():
        codes = _codes(known[places[nodes["feature_idx"][node]]])
        # Unknown codes count as missing in scikit-learn; its encoder makes them NaN unless there are gaps.
        _require(codes == list(range(len(codes))), "its categories have gaps")
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
        _require(labels.tolist() == final.predict(probe).tolist(), "its labels differ from the framework's own")
    return engine


_FOREST, _BOOST = "sklearn.ensemble._forest.", "sklearn.ensemble._gb.GradientBoosting"
_HISTOGRAM = "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoosting"
_MAKERS: dict[str, Callable[[Any], Final]] = {
    **{f"sklearn.tree._classes.{name}{kind}": _one_tree
       for name in ("DecisionTree", "ExtraTree") for kind in ("Classifier", "Regressor")},
    **{f"{_FOREST}{name}Classifier": _vote_of_trees for name in ("RandomForest", "ExtraTrees")},
    **{f"{_FOREST}{name}Regressor": _mean_of_trees for name in ("RandomForest", "ExtraTrees")},
    **{f"{_BOOST}{kind}": _boosted for kind in ("Classifier", "Regressor")},
    **{f"{_HISTOGRAM}{kind}": _histogram for kind in ("Classifier", "Regressor")},
    "sklearn.linear_model._logistic.LogisticRegression": _logistic,
    "sklearn.linear_model._base.LinearRegression": _linear,
    "sklearn.linear_model._ridge.Ridge": _linear,
    "sklearn.linear_model._coordinate_descent.Lasso": _linear,
    "sklearn.linear_model._coordinate_descent.ElasticNet": _linear,
}  # fmt: skip
