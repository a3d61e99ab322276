"""The Open Inference Protocol v2 over REST: JSON bodies, and the extension for tensors as bytes behind the JSON.

Source: github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md, and for the extension
docs/protocol/extension_binary_data.md of github.com/triton-inference-server/server. What tensors may be is in
`oip_tensors`, how they lie in bytes in `oip_binary`. Where the protocol leaves room:

- `data` may be flat or nested; outputs come flat, in row-major order;
- `null` is a missing value in FP and BYTES tensors, in both directions;
- JSON and bytes may be mixed, in a request and in an answer;
- a body without JSON (`Inference-Header-Content-Length: 0`) is the numbers of a model's only input, with as many rows
  as they make; its answer is bytes, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import orjson

from tidegate.contract.errors import InvalidInput, TidegateError
from tidegate.runtime.base import Array, Columns, Signature, TensorSpec
from tidegate.server.protocols.base import Call, Encoded, Identity, Limits, Message
from tidegate.server.protocols.oip_binary import array_from_bytes, bytes_of, item_size
from tidegate.server.protocols.oip_tensors import (
    Given,
    InputReader,
    OutputChooser,
    Reader,
    check_declared,
    is_narrower,
    wrong_field,
)
from tidegate.server.protocols.plain_tensors import PlainTensors
from tidegate.server.protocols.rows import parse_json
from tidegate.server.protocols.values import json_ready, shorten, tensor_of

#: Parameters that ask for something that is not offered: leaving them out of account would answer something else.
NOT_OFFERED = {
    "classification": "classification is not offered; ask for the output itself",
    "shared_memory_region": "shared memory is not offered; send the data as JSON or as bytes",
}


class OipCodec:
    """Codec of `POST /v2/models/{name}/infer`. The form of a call is one flag per output: whether it goes as bytes."""

    protocol = "oip_rest"

    def __init__(self, signature: Signature, identity: Identity, limits: Limits) -> None:
        self._inputs = InputReader(signature, limits)
        self._plain = PlainTensors(signature, limits, frozenset({*NOT_OFFERED, "binary_data_size"}))
        self._outputs = OutputChooser(signature)
        self._only_input = signature.inputs[0] if len(signature.inputs) == 1 else None
        self._head = {"model_name": identity.model_name, "model_version": identity.model_version}

    def decode(self, message: Message) -> Call:
        body, json_length = message.body, message.json_length
        if json_length == 0:
            return self._decode_bare(memoryview(body))
        if json_length is not None and json_length > len(body):
            raise InvalidInput(
                f"Inference-Header-Content-Length is {json_length}, the body holds {len(body)} bytes",
                subject="Inference-Header-Content-Length",
                expected=f"at most {len(body)}",
                got=str(json_length),
            )
        document = parse_json(body if json_length is None else body[:json_length])
        if not isinstance(document, dict):
            raise InvalidInput('the body must be an object with "inputs"', got=shorten(document))
        request_id = document.get("id")
        if request_id is not None and not isinstance(request_id, str):
            raise wrong_field("id", "a string", request_id)
        binary_by_default = _flag(_parameters(document, "parameters"), "binary_data_output", "parameters") or False
        read = self._plain.read(document.get("inputs")) if json_length is None else None
        if read is None:
            tail = memoryview(body)[len(body) if json_length is None else json_length :]
            read = self._inputs.read(_given(document.get("inputs"), tail))
        inputs, rows = read
        outputs, form = self._requested(document.get("outputs"), binary_by_default)
        return Call(inputs=inputs, rows=rows, outputs=outputs, id=request_id, form=form)

    def encode(self, call: Call, outputs: Columns) -> Encoded:
        tensors: list[dict[str, Any]] = []
        parts: list[bytes] = []
        for spec, is_binary in zip(call.outputs, call.form, strict=True):
            array = outputs[spec.name]
            tensor: dict[str, Any] = {"name": spec.name, "shape": array.shape, "datatype": spec.datatype}
            if is_binary:
                part = bytes_of(spec, array)
                tensor["parameters"] = {"binary_data_size": len(part)}
                parts.append(part)
            else:
                tensor["data"] = json_ready(array.reshape(-1))
            tensors.append(tensor)
        answer: dict[str, Any] = {**self._head, "outputs": tensors}
        if call.id is not None:
            answer["id"] = call.id
        head = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
        if True not in call.form:
            return Encoded(head)
        length = (b"inference-header-content-length", b"%d" % len(head))
        return Encoded(b"".join([head, *parts]), b"application/octet-stream", (length,))

    def encode_error(self, error: TidegateError) -> bytes:
        return orjson.dumps({"error": error.message})

    def _decode_bare(self, data: memoryview) -> Call:
        spec = self._only_input
        size = None if spec is None else item_size(spec.datatype)
        if spec is None or size is None or -1 in spec.shape[1:]:
            raise InvalidInput(
                "a body without JSON is for a model with one input of numbers, whose shape but for its rows is known",
                subject="Inference-Header-Content-Length",
                got="0",
            )
        row_bytes = size * prod(spec.shape[1:])
        if row_bytes == 0 or len(data) % row_bytes:
            raise InvalidInput(
                f"the body holds {len(data)} bytes, one row of {spec.name!r} is {row_bytes}", subject=spec.name
            )
        shape = [len(data) // row_bytes, *spec.shape[1:]]
        inputs, rows = self._inputs.read({spec.name: Given(spec.name, spec.datatype, shape, data, array_from_bytes)})
        return Call(inputs=inputs, rows=rows, outputs=self._outputs.all, form=(True,) * len(self._outputs.all))

    def _requested(self, wanted: Any, binary_by_default: bool) -> tuple[tuple[TensorSpec, ...], tuple[bool, ...]]:
        """Return the outputs to answer with, and for each whether it goes as bytes."""
        if wanted is None or wanted == []:
            return self._outputs.all, (binary_by_default,) * len(self._outputs.all)
        names, form = [], []
        for name, tensor, where in _named(wanted, "outputs"):
            flag = _flag(_parameters(tensor, where), "binary_data", where)
            names.append(name)
            form.append(binary_by_default if flag is None else flag)
        return self._outputs.choose(names), tuple(form)


def _given(tensors: Any, tail: memoryview) -> dict[str, Given]:
    """Return the tensors by name; those in bytes each with their part of `tail`, which must be used up by them."""
    given: dict[str, Given] = {}
    used = 0
    for name, tensor, where in _named(tensors, "inputs"):
        parameters = _parameters(tensor, where)
        data: Any = tensor.get("data")
        read: Reader = _read_json
        if parameters and "binary_data_size" in parameters:
            size = parameters["binary_data_size"]
            if type(size) is not int or size < 0:
                raise wrong_field(f"{where}.binary_data_size", "a number of bytes", size)
            if data is not None:
                raise InvalidInput(f"{name!r} has both data and binary_data_size", subject=where)
            if used + size > len(tail):
                raise InvalidInput(
                    f"{where}.binary_data_size is {size}, the body holds {len(tail) - used} bytes more",
                    subject=f"{where}.binary_data_size",
                    expected="bytes behind the JSON, whose length Inference-Header-Content-Length says",
                    got=str(size),
                )
            data, read = tail[used : used + size], array_from_bytes
            used += size
        given[name] = Given(name, tensor.get("datatype"), tensor.get("shape"), data, read)
    if used != len(tail):
        raise InvalidInput(
            f"the body holds {len(tail)} bytes behind the JSON, its tensors say {used}",
            subject="binary_data_size",
            expected=str(len(tail)),
            got=str(used),
        )
    return given


def _read_json(spec: TensorSpec, declared: str, sizes: tuple[int, ...], data: Any) -> Array:
    array = tensor_of(spec, data, sizes)
    if is_narrower(declared, spec):
        check_declared(spec, declared, array)
    return array


def _named(tensors: Any, key: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield name, object and the place of its parameters for each of a list of tensors."""
    if not isinstance(tensors, list):
        raise wrong_field(key, "a list of tensors", tensors)
    seen = set()
    for position, tensor in enumerate(tensors):
        if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
            raise wrong_field(f"{key}[{position}]", 'an object with a "name"', tensor)
        name = tensor["name"]
        if name in seen:
            raise InvalidInput(f"{key}: {shorten(name)} stands there twice", subject=key)
        seen.add(name)
        yield name, tensor, f"{key}[{position}].parameters"


def _parameters(holder: dict[str, Any], where: str) -> dict[str, Any] | None:
    parameters = holder.get("parameters")
    if parameters is None:
        return None
    if not isinstance(parameters, dict):
        raise wrong_field(where, "an object", parameters)
    for name, says in NOT_OFFERED.items():
        if name in parameters:
            raise InvalidInput(f"{where}: {says}", subject=f"{where}.{name}")
    return parameters


def _flag(parameters: dict[str, Any] | None, name: str, where: str) -> bool | None:
    value = None if parameters is None else parameters.get(name)
    if value is not None and not isinstance(value, bool):
        raise wrong_field(f"{where}.{name}", "true or false", value)
    return value
