"""The usual JSON of the Open Inference Protocol read at once: flat `data` for each input of the model, once each.

A table of twenty columns comes as twenty tensors; read one by one they cost more than most models. Whatever is not
plainly right is left to `oip_tensors`, which takes it or says what is wrong with it.
"""

from __future__ import annotations

from math import prod
from operator import itemgetter
from typing import Any

from tidegate.runtime.base import NUMPY_DTYPES, Columns, Signature, TensorSpec
from tidegate.server.protocols.base import Limits
from tidegate.server.protocols.flat_arrays import are_of, flat_array
from tidegate.server.protocols.oip_tensors import accepted_datatypes, check_declared, is_narrower
from tidegate.server.protocols.plain_columns import PlainColumns
from tidegate.server.protocols.rows import checked_rows
from tidegate.server.protocols.values import ACCEPTED_KINDS, family

_FIELDS = itemgetter("name", "shape", "datatype", "data")
_SIZES = frozenset({int})


class PlainTensors:
    """Reads the usual requests to a model of columns, or of one tensor whose rows have a known shape.

    Args:
        telling: parameters of a tensor that say how it is to be read; one that has them is not the usual one.
    """

    def __init__(self, signature: Signature, limits: Limits, telling: frozenset[str]) -> None:
        specs = signature.inputs
        self._limits = limits
        self._telling = telling
        self._columns = PlainColumns(specs)
        #: For each input the datatypes that its tensor may declare; True where its values must be held against that.
        self._declared = {
            spec.name: {declared: is_narrower(declared, spec) for declared in accepted_datatypes(spec)}
            for spec in specs
        }
        self._specs = {spec.name: spec for spec in specs}
        is_tensor = len(specs) == 1 and len(specs[0].shape) > 1 and specs[0].shape[0] == -1
        self._tensor = specs[0] if is_tensor and min(specs[0].shape[1:]) > 0 else None
        #: Types of the values of that tensor.
        self._kinds = frozenset() if self._tensor is None else ACCEPTED_KINDS[family(self._tensor.datatype)]

    def read(self, tensors: Any) -> tuple[Columns, int] | None:
        """Return inputs and number of rows of the usual request; None for all others, right or wrong.

        Args:
            tensors: what the request's JSON has as `inputs`.

        Raises:
            InvalidInput: a value is not one of the datatype that its tensor declares.
            TooLarge: there are more rows than the limits allow.
        """
        if type(tensors) is not list or len(tensors) != len(self._specs):
            return None
        try:
            return self._read_columns(tensors) if self._tensor is None else self._read_tensor(self._tensor, tensors[0])
        except (KeyError, TypeError, IndexError):
            return None

    def _read_columns(self, tensors: list[Any]) -> tuple[Columns, int] | None:
        columns: dict[str, list[Any]] = {}
        checked: list[tuple[str, str]] = []
        rows = len(tensors[0]["data"])
        usual = ([rows], [rows, 1])
        for tensor in tensors:
            name, shape, declared, data = _FIELDS(tensor)
            if self._declared[name][declared]:
                checked.append((name, declared))
            if type(data) is not list or len(data) != rows or (len(tensor) > 4 and self._tells(tensor)):
                return None
            # True and 1.0 are equal to 1.
            if shape not in usual or type(shape[0]) is not int or type(shape[-1]) is not int:
                return None
            columns[name] = data
        if rows == 0 or len(columns) != len(tensors):
            return None
        inputs = self._columns.of_columns(columns, checked_rows(rows, self._limits))
        if inputs is None:
            return None
        for name, declared in checked:
            check_declared(self._specs[name], declared, inputs[name])
        return inputs, rows

    def _read_tensor(self, spec: TensorSpec, tensor: Any) -> tuple[Columns, int] | None:
        name, shape, declared, data = _FIELDS(tensor)
        is_checked = self._declared[name][declared]
        if type(shape) is not list or type(data) is not list or (len(tensor) > 4 and self._tells(tensor)):
            return None
        sizes = tuple(shape)
        if sizes[1:] != spec.shape[1:] or not are_of(_SIZES, shape) or sizes[0] <= 0 or prod(sizes) != len(data):
            return None
        rows = checked_rows(sizes[0], self._limits)
        array = flat_array(NUMPY_DTYPES[spec.datatype], data) if are_of(self._kinds, data) else None
        if array is None:
            return None
        array = array.reshape(sizes)
        if is_checked:
            check_declared(spec, declared, array)
        return {name: array}, rows

    def _tells(self, tensor: dict[str, Any]) -> bool:
        """Say whether the tensor's parameters may be of importance."""
        parameters = tensor.get("parameters")
        return parameters is not None and not (type(parameters) is dict and self._telling.isdisjoint(parameters))
