"""Boosted trees, random forests and isolation forests in a graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo import forest_kernel
from tidegate.runtime.mojo.errors import MojoUnsupportedError
from tidegate.runtime.mojo.forest_model import ForestModel
from tidegate.runtime.mojo.forests import DrfScorer, GbmScorer, IsolationForestScorer
from tidegate.runtime.mojo.onnx_export.classes import balanced, calibrated, inverse, label, normalised, softmax
from tidegate.runtime.mojo.onnx_export.graph import Graph, Tensor
from tidegate.runtime.mojo.onnx_export.inputs import Row
from tidegate.runtime.mojo.tree_layout import FIRST_BITS, FIRST_MASK, MISSING_RIGHT, MOST, WORDS
from tidegate.runtime.trees import AT_MOST, LESS, MEMBER, Forest, Tree

#: The label's texts.
Texts = tuple[str, ...]


def gbm(graph: Graph, scorer: GbmScorer, row: Row, texts: Texts) -> list[Tensor]:
    form, link, start, ratios, _, threshold, classes = scorer._settings
    sums = class_sums(graph, scorer.model, row)

    def shifted(value: Tensor) -> Tensor:
        value = graph.op("Add", value, graph.constant(start))
        return value if row.offset is None else graph.op("Add", value, row.offset)

    if form == forest_kernel.REGRESSION:
        return [inverse(graph, link, shifted(sums[0]))]
    if form == forest_kernel.TWO_CLASSES:
        p1 = inverse(graph, link, shifted(sums[0]))
        shares = [graph.op("Sub", graph.constant(1.0), p1), p1]
    elif classes == 2:
        shift = graph.constant(start)
        value = graph.op("Add", sums[0], shift if row.offset is None else graph.op("Add", shift, row.offset))
        shares = softmax(graph, [value, graph.op("Neg", value)])
    else:
        shares = softmax(graph, sums)
    return _classes(graph, scorer, balanced(graph, shares, ratios), texts, threshold)


def drf(graph: Graph, scorer: DrfScorer, row: Row, texts: Texts) -> list[Tensor]:
    groups, form, ratios, _, threshold, _ = scorer._settings
    sums = class_sums(graph, scorer.model, row)
    if form == forest_kernel.MULTINOMIAL:
        shares = normalised(graph, sums)
    else:
        mean = graph.op("Div", sums[0], graph.constant(groups))
        if form == forest_kernel.REGRESSION:
            return [mean]
        shares = [mean, graph.op("Sub", graph.constant(1.0), mean)]
    return _classes(graph, scorer, balanced(graph, shares, ratios), texts, threshold)


def isolation_forest(graph: Graph, scorer: IsolationForestScorer, row: Row, texts: Texts) -> list[Tensor]:
    groups, shortest, longest, threshold, flagged = scorer._settings
    length = class_sums(graph, scorer.model, row)[0]
    if longest > shortest:
        most = graph.constant(longest)
        score = graph.op("Div", graph.op("Sub", most, length), graph.constant(longest - shortest))
    else:
        score = graph.filled(length, 1.0)
    mean = graph.op("Div", length, graph.constant(groups))
    if not flagged:
        return [score, mean]
    return [graph.cast(graph.op("Greater", score, graph.constant(threshold)), np.int64), score, mean]


def class_sums(graph: Graph, model: ForestModel, row: Row) -> list[Tensor]:
    """Return the sum of the leaves of each class, in the order of the trees."""
    forest = forest_of(model)
    first = row.columns[0]
    if not forest.trees:
        return [graph.filled(first, 0.0) for _ in range(model.forest.n_classes)]
    leaves = graph.trees(forest, graph.matrix(row.columns))
    sums = []
    for index in range(model.forest.n_classes):
        own = np.flatnonzero(model.forest.classes == index)
        if len(own):
            sums.append(graph.in_order(graph.op("Gather", leaves, graph.constant(own, np.int64), axis=1)))
        else:
            sums.append(graph.filled(first, 0.0))
    return sums


def forest_of(model: ForestModel) -> Forest:
    """Return the trees as the graph has them: each is a target of its own, so that the graph adds them up itself.

    Raises:
        MojoUnsupportedError: a number is looked up in a set.
    """
    forest = model.forest
    ends = [*forest.roots.tolist(), len(forest.nodes) // WORDS][1:]
    trees = [
        _tree(model, forest.nodes[begin * WORDS : end * WORDS].reshape(-1, WORDS), target)
        for target, (begin, end) in enumerate(zip(forest.roots.tolist(), ends, strict=True))
    ]
    return Forest(model.header.n_features, np.dtype(np.float64), trees, np.zeros(len(trees)))


def _tree(model: ForestModel, nodes: NDArray[np.int32], target: int) -> Tree:
    steps = nodes[:, 1].astype(np.int64)
    inner, place = steps != 0, np.arange(len(nodes))
    by_set = inner & (nodes[:, 3] != 0)
    feature = np.where(inner, model.forest.columns[nodes[:, 2]], 0)
    # The key of a number that is no NaN is made of its bits so, and these of it.
    bits = np.where(inner, nodes[:, 0] ^ (nodes[:, 0] >> 31 & MOST), nodes[:, 0])
    threshold = bits.astype(np.int32).view(np.float32).astype(np.float64)
    mode = np.full(len(nodes), LESS)
    # Nothing is below NaN, nor above: all numbers go left.
    everything = inner & ~by_set & np.isnan(threshold)
    mode[everything], threshold[everything] = AT_MOST, np.inf
    yes, no = np.where(inner, place + 1, -1), np.where(inner, place + steps, -1)
    missing_yes = model.forest.kinds[nodes[:, 2]] != MISSING_RIGHT
    members: dict[int, list[float]] = {}
    for node in np.flatnonzero(by_set).tolist():
        right = _goes_right(model, nodes[node], int(feature[node]))
        members[node] = np.flatnonzero(right[1:]).astype(np.float64).tolist()
        mode[node], threshold[node] = MEMBER, 0.0
        yes[node], no[node], missing_yes[node] = no[node], yes[node], right[0]
    return Tree(feature, threshold, mode, yes, no, missing_yes, members, target)  # type: ignore[arg-type]


def _goes_right(model: ForestModel, node: NDArray[np.int32], feature: int) -> NDArray[np.bool_]:
    """Return for each place, that of a missing value and those of the levels, whether it goes right."""
    domain = model.header.feature_domains[feature]
    if domain is None:
        raise MojoUnsupportedError(f"numbers are looked up in a set: {model.header.features[feature]!r}")
    places = np.arange(len(domain) + 1)
    begin = int(node[3])
    covered = int(model.forest.sets[begin].view(np.uint32))
    at, count = (places >> 5) - (covered & FIRST_MASK), covered >> FIRST_BITS
    words = model.forest.sets[begin + 1 + np.where((at >= 0) & (at < count), at, count)].astype(np.int64)
    right: NDArray[np.bool_] = (words >> (places & 31)) & 1 == 1
    return right


def _classes(
    graph: Graph, scorer: GbmScorer | DrfScorer, shares: list[Tensor], texts: Texts, threshold: float
) -> list[Tensor]:
    two = threshold if len(shares) == 2 else None
    more = calibrated(graph, scorer._classes._calibration, shares[0])
    return [label(graph, shares, texts, two), *shares, *more]
