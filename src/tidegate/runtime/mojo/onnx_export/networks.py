"""Neural networks in a graph."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo import deep_learning_kernel as kernels
from tidegate.runtime.mojo.deep_learning import ClassifierScorer, RegressionScorer
from tidegate.runtime.mojo.errors import MojoUnsupportedError
from tidegate.runtime.mojo.one_hot_kernel import slot_of
from tidegate.runtime.mojo.onnx_export.classes import balanced, inverse, label, softmax
from tidegate.runtime.mojo.onnx_export.graph import Graph, Tensor
from tidegate.runtime.mojo.onnx_export.inputs import Row
from tidegate.runtime.mojo.scorer import Scorer


def deep_learning(graph: Graph, scorer: Scorer, row: Row, texts: tuple[str, ...]) -> list[Tensor]:
    """Raises MojoUnsupportedError for an autoencoder."""
    if not isinstance(scorer, ClassifierScorer | RegressionScorer):
        raise MojoUnsupportedError("an autoencoder cannot be exported to ONNX")
    values = _run(graph, scorer, row)
    if isinstance(scorer, RegressionScorer):
        scaled, multiplier, shift, link = scorer._response
        value = graph.column(values, 0)
        if row.offset is not None:
            value = graph.op("Add", value, _offset(graph, row.offset, (multiplier, shift) if scaled else None))
        if scaled:
            value = graph.op("Div", value, graph.constant(multiplier))
            value = graph.op("Add", value, graph.constant(shift))
        return [inverse(graph, int(link), value)]
    ratios, _, threshold, classes = scorer._rule
    shares = balanced(graph, softmax(graph, [graph.column(values, place) for place in range(classes)]), ratios)
    refused = graph.op("IsNaN", graph.total(shares))
    return [label(graph, shares, texts, threshold if classes == 2 else None, refused), *shares]


def _offset(graph: Graph, offset: Tensor, scale: tuple[float, float] | None) -> Tensor:
    """Return what an offset adds to a standardised response: nothing where it is not above 0."""
    added = offset
    if scale is not None:
        added = graph.op("Mul", graph.op("Sub", offset, graph.constant(scale[1])), graph.constant(scale[0]))
    nothing = graph.constant(0.0)
    return graph.op("Where", graph.op("Greater", offset, nothing), added, nothing)


def _run(graph: Graph, scorer: ClassifierScorer | RegressionScorer, row: Row) -> Tensor:
    weights, biases, layers, keeps = scorer._arguments[3:]
    values: Tensor | None = None
    weight_at = bias_at = 0
    for layer, (inputs, outputs, channels, activation) in enumerate(layers.tolist()):
        size = outputs * channels
        own = weights[weight_at : weight_at + inputs * size].astype(np.float64).reshape(inputs, size)
        if not np.isfinite(own).all():
            raise MojoUnsupportedError("a weight of the network is not finite")
        bias = graph.constant(biases[bias_at : bias_at + size])
        weight_at, bias_at = weight_at + inputs * size, bias_at + size
        own_sum = _first(graph, scorer, row, own) if values is None else graph.op("MatMul", values, graph.constant(own))
        values = graph.op("Add", own_sum, bias)
        if channels > 1:
            apart = graph.op("Reshape", values, graph.constant([-1, outputs, channels], np.int64))
            values = graph.op("ReduceMax", apart, axes=[2], keepdims=0)
        values = _activated(graph, activation, values)
        if keeps[layer] != 1.0:
            values = graph.op("Mul", values, graph.constant(keeps[layer]))
    if values is None:
        raise MojoUnsupportedError("a network without layers")
    return values


def _first(graph: Graph, scorer: ClassifierScorer | RegressionScorer, row: Row, weights: NDArray[np.float64]) -> Tensor:
    """Return the sums of the first layer: the weights of each level, and those of the numbers times these."""
    offsets, first_level, scales = scorer._arguments[:3]
    cats, parts = len(offsets) - 1, []
    for index, (begin, end) in enumerate(pairwise(offsets.tolist())):
        levels = len(scorer.header.feature_domains[index] or ())
        slots = [slot_of(float(value), begin, end, first_level) for value in (*range(levels), np.nan)]
        # The last row is that of a level without a place.
        table = np.vstack([weights, np.zeros((1, weights.shape[1]))])[np.array(slots, dtype=np.int64)]
        parts.append(graph.looked_up(table, graph.places(row.columns[index], levels)))
    numbers = []
    for index, (shift, scale) in enumerate(scales.tolist()):
        given = row.columns[cats + index]
        value = graph.op("Mul", graph.op("Sub", given, graph.constant(shift)), graph.constant(scale))
        numbers.append(graph.op("Where", graph.op("IsNaN", given), graph.constant(0.0), value))
    if numbers:
        own = np.ascontiguousarray(weights[int(offsets[-1]) :])
        parts.append(graph.op("MatMul", graph.matrix(numbers), graph.constant(own)))
    return graph.total(parts)


def _activated(graph: Graph, kind: int, z: Tensor) -> Tensor:
    one = graph.constant(1.0)
    if kind == kernels.RECTIFIER:
        return graph.op("Mul", graph.constant(0.5), graph.op("Add", z, graph.op("Abs", z)))
    if kind == kernels.TANH:
        two = graph.constant(2.0)
        grown = graph.op("Add", one, graph.op("Exp", graph.op("Mul", two, z)))
        return graph.op("Sub", one, graph.op("Div", two, grown))
    if kind == kernels.EXP_RECTIFIER:
        positive = graph.op("GreaterOrEqual", z, graph.constant(0.0))
        return graph.op("Where", positive, z, graph.op("Sub", graph.op("Exp", z), one))
    return z
