"""Forests on ONNX Runtime: one call of compiled code from a matrix to sums, which for few rows beats every framework.

What the frameworks' own `predict` spends on one row goes into checking arguments and setting up threads. The engine
adds the same leaves in the same order in the same precision, and is only ever used after it was compared with the
framework. It runs on the thread that asks, without the interpreter's lock, and any number of threads may ask at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Array
from tidegate.runtime.frameworks import import_framework
from tidegate.runtime.trees import DiffersError, Forest, NotCoveredError, probe_matrix
from tidegate.runtime.trees_onnx import INPUT, OUTPUT, graph_of_leaves, graph_of_sums

#: What the answer of an engine may differ from the framework's own, absolutely below 1 and relatively above.
TOLERANCE = 1e-6
#: Rows that an engine is tried on while a model loads.
PROBE_ROWS = 256

#: The engine holds the trees a second time: so many nodes take about 0.4 GB and 2 s while the model loads.
_MAX_NODES = 1_000_000
#: protobuf, in which the graph is handed over, ends at 2 GiB.
_MAX_GRAPH_BYTES = (1 << 31) - 1

log = logging.getLogger("tidegate.runtime")

Made = TypeVar("Made")
Scores = Callable[[Array], Array]


def sums_engine(forest: Forest) -> Scores:
    """Return a function from a matrix of `forest.dtype`, shape [rows, width], C order, to sums, shape [rows, targets].

    Raises:
        NotCoveredError: ONNX Runtime is not installed, or cannot run this forest.
    """
    return _session(forest, graph_of_sums)


def leaves_engine(forest: Forest) -> Scores:
    """Return a function from a matrix as for `sums_engine` to the node that each tree ends in, shape [rows, trees].

    The answer has the forest's dtype and holds whole numbers.

    Raises:
        NotCoveredError: as for `sums_engine`, or a tree has more nodes than the dtype can count.
    """
    if any(len(tree.yes) >= 1 << 24 for tree in forest.trees):
        raise NotCoveredError("a tree has more than 16 million nodes")
    if any(tree.yes[0] < 0 for tree in forest.trees):
        raise NotCoveredError("a tree has no split")
    return _session(forest, graph_of_leaves)


def require_fit(nodes: int) -> None:
    """Say whether so many nodes may stand in memory a second time.

    Raises:
        NotCoveredError: they may not.
    """
    if nodes > _MAX_NODES:
        raise NotCoveredError(f"the trees have more than {_MAX_NODES:,} nodes")


def _session(forest: Forest, graph: Callable[[Forest], bytes]) -> Scores:
    if not forest.trees:
        raise NotCoveredError("there are no trees")
    require_fit(sum(len(tree.yes) for tree in forest.trees))
    try:
        runtime: Any = import_framework("onnxruntime", extra="onnx", what="The fast engine for trees")
    except InvalidInput as error:
        raise NotCoveredError(error.message) from error
    options = runtime.SessionOptions()
    # Few rows are never worth a second thread; it would change the order of the sums, too.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    document = graph(forest)
    if len(document) > _MAX_GRAPH_BYTES:
        raise NotCoveredError("the trees take more than 2 GiB")
    try:
        session = runtime.InferenceSession(document, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # Its errors have no common class: each release adds to `onnxruntime.capi`.
        reason = " ".join(str(error).split())[:200]
        raise NotCoveredError(f"ONNX Runtime {runtime.__version__} does not take the trees: {reason}") from error
    run, outputs = session.run, [OUTPUT]

    def scores(matrix: Array) -> Array:
        answer: Array = run(outputs, {INPUT: matrix})[0]
        return answer

    return scores


def or_none(make: Callable[[], Made], what: str) -> Made | None:
    """Return what `make` returns; when the engine is not for this model, None, and say so in the log.

    Args:
        what: the model, the subject of the sentence in the log, e.g. "The XGBoost model".
    """
    try:
        return make()
    except DiffersError as error:
        log.warning("%s runs on its framework's own predict, not on the fast engine: %s.", what, error)
    except NotCoveredError as error:
        log.info("%s runs on its framework's own predict, not on the fast engine: %s.", what, error)
    return None


def require_equal(
    engine: Callable[[Array], Array], own: Callable[[Array], Array], forest: Forest, *, unknown: bool = True
) -> None:
    """Compare an engine with the framework's own answers on rows made for the forest: all at once, and one by one.

    Args:
        engine, own: from a float64 matrix, shape [rows, width], to numbers, the rows first.
        unknown: whether to try codes that no tree knows.

    Raises:
        DiffersError: they differ by more than `TOLERANCE`.
    """
    probe = probe_matrix(forest, PROBE_ROWS, unknown=unknown)
    expected = np.asarray(own(probe))
    require_close(np.asarray(engine(probe)), expected)
    for row in range(0, PROBE_ROWS, 16):
        require_close(np.asarray(engine(probe[row : row + 1])), expected[row : row + 1])


def require_close(got: Array, expected: Array) -> None:
    """Compare two answers.

    Raises:
        DiffersError: they differ by more than `TOLERANCE`.
    """
    if got.shape != expected.shape:
        raise DiffersError(f"its answer has the shape {list(got.shape)} in place of {list(expected.shape)}")
    if not is_close(got, expected):
        gap = float(np.nanmax(np.abs(got - expected)))
        raise DiffersError(f"its answers differ from the framework's own by up to {gap:.3g}")


def is_close(got: Array, expected: Array) -> bool:
    """Whether numbers are equal within `TOLERANCE`; NaN and infinities only when they are the same."""
    with np.errstate(invalid="ignore"):
        near = np.abs(got - expected) <= TOLERANCE * np.maximum(1.0, np.abs(expected))
    near &= np.isfinite(expected)
    return bool((near | (got == expected) | (np.isnan(got) & np.isnan(expected))).all())
