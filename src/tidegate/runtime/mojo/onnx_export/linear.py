"""Linear models in a graph: coefficients are added up in H2O's order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.errors import MojoUnsupportedError
from tidegate.runtime.mojo.glm import Columns, MeanModel, MultinomialModel
from tidegate.runtime.mojo.linear_kernel import TWO_CLASSES
from tidegate.runtime.mojo.onnx_export.classes import inverse, label
from tidegate.runtime.mojo.onnx_export.graph import Graph, Tensor
from tidegate.runtime.mojo.onnx_export.inputs import Row
from tidegate.runtime.mojo.scorer import Scorer


def glm(graph: Graph, scorer: Scorer, row: Row, texts: tuple[str, ...]) -> list[Tensor]:
    """Raises MojoUnsupportedError for an ordinal model."""
    if isinstance(scorer, MeanModel):
        beta, link, power, form, threshold = scorer._model[4:]
        value = _predictor(graph, scorer, scorer._columns, beta, row)
        if row.offset is not None:
            value = graph.op("Add", value, row.offset)
        mean = inverse(graph, link, value, power)
        if form != TWO_CLASSES:
            return [mean]
        shares = [graph.op("Sub", graph.constant(1.0), mean), mean]
        return [label(graph, shares, texts, threshold, _refused(graph, scorer._columns, row)), *shares]
    if isinstance(scorer, MultinomialModel):
        beta = scorer._model[4]
        values = [
            _predictor(graph, scorer, scorer._columns, np.ascontiguousarray(beta[:, index]), row)
            for index in range(beta.shape[1])
        ]
        # The maximum starts at 0.
        largest = graph.op("Max", graph.constant(0.0), *values)
        parts = [graph.op("Exp", graph.op("Sub", value, largest)) for value in values]
        share = graph.op("Div", graph.constant(1.0), graph.total(parts))
        shares = [graph.op("Mul", part, share) for part in parts]
        return [label(graph, shares, texts, None, _refused(graph, scorer._columns, row)), *shares]
    raise MojoUnsupportedError("an ordinal model cannot be exported to ONNX")


def _refused(graph: Graph, columns: Columns, row: Row) -> Tensor | None:
    """Return the rows with a missing level that is not filled in; None for no such rows."""
    if columns.filled or not columns.cats:
        return None
    return graph.op("IsNaN", graph.total(row.columns[: columns.cats]))


def _predictor(graph: Graph, scorer: Scorer, columns: Columns, beta: NDArray[np.float64], row: Row) -> Tensor:
    terms = []
    for index in range(columns.cats):
        domain = scorer.header.feature_domains[index]
        if domain is None:
            raise MojoUnsupportedError(f"the level of a number: {scorer.header.features[index]!r}")
        table = np.array([_coefficient(columns, beta, index, code) for code in range(len(domain))])
        missing = _coefficient(columns, beta, index, int(columns.cat_fill[index])) if columns.filled else np.nan
        codes = graph.places(row.columns[index], len(domain))
        terms.append(graph.looked_up(np.append(table, missing), codes))
    start = int(columns.offsets[-1])
    for index, fill in enumerate(columns.num_fill.tolist()):
        value = graph.instead_of_nan(row.columns[columns.cats + index], graph.constant(fill))
        terms.append(graph.op("Mul", graph.constant(beta[start + index]), value))
    terms.append(graph.filled(row.columns[0], float(beta[-1])))
    return graph.in_order(graph.matrix(terms))


def _coefficient(columns: Columns, beta: NDArray[np.float64], index: int, code: int) -> float:
    place = int(columns.offsets[index]) + code - columns.first_level
    return float(beta[place]) if columns.offsets[index] <= place < columns.offsets[index + 1] else 0.0
