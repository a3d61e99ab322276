"""ONNX: any graph that ONNX Runtime can run, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import (
    Array,
    ArtifactFiles,
    Columns,
    Datatype,
    LoadOptions,
    Model,
    Recognition,
    Signature,
    TensorSpec,
)
from tidegate.runtime.onnx_file import class_labels, read_header
from tidegate.runtime.onnx_session import open_session, short
from tidegate.runtime.rows import inputs_from_rows, made_up_row
from tidegate.runtime.settings import require_known

_DATATYPES: dict[str, Datatype] = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
#: What ZipMap makes of probabilities: a list with one dictionary per row, from class label to probability.
_MAPS = {"seq(map(string,tensor(float)))", "seq(map(int64,tensor(float)))"}
_FOLDER_LIMIT = 1000


class OnnxRuntime:
    """ONNX graphs: one file, or a folder with one graph and its external data."""

    name = "onnx"
    packages = ("onnxruntime", "numpy")

    def recognise(self, files: ArtifactFiles) -> Recognition | None:
        graph = _graph_file(files)
        # The producer is the exporter, not ONNX Runtime: nothing to compare with what is installed.
        return None if graph is None else Recognition(self.name, "onnx")

    def load(self, files: ArtifactFiles, options: LoadOptions) -> Model:
        require_known(options.settings, (), self.name)
        path = _graph_file(files)
        header = None if path is None else read_header(path)
        if path is None or header is None:
            raise InvalidInput(f"{files.root.name} is not an ONNX model.", subject=str(files.root))
        if header.damage is not None:
            raise InvalidInput(
                f"{path.name} is a damaged ONNX model: {header.damage}.",
                subject=str(path),
                hint="Copy or export the file again; it may have been cut short.",
            )
        return OnnxModel(open_session(path, options.threads), path, options)


def _graph_file(files: ArtifactFiles) -> Path | None:
    """Return the file that holds the graph: the artifact itself, or the only one directly in its folder."""
    if not files.is_folder:
        return files.root if read_header(files.root) is not None else None
    inside = sorted(files.root.iterdir())[:_FOLDER_LIMIT]
    graphs = [path for path in inside if path.is_file() and read_header(path) is not None]
    return graphs[0] if len(graphs) == 1 else None


class OnnxModel:
    """A session. Inputs and outputs keep the graph's names; ONNX has no missing text, so None becomes "".

    A graph for batches of a fixed size takes so many rows or a multiple, which it is given batch by batch.
    """

    def __init__(self, session: Any, path: Path, options: LoadOptions) -> None:
        self._session = session
        nodes = session.get_inputs()
        self._inputs = tuple(_tensor(node, "input", path) for node in nodes)
        self._batch = _fixed_batch(nodes, path)
        is_table = self._batch in (None, 1) and all(_is_column(spec) for spec in self._inputs)
        self._reshape = {spec.name: (-1, 1) for spec in self._inputs if is_table and len(spec.shape) == 2}
        self._wants_text = {spec.name for spec in self._inputs if spec.datatype == "BYTES"}
        self._output_names = [node.name for node in session.get_outputs()]
        if options.signature is not None:
            self.signature = options.signature
        else:
            inputs = tuple(TensorSpec(spec.name, spec.datatype) for spec in self._inputs) if is_table else self._inputs
            outputs = self._output_specs(inputs, path, options)
            if self._batch not in (None, 1):
                inputs, outputs = _of_rows(inputs, self._batch), _of_rows(outputs, self._batch)
            self.signature = Signature("columns" if is_table else "tensors", inputs, outputs)
        #: Sizes beyond the rows that the graph computed with first; None before that, or when it leaves none open.
        self._worked: dict[str, tuple[int, ...]] | None = None
        self._is_open = any(-1 in spec.shape[1:] for spec in self.signature.inputs)
        self._labels = {spec.name: spec.labels for spec in self.signature.outputs}
        self._maps = {node.name for node in session.get_outputs() if node.type in _MAPS}

    def predict(self, inputs: Columns) -> Columns:
        feeds = {name: self._feed(name, inputs[name]) for name in self._names()}
        rows = len(next(iter(feeds.values())))
        if self._batch is not None and rows != self._batch:
            if rows % self._batch:
                raise InvalidInput(
                    f"The model was exported for batches of {self._batch} rows.",
                    expected=f"{self._batch} rows, or a multiple",
                    got=f"{rows} rows",
                    hint="Export it with a dynamic first dimension.",
                )
            answers = [
                self._run({name: feed[start : start + self._batch] for name, feed in feeds.items()})
                for start in range(0, rows, self._batch)
            ]
            return {name: np.concatenate([answer[name] for answer in answers]) for name in self._output_names}
        return self._run(feeds)

    def close(self) -> None:
        del self._session

    def _names(self) -> list[str]:
        return [spec.name for spec in self._inputs]

    def _feed(self, name: str, values: Array) -> Array:
        if name in self._wants_text:
            listed = ["" if value is None else value for value in values.ravel().tolist()]
            values = np.array(listed, dtype=object).reshape(values.shape)
        return values.reshape(self._reshape[name]) if name in self._reshape else values

    def _run(self, feeds: dict[str, Array]) -> dict[str, Array]:
        try:
            answers = self._session.run(self._output_names, feeds)
        except Exception as error:
            misshapen = self._misshapen(feeds, error)
            if misshapen is not None:
                raise misshapen from error
            raise
        if self._is_open and self._worked is None:
            self._worked = {name: feed.shape[1:] for name, feed in feeds.items()}
        outputs = {}
        for name, answer in zip(self._output_names, answers, strict=True):
            outputs[name] = _from_maps(answer, self._labels[name]) if name in self._maps else answer
        return outputs

    def _misshapen(self, feeds: Mapping[str, Array], error: Exception) -> InvalidInput | None:
        """Return the error for the first input of another size than has worked where the graph leaves it open.

        The first run is that of the sample, without which no model goes into service.
        """
        if self._worked is None:
            return None
        for name, worked in self._worked.items():
            sent = feeds[name].shape[1:]
            if sent != worked:
                shape = list(feeds[name].shape)
                return InvalidInput(
                    f"field {name!r}: the model cannot compute with the shape {shape}: {short(error)}",
                    subject=name,
                    expected=f"a shape like its sample's, {[-1, *worked]}",
                    got=str(shape),
                )
        return None

    def _output_specs(self, inputs: Sequence[TensorSpec], path: Path, options: LoadOptions) -> tuple[TensorSpec, ...]:
        """Type the outputs: from the graph, and where it leaves a dimension or the keys of maps open, from one run."""
        specs = [self._map_output(node, inputs, options) if node.type in _MAPS else _tensor(node, "output", path)
                 for node in self._session.get_outputs()]  # fmt: skip
        known = class_labels(path)
        return tuple(_with_labels(spec, known, is_only=len(specs) == 1) for spec in specs)

    def _map_output(self, node: Any, inputs: Sequence[TensorSpec], options: LoadOptions) -> TensorSpec:
        row = options.sample[0] if options.sample else made_up_row(inputs)
        typed = inputs_from_rows(inputs, [row] * (self._batch or 1))
        try:
            answer = self._session.run([node.name], {name: self._feed(name, typed[name]) for name in self._names()})
        except Exception as error:
            raise InvalidInput(
                "The model fails on a sample row." if options.sample else "The model fails on a made-up row.",
                got=short(error),
                hint=None if options.sample else "Give a few typical rows with --sample rows.json (or .csv).",
            ) from error
        labels = tuple(str(key) for key in answer[0][0])
        return TensorSpec(node.name, "FP32", (-1, len(labels)), labels=labels)


def _tensor(node: Any, role: str, path: Path) -> TensorSpec:
    datatype = _DATATYPES.get(node.type)
    if datatype is None:
        raise InvalidInput(
            f"The {role} {node.name!r} of {path.name} is of a type that cannot be served.",
            subject=str(path),
            expected="a tensor of numbers, booleans or text",
            got=str(node.type),
        )
    sizes = [size if isinstance(size, int) and size >= 0 else -1 for size in node.shape]
    if role == "input" and not sizes:
        raise InvalidInput(
            f"The input {node.name!r} of {path.name} is a single value, without a dimension for the rows.",
            subject=str(path),
            hint="Export the model with a first dimension that is the batch.",
        )
    return TensorSpec(node.name, datatype, (-1, *sizes[1:]))


def _fixed_batch(nodes: Sequence[Any], path: Path) -> int | None:
    """Return the number of rows that the inputs are fixed to, None when all of them leave it open."""
    sizes = {node.shape[0] for node in nodes if node.shape and isinstance(node.shape[0], int) and node.shape[0] > 0}
    if len(sizes) > 1:
        raise InvalidInput(
            f"The inputs of {path.name} differ in the number of rows that they take.",
            subject=str(path),
            expected="the same first dimension in all of them",
            got=", ".join(f"{node.name} {node.shape}" for node in nodes),
            hint="Export it with the same dynamic first dimension for every input.",
        )
    return next(iter(sizes), None)


def _of_rows(specs: Sequence[TensorSpec], rows: int | None) -> tuple[TensorSpec, ...]:
    return tuple(replace(spec, shape=(rows or -1, *spec.shape[1:])) for spec in specs)


def _is_column(spec: TensorSpec) -> bool:
    return spec.shape in ((-1,), (-1, 1))


def _with_labels(spec: TensorSpec, known: Sequence[tuple[str, ...]], *, is_only: bool) -> TensorSpec:
    """Name the positions of a probabilities output when exactly one list of class labels in the graph fits it."""
    if spec.labels is not None or len(spec.shape) != 2 or not spec.datatype.startswith("FP") or is_only:
        return spec
    fitting = [labels for labels in known if spec.shape[1] in (-1, len(labels))]
    if len(fitting) != 1:
        return spec
    return TensorSpec(spec.name, spec.datatype, (-1, len(fitting[0])), labels=fitting[0])


def _from_maps(rows: Sequence[dict[Any, float]], labels: tuple[str, ...] | None) -> Array:
    """Return probabilities, shape [rows, classes], from ZipMap's dictionaries, all with the same keys in order."""
    width = len(labels) if labels is not None else len(rows[0]) if rows else 0
    return np.array([list(row.values()) for row in rows], dtype=np.float32).reshape(len(rows), width)
