"""K-means and principal components in a graph."""

from __future__ import annotations

import numpy as np

from tidegate.runtime.mojo.kmeans import KMeans
from tidegate.runtime.mojo.onnx_export.graph import Graph, Tensor
from tidegate.runtime.mojo.onnx_export.inputs import Row
from tidegate.runtime.mojo.pca import Pca

_LARGEST = float(np.finfo(np.float64).max)


def kmeans(graph: Graph, scorer: KMeans, row: Row, texts: tuple[str, ...]) -> list[Tensor]:
    filled = [
        graph.instead_of_nan(column, graph.constant(fill))
        for column, fill in zip(row.columns, scorer.fill.tolist(), strict=True)
    ]
    point = graph.op("Sub", graph.matrix(filled), graph.constant(scorer.shift))
    point = graph.op("Mul", point, graph.constant(scorer.scale))
    missing = graph.op("IsNaN", point)
    width = len(scorer.fill)
    given = graph.cast(graph.op("Not", missing), np.float64)
    valid = graph.op("ReduceSum", given, graph.constant([1], np.int64), keepdims=0)
    some = graph.op(
        "And", graph.op("Greater", valid, graph.constant(0.0)), graph.op("Less", valid, graph.constant(float(width)))
    )
    zero, categorical = graph.constant(0.0), graph.constant(scorer.categorical, np.bool_)
    distances = []
    for center in scorer.centers:
        difference = graph.op("Sub", graph.constant(center), point)
        other = graph.cast(graph.op("Not", graph.op("Equal", point, graph.constant(center))), np.float64)
        term = graph.op("Where", categorical, other, graph.op("Mul", difference, difference))
        total = graph.in_order(graph.op("Where", missing, zero, term))
        grown = graph.op("Mul", total, graph.op("Div", graph.constant(float(width)), valid))
        total = graph.op("Where", some, grown, total)
        # A distance that is none, or infinite, is not the least.
        distances.append(
            graph.op("Where", graph.op("Less", total, graph.constant(_LARGEST)), total, graph.constant(np.inf))
        )
    nearest = graph.op("ArgMin", graph.matrix(distances), axis=1, keepdims=0)
    none = graph.op("IsInf", graph.op("Min", *distances))
    return [graph.op("Where", none, graph.constant(-1, np.int64), nearest)]


def pca(graph: Graph, scorer: Pca, row: Row, texts: tuple[str, ...]) -> list[Tensor]:
    cats = len(scorer.offsets) - 1
    terms = []
    for index in range(cats):
        feature = int(scorer.permutation[index])
        levels = len(scorer.header.feature_domains[feature] or ())
        begin, end = scorer.offsets[index : index + 2].tolist()
        table = np.zeros((levels + 1, scorer.eigenvectors.shape[1]))
        for code in range(levels):
            place = code - scorer.first_level
            if 0 <= place < end - begin:
                table[code] = scorer.eigenvectors[begin + place]
        terms.append(graph.looked_up(table, graph.places(row.columns[feature], levels)))
    axis = graph.constant([1], np.int64)
    for index, (shift, scale) in enumerate(zip(scorer.shift.tolist(), scorer.scale.tolist(), strict=True)):
        column = row.columns[int(scorer.permutation[cats + index])]
        value = graph.op("Mul", graph.op("Sub", column, graph.constant(shift)), graph.constant(scale))
        vector = graph.constant(scorer.eigenvectors[int(scorer.offsets[-1]) + index])
        terms.append(graph.op("Mul", graph.op("Unsqueeze", value, axis), vector))
    components = graph.total(terms)
    return [graph.column(components, place) for place in range(scorer.eigenvectors.shape[1])]
