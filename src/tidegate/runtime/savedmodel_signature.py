"""The signature of a SavedModel in our terms, and arrays between the two."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Array, Columns, Datatype, LoadOptions, Signature, TensorSpec
from tidegate.runtime.rows import inputs_from_rows, made_up_row
from tidegate.runtime.savedmodel_file import SIGNATURE, SavedGraph, SavedTensor

#: `DataType` of TensorFlow's `types.proto`.
_DATATYPES: dict[int, Datatype] = {
    1: "FP32", 2: "FP64", 3: "INT32", 4: "UINT8", 5: "INT16", 6: "INT8", 7: "BYTES", 9: "INT64", 10: "BOOL",
    17: "UINT16", 19: "FP16", 22: "UINT32", 23: "UINT64",
}  # fmt: skip

#: Runs the graph: arrays by the keys of the signature's inputs in, by those of its outputs out.
Backend = Callable[[Mapping[str, Array]], Mapping[str, Array]]


def serving_graph(graphs: Sequence[SavedGraph]) -> SavedGraph:
    """Return the graph that is served: the only one with `serving_default`, or that of them with the tag "serve".

    Raises:
        InvalidInput: there is none, or no telling which.
    """
    found = [graph for graph in graphs if SIGNATURE in graph.signatures]
    if len(found) > 1:
        found = [graph for graph in found if "serve" in graph.tags]
    if len(found) == 1:
        return found[0]
    names = sorted({name for graph in graphs for name in graph.signatures if not name.startswith("__")})
    raise InvalidInput(
        f"The SavedModel has {'several graphs' if found else 'no graph'} with the signature {SIGNATURE!r}.",
        expected=f"one signature {SIGNATURE!r}",
        got=f"the signatures {', '.join(names)}" if names else "no signatures",
        hint="Export it with model.export(path) (Keras), or tf.saved_model.save(model, path, "
        "signatures={'serving_default': function}).",
    )


class SavedModelInterface:
    """How a SavedModel is fed and what it answers; `signature` is complete once `settle` ran.

    Raises:
        InvalidInput: an input or output is of a type or shape that cannot be served.
    """

    def __init__(self, graph: SavedGraph) -> None:
        inputs, outputs = graph.signatures[SIGNATURE]
        if not inputs or not outputs:
            raise InvalidInput(f"The signature {SIGNATURE!r} has no {'outputs' if inputs else 'inputs'}.")
        specs = [_input(tensor) for tensor in inputs]
        self._outputs = [(tensor.key, _datatype(tensor, "output"), tensor.shape) for tensor in outputs]
        is_table = all(spec.shape in ((-1,), (-1, 1)) for spec in specs)
        self._reshape = {spec.name: (-1, 1) for spec in specs if is_table and len(spec.shape) == 2}
        self.inputs = tuple(TensorSpec(spec.name, spec.datatype) for spec in specs) if is_table else tuple(specs)
        self.is_table = is_table
        self._one_by_one = any(tensor.shape is not None and tensor.shape[0] == 1 for tensor in inputs)
        self._texts = {spec.name for spec in specs if spec.datatype == "BYTES"}
        self._out_texts = {key for key, datatype, _ in self._outputs if datatype == "BYTES"}

    def predict(self, backend: Backend, inputs: Columns) -> dict[str, Array]:
        """Return one array per output, in the signature's order. Missing text is fed as "", for TensorFlow has none."""
        feeds = {spec.name: self._feed(spec.name, inputs[spec.name]) for spec in self.inputs}
        rows = len(feeds[self.inputs[0].name])
        if self._one_by_one and rows != 1:
            answers = [
                self._run(backend, {key: feed[row : row + 1] for key, feed in feeds.items()}) for row in range(rows)
            ]
            return {key: np.concatenate([answer[key] for answer in answers]) for key, _, _ in self._outputs}
        return self._run(backend, feeds)

    def settle(self, backend: Backend, options: LoadOptions) -> Signature:
        """Return the signature; an output whose number of dimensions the graph leaves open is told by one run.

        Raises:
            InvalidInput: an output is a single value for all rows, or the run fails.
        """
        if options.signature is not None:
            return options.signature
        shapes = {key: shape for key, _, shape in self._outputs}
        if None in shapes.values():
            answer = self._first_answer(backend, options)
            known = {key: shape for key, shape in shapes.items() if shape is not None}
            shapes = {key: known.get(key, (-1,) * answer[key].ndim) for key in shapes}
        outputs = tuple(_output(key, datatype, shapes[key] or ()) for key, datatype, _ in self._outputs)
        return Signature("columns" if self.is_table else "tensors", self.inputs, outputs)

    def _first_answer(self, backend: Backend, options: LoadOptions) -> dict[str, Array]:
        rows = [options.sample[0]] if options.sample else [made_up_row(self.inputs)]
        try:
            return self.predict(backend, inputs_from_rows(self.inputs, rows))
        except InvalidInput:
            raise
        except Exception as error:
            raise InvalidInput(
                "The model fails on a sample row." if options.sample else "The model fails on a made-up row.",
                got=" ".join(str(error).split())[:400],
                hint=None if options.sample else "Give a few typical rows with --sample rows.json (or .csv).",
            ) from error

    def _feed(self, key: str, values: Array) -> Array:
        if key in self._texts:
            listed = ["" if value is None else value for value in values.ravel().tolist()]
            values = np.array(listed, dtype=object).reshape(values.shape)
        return values.reshape(self._reshape[key]) if key in self._reshape else values

    def _run(self, backend: Backend, feeds: Mapping[str, Array]) -> dict[str, Array]:
        answer = backend(feeds)
        return {key: _as_text(answer[key]) if key in self._out_texts else answer[key] for key, _, _ in self._outputs}


def _datatype(tensor: SavedTensor, role: str) -> Datatype:
    datatype = _DATATYPES.get(tensor.type_number)
    if datatype is None or not tensor.tensor:
        what = f"number {tensor.type_number} of DataType" if tensor.tensor else "a sparse or ragged tensor"
        raise InvalidInput(
            f"The {role} {tensor.key!r} of the SavedModel is of a type that cannot be served.",
            expected="a dense tensor of numbers, booleans or text",
            got=what,
        )
    return datatype


def _input(tensor: SavedTensor) -> TensorSpec:
    datatype = _datatype(tensor, "input")
    if not tensor.shape or tensor.shape[0] not in (-1, 1):
        raise InvalidInput(
            f"The input {tensor.key!r} of the SavedModel has no dimension for the rows.",
            expected="a first dimension of any size",
            got="an unknown shape" if tensor.shape is None else f"the shape {list(tensor.shape)}",
            hint="Export it with tf.TensorSpec([None, ...]) for this input.",
        )
    return TensorSpec(tensor.key, datatype, (-1, *tensor.shape[1:]))


def _output(key: str, datatype: Datatype, shape: tuple[int, ...]) -> TensorSpec:
    if not shape:
        raise InvalidInput(
            f"The output {key!r} of the SavedModel is one value for all rows.",
            expected="one value or more per row",
            hint="Export it with outputs whose first dimension is the batch.",
        )
    return TensorSpec(key, datatype, (-1, *shape[1:]))


def _as_text(values: Array) -> Array:
    texts = [value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in values.ravel()]
    return np.array(texts, dtype=object).reshape(values.shape)
