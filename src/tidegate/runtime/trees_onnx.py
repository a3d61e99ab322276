"""A forest as an ONNX graph of one node, `TreeEnsemble` of the domain `ai.onnx.ml`, version 5.

Written by hand in the protobuf wire format, so that the package `onnx` is not needed to serve. The numbers of the
fields are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto; the attributes are described at
https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tidegate.runtime.base import Array
from tidegate.runtime.trees import AT_MOST, MEMBER, Forest, Tree, with_base

#: Names of the graph's input and output.
INPUT, OUTPUT = "x", "y"

_IR_VERSION, _OPSET = 9, 5
_DOMAIN = "ai.onnx.ml"
_ELEMENTS = {np.dtype(np.float32): 1, np.dtype(np.uint8): 2, np.dtype(np.float64): 11}
_INT, _TENSOR, _INTS = 2, 4, 7  # AttributeProto.AttributeType
_SUM, _AS_IT_IS = 1, 0
_OCTETS = 5


def graph_of_sums(forest: Forest) -> bytes:
    """Return the graph that answers the sums of the leaves, shape [rows, targets]."""
    trees = with_base(forest)
    values = [tree.threshold for tree in trees]
    return _model(forest, trees, values, [tree.target for tree in trees], forest.targets)


def graph_of_leaves(forest: Forest) -> bytes:
    """Return the graph that answers which node each tree ends in, as whole numbers of `dtype`, shape [rows, trees]."""
    return _model(
        forest, forest.trees, [np.arange(len(tree.yes)) for tree in forest.trees], range(len(forest.trees)),
        len(forest.trees),
    )  # fmt: skip


def _model(forest: Forest, trees: Sequence[Tree], values: Sequence[Array], targets: Iterable[int], width: int) -> bytes:
    roots, parts, weights, leaf_targets = [], [], [], []
    members: list[Sequence[float]] = []
    nodes_before = leaves_before = 0
    for tree, value, target in zip(trees, values, targets, strict=True):
        is_inner = tree.yes >= 0
        inner, leaves = np.flatnonzero(is_inner), np.flatnonzero(~is_inner)
        # Nodes and leaves are counted apart in the graph, each through all trees.
        place = np.empty(len(is_inner), dtype=np.int64)
        place[inner] = np.arange(len(inner)) + nodes_before
        place[leaves] = np.arange(len(leaves)) + leaves_before
        yes, no = tree.yes[inner], tree.no[inner]
        mode, threshold = tree.mode[inner], tree.threshold[inner]
        if tree.members:
            sets = [tree.members[node] if tree.mode[node] == MEMBER else None for node in inner.tolist()]
            members += [own for own in sets if own]
            # ONNX Runtime refuses empty sets; no number is below this threshold either.
            is_empty = np.array([own is not None and not own for own in sets])
            mode, threshold = np.where(is_empty, AT_MOST, mode), np.where(is_empty, -np.inf, threshold)
        parts.append(
            (tree.feature[inner], threshold, mode, place[yes], place[no], ~is_inner[yes], ~is_inner[no],
             tree.missing_yes[inner])
        )  # fmt: skip
        roots.append(nodes_before)
        weights.append(value[leaves])
        leaf_targets.append(np.full(len(leaves), target))
        nodes_before += len(inner)
        leaves_before += len(leaves)
    feature, splits, modes, yes, no, yes_leaf, no_leaf, missing = (
        np.concatenate(part) for part in zip(*parts, strict=True)
    )
    attributes = [
        _whole("n_targets", width),
        _whole("aggregate_function", _SUM),
        _whole("post_transform", _AS_IT_IS),
        _wholes("tree_roots", np.array(roots)),
        _wholes("nodes_featureids", feature),
        _tensor("nodes_splits", splits.astype(forest.dtype)),
        _tensor("nodes_modes", modes.astype(np.uint8)),
        _wholes("nodes_truenodeids", yes),
        _wholes("nodes_falsenodeids", no),
        _wholes("nodes_trueleafs", yes_leaf),
        _wholes("nodes_falseleafs", no_leaf),
        _wholes("nodes_missing_value_tracks_true", missing),
        _wholes("leaf_targetids", np.concatenate(leaf_targets)),
        _tensor("leaf_weights", np.concatenate(weights).astype(forest.dtype)),
    ]
    if members:
        apart = np.concatenate([np.array([*own, np.nan], dtype=forest.dtype) for own in members])
        attributes.append(_tensor("membership_values", apart))
    node = [_text(1, INPUT), _text(2, OUTPUT), _text(4, "TreeEnsemble"), _text(7, _DOMAIN)]
    node += [_field(5, attribute) for attribute in attributes]
    element = _ELEMENTS[forest.dtype]
    graph = [
        _field(1, b"".join(node)),
        _text(2, "trees"),
        _field(11, _port(INPUT, element, forest.width)),
        _field(12, _port(OUTPUT, element, width)),
    ]
    opset = _text(1, _DOMAIN) + _number(2, _OPSET)
    return b"".join([_number(1, _IR_VERSION), _field(7, b"".join(graph)), _field(8, opset)])


def _port(name: str, element: int, width: int) -> bytes:
    shape = _field(1, _text(2, "rows")) + _field(1, _number(1, width))
    kind = _field(1, _number(1, element) + _field(2, shape))
    return _text(1, name) + _field(2, kind)


def _whole(name: str, value: int) -> bytes:
    return _text(1, name) + _number(3, value) + _number(20, _INT)


def _wholes(name: str, values: Array) -> bytes:
    return _text(1, name) + _field(8, _varints(values)) + _number(20, _INTS)


def _tensor(name: str, values: Array) -> bytes:
    content = _number(1, len(values)) + _number(2, _ELEMENTS[values.dtype]) + _text(8, name)
    return _text(1, name) + _field(5, content + _field(9, values.tobytes())) + _number(20, _TENSOR)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _field(field, value.encode())


def _field(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varints(values: Array) -> bytes:
    """Return whole numbers from 0 to 2**35 - 1, packed."""
    left = values.astype(np.uint64)
    octets = np.empty((len(left), _OCTETS), dtype=np.uint8)
    used = np.zeros(octets.shape, dtype=bool)
    used[:, 0] = True
    for place in range(_OCTETS):
        octets[:, place] = left & 127
        left = left >> np.uint64(7)
        if place + 1 < _OCTETS:
            used[:, place + 1] = left > 0
            octets[:, place] |= (left > 0).astype(np.uint8) << 7
    return octets[used].tobytes()


def _varint(value: int) -> bytes:
    if value < 128:
        return bytes((value,))
    octets = bytearray()
    while value > 127:
        octets.append(value & 127 | 128)
        value >>= 7
    octets.append(value)
    return bytes(octets)
