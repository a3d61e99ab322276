"""The graph's inputs, and from them the numeric row, as `rows` makes it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tidegate.runtime.mojo.encodings import Field
from tidegate.runtime.mojo.errors import MojoUnsupportedError
from tidegate.runtime.mojo.load import MojoModel
from tidegate.runtime.mojo.onnx_export.graph import Graph, Tensor


@dataclass(frozen=True)
class Row:
    """The numeric row.

    Attributes:
        columns: one tensor per feature, double, NaN where it is missing.
        offset: None for a model without.
    """

    columns: tuple[Tensor, ...]
    offset: Tensor | None


def row_of(graph: Graph, model: MojoModel) -> Row:
    """Add the inputs of a model, in the order of its signature.

    Raises:
        MojoUnsupportedError: it has none, so that there would be no rows to count.
    """
    if not model.fields:
        raise MojoUnsupportedError("a model without inputs cannot be exported to ONNX")
    columns: dict[int, Tensor] = {}
    for field in model.fields:
        given = graph.input(field.name, float if field.kind == "number" else str)
        for place, tensor in enumerate(_columns(graph, field, given)):
            columns[field.first + place] = tensor
    first = next(iter(columns.values()))
    for place in range(model.header.n_features):
        if place not in columns:
            columns[place] = graph.filled(first, math.nan)
    offset = None if model.offset_column is None else graph.input(model.offset_column, float)
    return Row(tuple(columns[place] for place in sorted(columns)), offset)


def _columns(graph: Graph, field: Field, given: Tensor) -> list[Tensor]:
    if field.kind == "number":
        return [given]
    if field.kind == "value":
        return [graph.encoded(given, field.values, math.nan)]
    # The last row of the table is that of what is no level.
    levels = len(field.levels or ())
    places = graph.places(graph.encoded(given, field.values, math.nan), levels)
    table = np.zeros((levels + 1, field.width))
    if field.kind == "one_hot":
        table[np.arange(levels), np.arange(levels)] = 1.0
        table[levels, field.width - 1] = 1.0
        return [graph.looked_up(np.ascontiguousarray(table[:, slot]), places) for slot in range(field.width)]
    for code in range(levels):
        table[code] = [(code + 1) >> bit & 1 for bit in range(field.width)]
    return [graph.looked_up(np.ascontiguousarray(table[:, slot]), places) for slot in range(field.width)]
