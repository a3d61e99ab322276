"""Tensors as clients declare them, against those that the model takes: what REST and gRPC have in common.

Source: github.com/kserve/open-inference-protocol, specification/protocol. Where it leaves room:

- a column (shape `[n]`) is also taken as `[n, 1]`, as some clients send it;
- a model of k columns that are all of one numeric datatype is also taken as one tensor `[n, k]` of any other name, the
  columns in the signature's order: clients that know of matrices alone send that;
- a tensor may be declared with another datatype of the same kind (FP64 for FP32, INT32 for FP64, never FP64 for
  INT64); values that do not fit the model's own datatype are an error;
- inputs that the model does not take are ignored, so that two revisions may differ in them;
- parameters that nobody here knows (`content_type` of MLServer, say) are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import NUMPY_DTYPES, Array, Columns, Signature, TensorSpec
from tidegate.server.protocols.base import Limits
from tidegate.server.protocols.rows import checked_rows
from tidegate.server.protocols.values import family, fits, shorten, wrong_value

_CONVERTIBLE = {"FLOAT": {"FLOAT", "INT"}, "INT": {"INT"}, "BOOL": {"BOOL"}, "BYTES": {"BYTES"}}
#: As which datatypes a tensor may be declared, by the one that the model takes.
_ACCEPTED = {
    taken: frozenset(declared for declared in NUMPY_DTYPES if family(declared) in _CONVERTIBLE[family(taken)])
    for taken in NUMPY_DTYPES
}

#: How many names of a request, and how long ones, are compared with those of the model: comparing takes its time.
_NAMES_COMPARED = 100
_LONGEST_NAME = 200

#: Makes an array of the spec's dtype and of the declared shape; its arguments: spec, declared datatype, shape, data.
Reader = Callable[[TensorSpec, str, tuple[int, ...], Any], Array]


class Given(NamedTuple):
    """One tensor of a request, nothing about it checked but that `name` is text. `read` knows the form of `data`."""

    name: str
    datatype: Any
    shape: Any
    data: Any
    read: Reader


class InputReader:
    """Reads the tensors of requests into what a model takes."""

    def __init__(self, signature: Signature, limits: Limits) -> None:
        self._specs = signature.inputs
        self._names = frozenset(spec.name for spec in signature.inputs)
        self._limits = limits
        datatypes = {spec.datatype for spec in signature.inputs}
        is_matrix = signature.kind == "columns" and len(datatypes) == 1 and family(min(datatypes)) in ("FLOAT", "INT")
        #: Number of columns, when one tensor may stand for all of them.
        self._width = len(self._specs) if is_matrix else None

    def read(self, given: Mapping[str, Given]) -> tuple[Columns, int]:
        """Return one array per input of the signature and their common number of rows.

        Raises:
            InvalidInput: an input is absent, or does not fit the signature, or they differ in their rows.
            TooLarge: there are more rows than the limits allow.
        """
        try:
            wanted = [(spec, given[spec.name]) for spec in self._specs]
        except KeyError:
            return self._read_matrix(given)
        inputs = {spec.name: _read(spec, tensor, self._limits) for spec, tensor in wanted}
        rows = {len(array) for array in inputs.values()}
        if len(rows) != 1:
            sizes = ", ".join(f"{name!r} {len(array)}" for name, array in inputs.items())
            raise InvalidInput(f"the inputs differ in their first dimension: {sizes}", subject="inputs")
        return inputs, rows.pop()

    def _read_matrix(self, given: Mapping[str, Given]) -> tuple[Columns, int]:
        tensor = next(iter(given.values())) if len(given) == 1 else None
        if tensor is None or tensor.name in self._names or self._width is None:
            raise self._absent(given)
        if not isinstance(tensor.shape, list) or len(tensor.shape) != 2 or tensor.shape[1] != self._width:
            raise self._absent(given, f", or one tensor of shape [n, {self._width}] for all of them")
        spec = TensorSpec(tensor.name, self._specs[0].datatype, (-1, self._width))
        columns = np.ascontiguousarray(_read(spec, tensor, self._limits).T)
        return {spec.name: columns[index] for index, spec in enumerate(self._specs)}, columns.shape[1]

    def _absent(self, given: Mapping[str, Given], otherwise: str = "") -> InvalidInput:
        absent = [spec.name for spec in self._specs if spec.name not in given]
        unused = [name for name in given if name not in self._names and len(name) <= _LONGEST_NAME]
        near = get_close_matches(absent[0], unused[:_NAMES_COMPARED], n=1, cutoff=0.6)
        named = ", ".join(repr(name) for name in absent[:5]) + (", …" if len(absent) > 5 else "")
        hint = f"; did you mean {absent[0]!r} where the request says {near[0]!r}?" if near else ""
        return InvalidInput(f"the request lacks the input {named}{otherwise}{hint}", subject=absent[0])


class OutputChooser:
    """Finds the outputs that a request asks for."""

    def __init__(self, signature: Signature) -> None:
        self.all = signature.outputs
        self._by_name = {spec.name: spec for spec in signature.outputs}

    def choose(self, names: Sequence[str]) -> tuple[TensorSpec, ...]:
        """Return the outputs of these names, in this order; all of them when there is no name.

        Raises:
            InvalidInput: the model has no such output.
        """
        if not names:
            return self.all
        for name in names:
            if name not in self._by_name:
                near = get_close_matches(name, self._by_name, n=1) if len(name) <= _LONGEST_NAME else []
                raise InvalidInput(
                    f"the model has no output {shorten(name)}" + (f"; did you mean {near[0]!r}?" if near else ""),
                    subject="outputs",
                    expected=", ".join(self._by_name),
                    got=shorten(name),
                )
        return tuple(self._by_name[name] for name in names)


def accepted_datatypes(spec: TensorSpec) -> frozenset[str]:
    """Return as which datatypes a tensor for this input may be declared."""
    return _ACCEPTED[spec.datatype]


def is_narrower(declared: str, spec: TensorSpec) -> bool:
    """Say whether the model's own datatype has values that a tensor declared like this cannot hold."""
    return declared != spec.datatype and not np.can_cast(NUMPY_DTYPES[spec.datatype], NUMPY_DTYPES[declared])


def check_declared(spec: TensorSpec, declared: str, array: Array) -> None:
    """Raise InvalidInput unless each value, now of the model's datatype, is one that the declared datatype has.

    NaN, for a value that is missing, passes as any datatype.
    """
    dtype = NUMPY_DTYPES[declared]
    low, high = (
        (float(np.finfo(dtype).min), float(np.finfo(dtype).max))
        if dtype.kind == "f"
        else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    )
    with np.errstate(over="ignore"):
        if array.dtype.kind == "f":
            bad = (array < array.dtype.type(low)) | (array > array.dtype.type(high))
            if dtype.kind != "f":
                bad |= (array != np.floor(array)) & ~np.isnan(array)
        else:
            bad = (array < low) | (array > high)
    if bad.any():
        position = np.unravel_index(int(np.argmax(bad)), bad.shape)
        raise wrong_value(spec, int(position[0]), array[position].item(), f"a value of {declared}, as declared")


def _read(spec: TensorSpec, tensor: Given, limits: Limits) -> Array:
    datatype, shape = tensor.datatype, tensor.shape
    if not isinstance(datatype, str) or datatype not in _ACCEPTED[spec.datatype]:
        is_known = isinstance(datatype, str) and datatype in NUMPY_DTYPES
        expected = spec.datatype if is_known else "one of " + ", ".join(NUMPY_DTYPES)
        raise wrong_field(f"{spec.name}.datatype", expected, datatype)
    if not isinstance(shape, list) or set(map(type, shape)) - {int} or min(shape, default=0) < 0:
        raise wrong_field(f"{spec.name}.shape", "a list of sizes", shape)
    sizes, is_column = tuple(shape), spec.shape == (-1,)
    if not (len(sizes) == 1 or (len(sizes) == 2 and sizes[1] == 1) if is_column else fits(spec, sizes)):
        raise InvalidInput(
            f"{spec.name!r} has shape {list(sizes)[:8]}, the model takes {list(spec.shape)}",
            subject=f"{spec.name}.shape",
            expected=str(list(spec.shape)),
            got=str(list(sizes)[:8]),
        )
    if 0 in sizes:
        raise InvalidInput(f"{spec.name!r} holds no value", subject=f"{spec.name}.shape", got=str(list(sizes)[:8]))
    checked_rows(sizes[0], limits)
    array = tensor.read(spec, datatype, sizes, tensor.data)
    return array.reshape(-1) if is_column and array.ndim == 2 else array


def wrong_field(field: str, expected: str, got: Any) -> InvalidInput:
    """Return the error for a part of a request that has the wrong form."""
    found = shorten(got)
    return InvalidInput(f"{field}: expected {expected}, got {found}", subject=field, expected=expected, got=found)
