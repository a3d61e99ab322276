"""Running an ONNX graph, for the runtimes whose models are one or were made into one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Array
from tidegate.runtime.frameworks import import_framework, limit_threads


def open_session(path: Path, threads: int) -> Any:
    """Return an `onnxruntime.InferenceSession` on the CPU.

    Args:
        path: the graph.
        threads: threads that one run may use.

    Raises:
        InvalidInput: ONNX Runtime is not installed, or cannot load the graph.
    """
    limit_threads(threads)
    onnxruntime: Any = import_framework("onnxruntime", extra="onnx", what="An ONNX model")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that spin between requests would take a core each from the other replicas.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InvalidInput(
            f"ONNX Runtime {onnxruntime.__version__} cannot load {path.name}: {short(error)}",
            subject=str(path),
            hint="Export it for an older opset, or hand over the folder when the weights lie in a file beside it.",
        ) from error


def short(error: Exception) -> str:
    """Return the text of a framework's error on one line, cut at 400 characters."""
    return " ".join(str(error).split())[:400]


class OnnxGraph:
    """A graph as a function from arrays by input name to arrays by output name.

    Args:
        path, threads: as in `open_session`.
    """

    def __init__(self, path: Path, threads: int) -> None:
        self._session = open_session(path, threads)
        self.inputs = [str(node.name) for node in self._session.get_inputs()]
        self.outputs = [str(node.name) for node in self._session.get_outputs()]

    def __call__(self, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        return dict(zip(self.outputs, self._session.run(self.outputs, dict(feeds)), strict=True))
