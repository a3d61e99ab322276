"""The comparison of a graph with its model, on rows that try the borders of both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.frameworks import import_framework
from tidegate.runtime.mojo.encodings import Field
from tidegate.runtime.mojo.errors import MojoRowError
from tidegate.runtime.mojo.forests import DrfScorer, GbmScorer, IsolationForestScorer
from tidegate.runtime.mojo.load import MojoModel
from tidegate.runtime.mojo.onnx_export import boosters, forests
from tidegate.runtime.mojo.rows import Policy
from tidegate.runtime.mojo.xgboost import XgboostScorer
from tidegate.runtime.trees import LESS, Tree

ROWS = 1000
_MISSING_SHARE = 0.1
_NUMBERS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-50, -1e-50, 1e6, -1e6, 5e-324, 16777217.0)
_POLICY = Policy()
#: What an `exp` of another library may move a probability by.
_LAST_BITS = 1e-15
#: No level, as a rule.
_UNKNOWN = "no level of the training"


@dataclass(frozen=True)
class Checked:
    """What a comparison found.

    Attributes:
        worst: the largest difference of two numbers, relative to the largest number of the row's outputs, and of
            networks at least to that of the median row; infinite where one of them is none.
        output: where that is.
        labels_agree: in all rows but those in which several of three or more classes have the highest probability.
        ties: those rows.
    """

    rows: int
    worst: float
    output: str
    labels_agree: bool
    ties: int


def compare(model: MojoModel, graph: bytes, columns: Mapping[str, Any] | None = None) -> Checked:
    """Score the same rows by both.

    Args:
        columns: by name, texts and floats, each of the same length; drawn from what the model knows without.

    Raises:
        InvalidInput: ONNX Runtime is missing.
    """
    given = drawn(model) if columns is None else columns
    rows = len(next(iter(given.values())))
    return differences(model, ours(model, given, rows), theirs(graph, given))


def theirs(graph: bytes, columns: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Return the graph's outputs by name."""
    runtime: Any = import_framework("onnxruntime", extra="mojo-onnx", what="The comparison with the graph")
    session = runtime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_outputs()]
    fed = {port.name: np.asarray(columns[port.name]) for port in session.get_inputs()}
    return dict(zip(names, session.run(names, fed), strict=True))


def ours(model: MojoModel, columns: Mapping[str, Any], rows: int) -> NDArray[np.float64]:
    """Return the model's scores, shape (rows, outputs); NaN in rows that it refuses."""
    matrix, offset = model.rows(columns, rows, _POLICY)
    try:
        return model.scores(matrix, offset)
    except MojoRowError:
        found = np.full((rows, len(model.outputs)), np.nan)
        for index in range(rows):
            try:
                own = None if offset is None else offset[index : index + 1]
                found[index] = model.scores(matrix[index : index + 1], own)[0]
            except MojoRowError:
                continue
        return found


def differences(model: MojoModel, scores: NDArray[np.float64], answers: Mapping[str, NDArray[Any]]) -> Checked:
    """Compare scores with a graph's answers."""
    labels = model.answers.labels
    first = 0 if labels is None else 1
    got = np.column_stack([np.asarray(answers[name], dtype=np.float64) for name in model.outputs[first:]])
    wanted = scores[:, first:]
    with np.errstate(invalid="ignore"):
        size = np.nanmax(np.where(np.isfinite(wanted), np.abs(wanted), 0.0), axis=1, initial=0.0)[:, np.newaxis]
        if model.header.algorithm == "deep_learning" and len(size):
            # A network's value near 0 is what large numbers leave that cancel each other out, in another order.
            size = np.maximum(size, np.median(size))
        apart = np.abs(got - wanted) / np.where(size > 0.0, size, 1.0)
    apart[(got == wanted) | (np.isnan(got) & np.isnan(wanted))] = 0.0
    apart[np.isnan(apart)] = np.inf
    at = int(np.argmax(apart.max(axis=0))) if apart.size else 0
    agree, ties = True, 0
    if labels is not None:
        tied = _tied(model, wanted)
        ties = int(tied.sum())
        texts = np.array([*labels, ""], dtype=object)
        named = texts[np.where(np.isnan(scores[:, 0]) | (scores[:, 0] < 0), len(labels), scores[:, 0]).astype(np.intp)]
        agree = bool((tied | (named == np.asarray(answers[model.outputs[0]], dtype=object))).all())
    return Checked(len(scores), float(apart.max(initial=0.0)), model.outputs[first + at], agree, ties)


def _tied(model: MojoModel, shares: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return rows whose label is a draw, or hangs on the last bit of an `exp`."""
    classes = shares[:, : model.header.n_classes]
    if model.header.n_classes == 2:
        apart = np.abs(classes[:, 1] - model.header.threshold)
        close: NDArray[np.bool_] = (apart > 0.0) & (apart <= _LAST_BITS)
        return close
    most = classes.max(axis=1, keepdims=True)
    several: NDArray[np.bool_] = (classes == most).sum(axis=1) > 1
    return several


def drawn(model: MojoModel, rows: int = ROWS) -> dict[str, Any]:
    """Return columns that try the borders: every level, what is no level, thresholds and their neighbours, NaN."""
    rng = np.random.default_rng(0)
    borders = thresholds(model)
    columns: dict[str, Any] = {}
    for field in model.fields:
        if field.kind == "number":
            columns[field.name] = _numbers(rng, borders.get(field.first, np.empty(0)), rows)
        else:
            columns[field.name] = _texts(rng, field, rows)
    if model.offset_column is not None:
        columns[model.offset_column] = rng.normal(size=rows)
    return columns


def _numbers(rng: np.random.Generator, borders: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    near = [borders, np.nextafter(borders, np.inf), np.nextafter(borders, -np.inf)]
    pool = np.concatenate([*near, np.array(_NUMBERS), rng.normal(size=20), 100 * rng.normal(size=20)])
    values = rng.choice(pool, rows)
    values[rng.random(rows) < _MISSING_SHARE] = np.nan
    return values


def _texts(rng: np.random.Generator, field: Field, rows: int) -> NDArray[np.object_]:
    pool = [*field.values, *({_UNKNOWN} - field.values.keys())]
    found = np.array(pool, dtype=object)[rng.integers(0, len(pool), rows)]
    if "" not in field.values:
        found[rng.random(rows) < _MISSING_SHARE] = ""
    return found


def thresholds(model: MojoModel) -> dict[int, NDArray[np.float64]]:
    """Return by feature what trees compare it with."""
    scorer = model.scorer
    trees: Iterable[Tree] = ()
    if isinstance(scorer, GbmScorer | DrfScorer | IsolationForestScorer):
        trees = forests.forest_of(scorer.model).trees
    elif isinstance(scorer, XgboostScorer) and (forest := boosters.trees_of(scorer)) is not None:
        trees = forest.trees
    found: dict[int, list[NDArray[np.float64]]] = {}
    for tree in trees:
        compared = (tree.yes >= 0) & (tree.mode == LESS) & np.isfinite(tree.threshold)
        for feature in np.unique(tree.feature[compared]).tolist():
            found.setdefault(feature, []).append(tree.threshold[compared & (tree.feature == feature)])
    return {feature: np.unique(np.concatenate(values)) for feature, values in found.items()}
