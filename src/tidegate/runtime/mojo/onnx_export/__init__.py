"""A MOJO as an ONNX graph in double precision: the inputs and outputs of its signature, by name, one column each.

Texts stay texts: the graph looks levels up itself. What is no level is a missing value, and so is NaN.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.runtime.mojo.load import load

if TYPE_CHECKING:
    from tidegate.runtime.mojo.onnx_export.check import Checked


def to_onnx(source: str | PathLike[str], target: str | PathLike[str]) -> Checked:
    """Write a MOJO as an ONNX file, after both scored the same rows.

    Raises:
        InvalidInput: the packages onnx and onnxruntime are missing, or the file cannot be written.
        MojoFormatError: see `load`.
        MojoUnsupportedError: see `load`; also for a model that no graph can be made of, and for one whose graph differs
            in a label, or by more than 1e-12 of a row's largest number. Nothing is written then.
    """
    model = load(source)
    from tidegate.runtime.mojo.onnx_export.export import write_graph

    return write_graph(model, Path(target))
