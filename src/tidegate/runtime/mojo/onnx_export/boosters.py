"""Trees of XGBoost in a graph: float32, as they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo import xgboost_kernel
from tidegate.runtime.mojo.errors import MojoUnsupportedError
from tidegate.runtime.mojo.one_hot_kernel import slot_of
from tidegate.runtime.mojo.onnx_export.classes import calibrated, label
from tidegate.runtime.mojo.onnx_export.graph import Graph, Tensor
from tidegate.runtime.mojo.onnx_export.inputs import Row
from tidegate.runtime.mojo.xgboost import XgboostScorer
from tidegate.runtime.mojo.xgboost_layout import Layout
from tidegate.runtime.mojo.xgboost_nodes import MISSING_KEY
from tidegate.runtime.trees import LESS, Forest, Tree

#: `nodes_modes` of the operator for equality.
_SAME = 4


def xgboost(graph: Graph, scorer: XgboostScorer, row: Row, texts: tuple[str, ...]) -> list[Tensor]:
    """Raises MojoUnsupportedError for a linear booster."""
    forest = trees_of(scorer)
    if forest is None:
        raise MojoUnsupportedError("a linear booster (gblinear) of XGBoost cannot be exported to ONNX")
    kind, _, _, threshold, classes = scorer._model[7:]
    margins = _margins(graph, scorer, forest, row, graph.matrix(_columns(graph, scorer, row)))
    outputs = [graph.cast(value, np.float64) for value in _transformed(graph, int(kind), margins, int(classes))]
    if classes == 1:
        return outputs
    named = label(graph, outputs, texts, float(threshold) if classes == 2 else None)
    return [named, *outputs, *calibrated(graph, scorer._calibration, outputs[0])]


def _columns(graph: Graph, scorer: XgboostScorer, row: Row) -> list[Tensor]:
    """Return what the trees look at: the place of each categorical, and the numbers."""
    offsets, first_level, nums, sparse = scorer._model[:4]
    cats = len(offsets) - 1
    columns = []
    for index in range(cats):
        levels = len(scorer.header.feature_domains[index] or ())
        places = [slot_of(value, offsets[index], offsets[index + 1], first_level) for value in (*range(levels), np.nan)]
        codes = graph.places(row.columns[index], levels)
        columns.append(graph.looked_up(np.array(places, dtype=np.float32), codes))
    nan = graph.constant(np.nan, np.float32)
    for column in row.columns[cats : cats + nums]:
        number = graph.cast(column, np.float32)
        if sparse:
            number = graph.op("Where", graph.op("Equal", number, graph.constant(0.0, np.float32)), nan, number)
        columns.append(number)
    return columns


def _margins(graph: Graph, scorer: XgboostScorer, forest: Forest, row: Row, x: Tensor) -> list[Tensor]:
    count, base, base_first = scorer._model[4:7]
    groups = np.zeros(0) if scorer.layout is None else scorer.layout.trees[:, 1]
    if scorer._takes_offset and row.offset is not None:
        first = graph.cast(row.offset, np.float32)
    else:
        value = 0.0 if scorer._takes_offset else base
        first = graph.cast(graph.filled(row.columns[0], value), np.float32)
    leaves = graph.trees(forest, x) if forest.trees else None
    margins = []
    for group in range(count):
        own = np.flatnonzero(groups == group)
        if not len(own) or leaves is None:
            margins.append(first)
            continue
        values = graph.op("Gather", leaves, graph.constant(own, np.int64), axis=1)
        if base_first:
            begin = graph.op("Unsqueeze", first, graph.constant([1], np.int64))
            margins.append(graph.in_order(graph.op("Concat", begin, values, axis=1)))
        else:
            margins.append(graph.op("Add", graph.in_order(values), first))
    return margins


def trees_of(scorer: XgboostScorer) -> Forest | None:
    """Return the trees of a scorer; None for a linear booster."""
    offsets, _, nums = scorer._model[:3]
    cats = len(offsets) - 1
    return None if scorer.layout is None else forest_of(scorer.layout, cats, cats + nums)


def forest_of(layout: Layout, cats: int, width: int) -> Forest:
    """Return the trees as the graph has them, each a target of its own.

    Args:
        cats: columns of places of categoricals, before those of numbers.
        width: columns.
    """
    trees = _linked(layout.nodes, layout.trees, cats) if layout.depth < 0 else _complete(layout, cats, width)
    return Forest(width, np.dtype(np.float32), trees, np.zeros(len(trees)))


def _complete(layout: Layout, cats: int, width: int) -> list[Tree]:
    """Return complete trees without what they were filled up with."""
    size, nothing = 1 << layout.depth, 2 * width - cats
    made = []
    for target, (tests, leaves) in enumerate(zip(layout.tests, layout.leaves, strict=True)):
        asked, slot = tests[:, 0], tests[:, 1].astype(np.int64)
        inner = np.zeros(2 * size, dtype=np.bool_)
        inner[1:size] = slot[1:] != nothing
        there = np.zeros(2 * size, dtype=np.bool_)
        there[1] = True
        value = np.zeros(2 * size)
        value[size:] = leaves
        for level in range(layout.depth):
            places = np.arange(1 << level, 2 << level)
            there[2 * places] = there[2 * places + 1] = there[places] & inner[places]
            # The first leaf below; of one that was filled up all are the same.
            value[places] = leaves[(places << (layout.depth - level)) - size]
        place = np.flatnonzero(there)
        number = np.cumsum(there) - 1
        own = inner[place]
        within = np.where(own, place, 1) % size
        column = np.where(slot[within] < cats, slot[within], cats + (slot[within] - cats) // 2)
        is_level = own & (column < cats)
        threshold = np.where(is_level, asked[within], numbers_of(asked[within]))
        first, second = number[(2 * place) % (2 * size)], number[(2 * place + 1) % (2 * size)]
        made.append(
            Tree(
                feature=np.where(own, column, 0),
                threshold=np.where(own, threshold, value[place]),
                mode=np.where(is_level, _SAME, LESS),
                yes=np.where(own, np.where(is_level, second, first), -1),
                no=np.where(own, np.where(is_level, first, second), -1),
                missing_yes=own & ~is_level & ((slot[within] - cats) % 2 == 1),
                members={},
                target=target,
            )
        )
    return made


def _linked(nodes: NDArray[np.void], trees: NDArray[np.int32], cats: int) -> list[Tree]:
    ends = [*trees[:, 0].tolist(), len(nodes)][1:]
    made = []
    for target, (begin, end) in enumerate(zip(trees[:, 0].tolist(), ends, strict=True)):
        own = nodes[begin:end]
        place = np.arange(begin, end)
        left = own["left"].astype(np.int64)
        inner = left != place - 1
        is_level = inner & (own["column"] < cats) & (own["span"] > 0)
        missing_yes = inner & ~is_level & (own["low"] == MISSING_KEY)
        threshold = np.where(is_level, own["low"], numbers_of(own["span"] - missing_yes.astype(np.uint32)))
        threshold[~inner] = own["low"].view(np.float32)[~inner]
        made.append(
            Tree(
                feature=own["column"].astype(np.int64),
                threshold=threshold,
                mode=np.where(is_level, _SAME, LESS),
                yes=np.where(inner, left - begin, -1),
                no=np.where(inner, left + 1 - begin, -1),
                missing_yes=missing_yes,
                members={},
                target=target,
            )
        )
    return made


def numbers_of(keys: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Return the float32 that has each key, see `xgboost_nodes`; for 0 negative infinity, which nothing is below."""
    bits = np.where(keys >> 31 == 1, keys ^ np.uint32(1 << 31), ~keys).astype(np.uint32)
    return np.where(keys == 0, -np.inf, bits.view(np.float32).astype(np.float64))


def _transformed(graph: Graph, kind: int, margins: list[Tensor], classes: int) -> list[Tensor]:
    """Return what margins mean, float32: the value, or the probabilities."""
    one = graph.constant(1.0, np.float32)

    def exp(value: Tensor) -> Tensor:
        return graph.cast(graph.op("Exp", graph.cast(value, np.float64)), np.float32)

    if kind == xgboost_kernel.SOFTMAX:
        largest = graph.op("Max", *margins)
        parts = [exp(graph.op("Sub", margin, largest)) for margin in margins]
        total = graph.cast(graph.total([graph.cast(part, np.float64) for part in parts]), np.float32)
        return [graph.op("Div", part, total) for part in parts]
    value = margins[0]
    if kind == xgboost_kernel.LOGISTIC:
        value = graph.op("Div", one, graph.op("Add", one, exp(graph.op("Neg", value))))
    elif kind == xgboost_kernel.EXPONENTIAL:
        value = exp(value)
    return [value] if classes == 1 else [graph.op("Sub", one, value), value]
