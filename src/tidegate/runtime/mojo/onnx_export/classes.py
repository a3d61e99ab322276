"""Links, probabilities, calibration and labels in a graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo import link_kernel as links
from tidegate.runtime.mojo.calibration import Calibration, Platt
from tidegate.runtime.mojo.errors import MojoUnsupportedError
from tidegate.runtime.mojo.onnx_export.graph import Graph, Tensor


def inverse(graph: Graph, link: int, value: Tensor, power: float = 0.0) -> Tensor:
    """Return the mean for a value: `link_kernel.inverse`, operation by operation."""
    one = graph.constant(1.0)
    if link == links.IDENTITY:
        return value
    if link == links.LOGIT_CAPPED:
        return graph.op("Div", one, graph.op("Add", one, graph.capped_exp(graph.op("Neg", value))))
    if link == links.LOGIT:
        return graph.op("Div", one, graph.op("Add", graph.op("Exp", graph.op("Neg", value)), one))
    if link == links.LOG_CAPPED:
        return graph.capped_exp(value)
    if link == links.LOG:
        return graph.op("Exp", value)
    if link == links.OLOGLOG_CAPPED:
        return graph.op("Sub", one, graph.capped_exp(graph.op("Neg", graph.capped_exp(value))))
    if link == links.ZERO:
        return graph.filled(value, 0.0)
    if link == links.TWEEDIE:
        if power != 0.0:
            return graph.op("Pow", value, graph.constant(1.0 / power))
        found, least = graph.op("Exp", value), graph.constant(2e-16)
        return graph.op("Where", graph.op("Less", found, least), least, found)
    low = graph.constant(-1e-5)
    high = graph.constant(-1e-5 if link == links.INVERSE_GBM else 1e-5)
    below = graph.op("Where", graph.op("Less", value, low), value, low)
    above = graph.op("Where", graph.op("Less", value, high), high, value)
    negative = graph.op("Less", value, graph.constant(0.0))
    return graph.op("Div", one, graph.op("Where", negative, below, above))


def softmax(graph: Graph, values: Sequence[Tensor]) -> list[Tensor]:
    """Return probabilities; the sum is taken in the order of the classes."""
    largest = graph.op("Max", *values)
    parts = [graph.op("Exp", graph.op("Sub", value, largest)) for value in values]
    total = graph.total(parts)
    return [graph.op("Div", part, total) for part in parts]


def balanced(graph: Graph, shares: Sequence[Tensor], ratios: NDArray[np.float64]) -> list[Tensor]:
    """Return probabilities that were multiplied by their ratios and add up to 1 again; as they were without ratios."""
    if not len(ratios):
        return list(shares)
    return normalised(
        graph,
        [graph.op("Mul", share, graph.constant(ratio)) for share, ratio in zip(shares, ratios.tolist(), strict=True)],
    )


def normalised(graph: Graph, shares: Sequence[Tensor]) -> list[Tensor]:
    """Return shares of their sum, where that is above 0."""
    total = graph.total(shares)
    positive = graph.op("Greater", total, graph.constant(0.0))
    return [graph.op("Where", positive, graph.op("Div", share, total), share) for share in shares]


def label(
    graph: Graph, shares: Sequence[Tensor], texts: Sequence[str], threshold: float | None, refused: Tensor | None = None
) -> Tensor:
    """Return the text of the predicted class.

    Args:
        threshold: from which the second of two classes is predicted; None for the class with the largest share, the
            first of several.
        refused: rows for which H2O's scorer fails; they have no class (""). None for no such rows.
    """
    if threshold is not None:
        place = graph.cast(graph.op("GreaterOrEqual", shares[1], graph.constant(threshold)), np.int64)
    else:
        known = [graph.instead_of_nan(share, graph.constant(-1.0)) for share in shares]
        place = graph.op("ArgMax", graph.matrix(known), axis=1, keepdims=0)
    if refused is not None:
        place = graph.op("Where", refused, graph.constant(len(texts), np.int64), place)
    return graph.looked_up(np.array([*texts, ""], dtype=object), place)


def calibrated(graph: Graph, calibration: Calibration | None, p0: Tensor) -> list[Tensor]:
    """Return the calibrated probabilities of both classes; none without a calibration.

    Raises:
        MojoUnsupportedError: the calibration is isotonic.
    """
    if calibration is None:
        return []
    if not isinstance(calibration, Platt):
        raise MojoUnsupportedError(
            "a model with isotonic calibration cannot be exported to ONNX",
            hint="H2O searches its corners in a way that no operator has.",
        )
    slope, intercept = graph.constant(calibration.slope), graph.constant(calibration.intercept)
    p1 = inverse(graph, links.LOGIT, graph.op("Add", graph.op("Mul", slope, p0), intercept))
    return [graph.op("Sub", graph.constant(1.0), p1), p1]
