"""`tidegate mojo to-onnx`: the graph of a model, which is only handed out after it was compared with the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.mojo.deep_learning import ClassifierScorer
from tidegate.runtime.mojo.errors import MojoUnsupportedError
from tidegate.runtime.mojo.forests import DrfScorer, GbmScorer
from tidegate.runtime.mojo.load import MojoModel
from tidegate.runtime.mojo.onnx_export.boosters import xgboost
from tidegate.runtime.mojo.onnx_export.check import Checked, compare
from tidegate.runtime.mojo.onnx_export.distances import kmeans, pca
from tidegate.runtime.mojo.onnx_export.forests import drf, gbm, isolation_forest
from tidegate.runtime.mojo.onnx_export.graph import Graph
from tidegate.runtime.mojo.onnx_export.inputs import row_of
from tidegate.runtime.mojo.onnx_export.linear import glm
from tidegate.runtime.mojo.onnx_export.networks import deep_learning
from tidegate.runtime.mojo.xgboost import XgboostScorer

_EXPORTS: dict[str, Callable[..., list[str]]] = {
    "gbm": gbm,
    "drf": drf,
    "isolation_forest": isolation_forest,
    "xgboost": xgboost,
    "glm": glm,
    "deep_learning": deep_learning,
    "kmeans": kmeans,
    "pca": pca,
}
#: Relative to the largest number of a row's outputs.
TOLERANCE = 1e-12


def graph_of(model: MojoModel) -> bytes:
    """Return a model as an ONNX file.

    Raises:
        InvalidInput: the package onnx is missing.
        MojoUnsupportedError: the graph cannot have its numbers; the message says why.
    """
    header = model.header
    named = header.keys.text("algorithm")
    export = _EXPORTS.get(header.algorithm)
    if export is None:
        raise MojoUnsupportedError(
            f"models of {named} cannot be exported to ONNX",
            expected="GBM, DRF, isolation forest, XGBoost, GLM, deep learning, K-means or PCA",
        )
    names = [spec.name for spec in model.signature.inputs]
    if set(names) & set(model.outputs):
        both = sorted(set(names) & set(model.outputs))[0]
        raise MojoUnsupportedError(f"{both!r} is an input and an output, which an ONNX graph cannot have")
    graph = Graph()
    graph.reserve([*names, *model.outputs])
    labels = model.answers.labels
    tensors = export(graph, model.scorer, row_of(graph, model), labels or ())
    kinds: list[Any] = [{"BYTES": str, "INT64": int}.get(spec.datatype, float) for spec in model.signature.outputs]
    outputs = dict(zip(model.outputs, zip(tensors, kinds, strict=True), strict=True))
    facts = {
        "algorithm": named,
        "mojo_version": f"{header.version:.2f}",
        "uuid": header.keys.text("uuid", ""),
        "h2o_version": header.keys.text("h2o_version", ""),
    }
    return graph.model(outputs, facts, _told(model))


def write_graph(model: MojoModel, target: Path) -> Checked:
    """Write the graph of a model, after both scored the same rows.

    Raises:
        InvalidInput: the packages onnx and onnxruntime are missing, or the file cannot be written.
        MojoUnsupportedError: no graph can be made of the model, or the graph differs. Nothing is written then.
    """
    made = graph_of(model)
    found = compare(model, made)
    if not found.labels_agree or not found.worst <= TOLERANCE:
        labels = "" if found.labels_agree else ", and in labels"
        raise MojoUnsupportedError(
            f"the ONNX graph differs from the model: in {found.rows:,} rows by up to {found.worst:.3g} of a row's "
            f"largest number, in {found.output!r}{labels}; nothing was written",
            expected=f"{TOLERANCE:g} at most, and the same labels",
        )
    try:
        target.write_bytes(made)
    except OSError as error:
        raise InvalidInput(f"{target} cannot be written: {error.strerror}", subject=str(target)) from error
    return found


def _told(model: MojoModel) -> str:
    told = "Made of an H2O MOJO by Tidegate. A text that is no level is a missing value, and so is NaN."
    if (
        isinstance(model.scorer, GbmScorer | DrfScorer | XgboostScorer | ClassifierScorer)
        and model.header.n_classes > 2
    ):
        told += " Of classes with equal probabilities the first is predicted, where H2O draws one."
    return told
