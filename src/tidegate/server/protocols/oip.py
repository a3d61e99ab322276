"""The Open Inference Protocol v2 over REST, JSON bodies.

Source: github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md. Where it leaves room:

- `data` may be flat or nested; a column (shape `[n]`) is also taken as `[n, 1]`, as some clients send it;
- a tensor may be declared with another datatype of the same kind (FP64 for FP32, INT32 for FP64, never FP64 for
  INT64); values that do not fit the model's own datatype are an error;
- `null` is a missing value in FP and BYTES tensors, in both directions;
- inputs that the model does not take are ignored, so that two revisions may differ in them;
- outputs come flat, in row-major order.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import orjson

from tidegate.contract.errors import InvalidInput, TidegateError
from tidegate.runtime.base import NUMPY_DTYPES, Array, Columns, Signature, TensorSpec
from tidegate.server.protocols.base import Call, Encoded, Identity, Limits, Message
from tidegate.server.protocols.records import checked_rows, parse_json
from tidegate.server.protocols.values import family, fits, json_ready, shorten, tensor_of

#: What tensors may be declared as, by the kind of tensor that the model takes.
_CONVERTIBLE = {
    "FLOAT": frozenset({"FLOAT", "INT"}),
    "INT": frozenset({"INT"}),
    "BOOL": frozenset({"BOOL"}),
    "BYTES": frozenset({"BYTES"}),
}


class OipCodec:
    """Codec of `POST /v2/models/{name}/infer`."""

    protocol = "oip_rest"

    def __init__(self, signature: Signature, identity: Identity, limits: Limits) -> None:
        self._inputs = signature.inputs
        self._outputs = signature.outputs
        self._outputs_by_name = {spec.name: spec for spec in signature.outputs}
        self._limits = limits
        self._head = {"model_name": identity.model_name, "model_version": identity.model_version}

    def decode(self, message: Message) -> Call:
        document = parse_json(message.body)
        if not isinstance(document, dict):
            raise InvalidInput('the body must be an object with "inputs"', got=shorten(document))
        request_id = document.get("id")
        if request_id is not None and not isinstance(request_id, str):
            raise _wrong("id", "a string", request_id)
        _check_parameters(document, "parameters")
        given = _named(document.get("inputs"), "inputs")
        absent = [spec.name for spec in self._inputs if spec.name not in given]
        if absent:
            raise self._absent(absent, given)
        inputs = {spec.name: _decode_tensor(spec, given[spec.name], self._limits) for spec in self._inputs}
        rows = {len(array) for array in inputs.values()}
        if len(rows) != 1:
            sizes = ", ".join(f"{name!r} {len(array)}" for name, array in inputs.items())
            raise InvalidInput(f"the inputs differ in their first dimension: {sizes}", subject="inputs")
        return Call(
            inputs=inputs,
            rows=rows.pop(),
            outputs=self._requested(document.get("outputs")),
            id=request_id,
        )

    def encode(self, call: Call, outputs: Columns) -> Encoded:
        tensors = []
        for spec in call.outputs:
            array = outputs[spec.name]
            data = json_ready(array.reshape(-1))
            tensors.append({"name": spec.name, "shape": array.shape, "datatype": spec.datatype, "data": data})
        answer: dict[str, Any] = {**self._head, "outputs": tensors}
        if call.id is not None:
            answer["id"] = call.id
        return Encoded(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY))

    def encode_error(self, error: TidegateError) -> bytes:
        return orjson.dumps({"error": error.message})

    def _requested(self, wanted: Any) -> tuple[TensorSpec, ...]:
        """Return the outputs to answer with: those that the request names, in its order, or else all of them."""
        if wanted is None or wanted == []:
            return self._outputs
        names = list(_named(wanted, "outputs"))
        for name in names:
            if name not in self._outputs_by_name:
                near = get_close_matches(name, self._outputs_by_name, n=1)
                raise InvalidInput(
                    f"the model has no output {shorten(name)}" + (f"; did you mean {near[0]!r}?" if near else ""),
                    subject="outputs",
                    expected=", ".join(self._outputs_by_name),
                    got=name,
                )
        return tuple(self._outputs_by_name[name] for name in names)

    def _absent(self, absent: list[str], given: dict[str, Any]) -> InvalidInput:
        known = {spec.name for spec in self._inputs}
        near = get_close_matches(absent[0], [name for name in given if name not in known], n=1, cutoff=0.6)
        named = ", ".join(repr(name) for name in absent[:5]) + (", …" if len(absent) > 5 else "")
        hint = f"; did you mean {absent[0]!r} where the request says {near[0]!r}?" if near else ""
        return InvalidInput(f"the request lacks the input {named}{hint}", subject=absent[0])


def _named(tensors: Any, key: str) -> dict[str, Any]:
    """Return a list of tensor objects by their names, in order."""
    if not isinstance(tensors, list):
        raise _wrong(key, "a list of tensors", tensors)
    named: dict[str, Any] = {}
    for position, tensor in enumerate(tensors):
        if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
            raise _wrong(f"{key}[{position}]", 'an object with a "name"', tensor)
        if tensor["name"] in named:
            raise InvalidInput(f"{key}: {tensor['name']!r} stands there twice", subject=key)
        _check_parameters(tensor, f"{key}[{position}].parameters")
        named[tensor["name"]] = tensor
    return named


def _decode_tensor(spec: TensorSpec, tensor: dict[str, Any], limits: Limits) -> Array:
    datatype, shape = tensor.get("datatype"), tensor.get("shape")
    if not isinstance(datatype, str) or datatype not in NUMPY_DTYPES:
        raise _wrong(f"{spec.name}.datatype", "one of " + ", ".join(NUMPY_DTYPES), datatype)
    if family(datatype) not in _CONVERTIBLE[family(spec.datatype)]:
        raise _wrong(f"{spec.name}.datatype", spec.datatype, datatype)
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise _wrong(f"{spec.name}.shape", "a list of sizes", shape)
    sizes = tuple(shape)
    if not fits(spec, sizes) and not (len(spec.shape) == 1 and len(sizes) == 2 and sizes[1] == 1):
        raise InvalidInput(
            f"{spec.name!r} has shape {list(sizes)[:8]}, the model takes {list(spec.shape)}",
            subject=f"{spec.name}.shape",
            expected=str(list(spec.shape)),
            got=str(list(sizes)[:8]),
        )
    if 0 in sizes:
        raise InvalidInput(f"{spec.name!r} holds no value", subject=f"{spec.name}.shape", got=str(list(sizes)[:8]))
    checked_rows(sizes[0], limits)
    return tensor_of(spec, tensor.get("data"), sizes).reshape(sizes[: len(spec.shape)])


def _check_parameters(holder: dict[str, Any], where: str) -> None:
    parameters = holder.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise _wrong(where, "an object", parameters)


def _wrong(field: str, expected: str, got: Any) -> InvalidInput:
    found = shorten(got)
    return InvalidInput(f"{field}: expected {expected}, got {found}", subject=field, expected=expected, got=found)
