"""An ONNX graph that grows node by node. A column of values is a tensor of shape [rows]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime import trees, trees_onnx
from tidegate.runtime.frameworks import import_framework

#: The oldest that have all that is used: min and max of several doubles, trees with double thresholds.
OPSET, ML_OPSET, IR_VERSION = 17, 5, 9
_ML = "ai.onnx.ml"

#: The name of a tensor in the graph.
Tensor = str


class Graph:
    """Nodes in the order in which they are added, so that each only uses what is there.

    Raises:
        InvalidInput: the package onnx is missing.
    """

    def __init__(self) -> None:
        self._onnx: Any = import_framework("onnx", extra="mojo-onnx", what="The export of a MOJO")
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._inputs: list[Any] = []
        self._names: set[str] = set()

    def input(self, name: str, dtype: type) -> Tensor:
        """Add an input of shape [rows]; `dtype` is float or str."""
        kind = self._onnx.TensorProto.DOUBLE if dtype is float else self._onnx.TensorProto.STRING
        self._inputs.append(self._onnx.helper.make_tensor_value_info(name, kind, ["rows"]))
        self._names.add(name)
        return name

    def reserve(self, names: Sequence[str]) -> None:
        """Keep names free for what comes from outside or goes there."""
        self._names.update(names)

    def constant(self, value: Any, dtype: Any = np.float64) -> Tensor:
        array = np.asarray(value, dtype=dtype)
        name = self._free("c")
        if array.dtype == object:
            texts = [text.encode() for text in array.reshape(-1).tolist()]
            tensor = self._onnx.helper.make_tensor(name, self._onnx.TensorProto.STRING, array.shape, texts)
        else:
            tensor = self._onnx.numpy_helper.from_array(array, name)
        self._constants.append(tensor)
        return name

    def op(self, kind: str, *inputs: Tensor, domain: str = "", **attributes: Any) -> Tensor:
        """Add a node with one output, which is returned."""
        name = self._free("t")
        self._nodes.append(self._onnx.helper.make_node(kind, list(inputs), [name], domain=domain, **attributes))
        return name

    def trees(self, forest: trees.Forest, x: Tensor) -> Tensor:
        """Add trees of a matrix of the forest's dtype; return sums of leaves, shape [rows, targets]."""
        made = self._onnx.load_model_from_string(trees_onnx.graph_of_sums(forest))
        node = made.graph.node[0]
        node.input[0], node.output[0] = x, self._free("trees")
        self._nodes.append(node)
        return str(node.output[0])

    def model(self, outputs: Mapping[str, tuple[Tensor, Any]], facts: Mapping[str, str], told: str) -> bytes:
        """Return the whole: outputs by name with their tensor and dtype (float, int or str), shape [rows]."""
        proto, helper = self._onnx.TensorProto, self._onnx.helper
        kinds = {float: proto.DOUBLE, int: proto.INT64, str: proto.STRING}
        ports = []
        for name, (tensor, dtype) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [tensor], [name]))
            ports.append(helper.make_tensor_value_info(name, kinds[dtype], ["rows"]))
        used = {name for node in self._nodes for name in node.input}
        constants = [constant for constant in self._constants if constant.name in used]
        graph = helper.make_graph(self._nodes, "mojo", self._inputs, ports, constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(_ML, ML_OPSET)]
        made = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="tidegate")
        made.doc_string = told
        helper.set_model_props(made, dict(facts))
        self._onnx.checker.check_model(made, full_check=True)
        return bytes(made.SerializeToString())

    def encoded(self, texts: Tensor, values: Mapping[str, float], missing: float) -> Tensor:
        """Return the number of each text, double; `missing` for those that have none."""
        if not values:
            return self.filled(texts, missing)
        helper, double = self._onnx.helper, self._onnx.TensorProto.DOUBLE
        keys = [text.encode() for text in values]
        return self.op(
            "LabelEncoder",
            texts,
            domain=_ML,
            keys_tensor=helper.make_tensor("keys", self._onnx.TensorProto.STRING, [len(keys)], keys),
            values_tensor=helper.make_tensor("values", double, [len(keys)], list(values.values())),
            default_tensor=helper.make_tensor("default", double, [1], [missing]),
        )

    def filled(self, like: Tensor, value: float) -> Tensor:
        """Return a column of one double, as long as another column."""
        return self.op("Expand", self.constant([value]), self.op("Shape", like))

    def cast(self, tensor: Tensor, dtype: type) -> Tensor:
        kind = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.op("Cast", tensor, to=kind)

    def matrix(self, columns: Sequence[Tensor]) -> Tensor:
        """Return columns side by side, shape [rows, columns]."""
        axis = self.constant([1], np.int64)
        return self.op("Concat", *(self.op("Unsqueeze", column, axis) for column in columns), axis=1)

    def column(self, matrix: Tensor, place: int) -> Tensor:
        return self.op("Gather", matrix, self.constant(place, np.int64), axis=1)

    def in_order(self, matrix: Tensor) -> Tensor:
        """Return sums along axis 1, each term added after the other whatever the threads: doubles in a fixed order."""
        return self.op(
            "Gather", self.op("CumSum", matrix, self.constant(1, np.int64)), self.constant(-1, np.int64), axis=1
        )

    def total(self, columns: Sequence[Tensor]) -> Tensor:
        return reduce(lambda left, right: self.op("Add", left, right), columns)

    def instead_of_nan(self, tensor: Tensor, value: Tensor) -> Tensor:
        return self.op("Where", self.op("IsNaN", tensor), value, tensor)

    def places(self, codes: Tensor, missing: int) -> Tensor:
        """Return codes as int64, `missing` for NaN."""
        return self.cast(self.instead_of_nan(codes, self.constant(float(missing))), np.int64)

    def looked_up(self, table: NDArray[Any], places: Tensor) -> Tensor:
        """Return rows of a table, shape [rows] or [rows, columns]."""
        return self.op("Gather", self.constant(table, table.dtype), places, axis=0)

    def capped_exp(self, value: Tensor) -> Tensor:
        found, cap = self.op("Exp", value), self.constant(1e19)
        return self.op("Where", self.op("Greater", found, cap), cap, found)

    def _free(self, stem: str) -> str:
        name = f"{stem}{len(self._names)}"
        while name in self._names:
            name += "_"
        self._names.add(name)
        return name
