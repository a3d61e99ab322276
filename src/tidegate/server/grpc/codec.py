"""Inference requests of the Open Inference Protocol v2 over gRPC, to and from bytes.

Source: github.com/kserve/open-inference-protocol, specification/protocol/inference_grpc.md. What tensors may be is in
`protocols.oip_tensors`, how raw contents lie in bytes in `protocols.oip_binary`. Where the protocol leaves room:

- the answer has the form of the request: raw contents to raw, typed to typed; FP16, which has no typed form, is raw
  and all other outputs with it;
- BYTES know no missing text: None is written as an empty one.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from tidegate.contract.errors import InvalidInput, TidegateError
from tidegate.runtime.base import NUMPY_DTYPES, Array, Columns, Signature, TensorSpec
from tidegate.server.grpc.messages import ModelInferRequest, ModelInferResponse
from tidegate.server.metadata import check_model
from tidegate.server.protocols.base import Call, Encoded, Identity, Limits, Message
from tidegate.server.protocols.oip import NOT_OFFERED
from tidegate.server.protocols.oip_binary import array_from_bytes, bytes_of, converted, text_bytes, text_of
from tidegate.server.protocols.oip_tensors import Given, InputReader, OutputChooser, check_declared, is_narrower
from tidegate.server.protocols.values import shorten

#: The typed field of each datatype, and the dtype in which its values come.
_CONTENTS: dict[str, tuple[str, np.dtype[Any]]] = {
    "BOOL": ("bool_contents", np.dtype(np.bool_)),
    "INT8": ("int_contents", np.dtype(np.int32)),
    "INT16": ("int_contents", np.dtype(np.int32)),
    "INT32": ("int_contents", np.dtype(np.int32)),
    "INT64": ("int64_contents", np.dtype(np.int64)),
    "UINT8": ("uint_contents", np.dtype(np.uint32)),
    "UINT16": ("uint_contents", np.dtype(np.uint32)),
    "UINT32": ("uint_contents", np.dtype(np.uint32)),
    "UINT64": ("uint64_contents", np.dtype(np.uint64)),
    "FP32": ("fp32_contents", np.dtype(np.float32)),
    "FP64": ("fp64_contents", np.dtype(np.float64)),
    "BYTES": ("bytes_contents", NUMPY_DTYPES["BYTES"]),
}


class OipGrpcCodec:
    """Codec of `ModelInfer`. The form of a call says whether its outputs go as raw contents."""

    protocol = "oip_grpc"

    def __init__(self, signature: Signature, identity: Identity, limits: Limits) -> None:
        self._inputs = InputReader(signature, limits)
        self._outputs = OutputChooser(signature)
        self._identity = identity

    def decode(self, message: Message) -> Call:
        """Raises NotFound, too: the model's name is in the message."""
        try:
            request = ModelInferRequest.FromString(message.body)
        except DecodeError as error:
            raise InvalidInput(f"the request is not a ModelInferRequest: {error}") from error
        check_model(self._identity, request.model_name, request.model_version or None)
        _check_parameters(request, "parameters")
        raw = request.raw_input_contents
        inputs, rows = self._inputs.read(_given(request, raw))
        names = [name for name, _ in _named(request.outputs, "outputs")]
        outputs = self._outputs.choose(names)
        is_raw = len(raw) > 0 or any(spec.datatype == "FP16" for spec in outputs)
        return Call(inputs=inputs, rows=rows, outputs=outputs, id=request.id, form=is_raw)

    def encode(self, call: Call, outputs: Columns) -> Encoded:
        identity = self._identity
        response = ModelInferResponse(
            model_name=identity.model_name, model_version=identity.model_version, id=call.id or ""
        )
        for spec in call.outputs:
            array = outputs[spec.name]
            tensor = response.outputs.add(name=spec.name, datatype=spec.datatype, shape=array.shape)
            if call.form:
                response.raw_output_contents.append(bytes_of(spec, array))
                continue
            values: list[Any] = array.reshape(-1).tolist()
            if spec.datatype == "BYTES":
                values = [text_bytes(value) for value in values]
            getattr(tensor.contents, _CONTENTS[spec.datatype][0]).extend(values)
        return Encoded(response.SerializeToString(), b"application/grpc")

    def encode_error(self, _: TidegateError) -> bytes:
        """Return nothing: over gRPC an error is a status and a sentence."""
        return b""


def _given(request: Any, raw: Any) -> dict[str, Given]:
    tensors = list(_named(request.inputs, "inputs"))
    if not raw:
        return {
            name: Given(name, tensor.datatype, list(tensor.shape), tensor.contents, _read_contents)
            for name, tensor in tensors
        }
    if len(raw) != len(tensors):
        raise InvalidInput(
            f"the request has {len(tensors)} inputs and {len(raw)} raw_input_contents",
            subject="raw_input_contents",
            expected=f"{len(tensors)}, one for each input",
            got=str(len(raw)),
        )
    given = {}
    for (name, tensor), data in zip(tensors, raw, strict=True):
        if tensor.HasField("contents") and tensor.contents.ByteSize():
            raise InvalidInput(f"{shorten(name)} has contents beside raw_input_contents", subject="raw_input_contents")
        given[name] = Given(name, tensor.datatype, list(tensor.shape), memoryview(data), array_from_bytes)
    return given


def _named(tensors: Any, key: str) -> Iterator[tuple[str, Any]]:
    seen = set()
    for position, tensor in enumerate(tensors):
        name: str = tensor.name
        if name in seen:
            raise InvalidInput(f"{key}: {shorten(name)} stands there twice", subject=key)
        seen.add(name)
        _check_parameters(tensor, f"{key}[{position}].parameters")
        yield name, tensor


def _check_parameters(holder: Any, where: str) -> None:
    parameters = holder.parameters
    if not len(parameters):
        return
    for name, says in NOT_OFFERED.items():
        if name in parameters:
            raise InvalidInput(f"{where}: {says}", subject=f"{where}.{name}")


def _read_contents(spec: TensorSpec, datatype: str, sizes: tuple[int, ...], contents: Any) -> Array:
    if datatype not in _CONTENTS:
        raise InvalidInput(
            f"{spec.name!r}: {datatype} has no typed contents; send raw_input_contents", subject=spec.name
        )
    field, dtype = _CONTENTS[datatype]
    values = getattr(contents, field)
    count = prod(sizes)
    row_size = count // sizes[0]
    if len(values) != count:
        raise InvalidInput(
            f"{field} of {spec.name!r} holds {len(values)} values where shape {list(sizes)} asks for {count}",
            subject=spec.name,
            expected=str(count),
            got=str(len(values)),
        )
    if datatype == "BYTES":
        texts = [text_of(spec, value, position // row_size) for position, value in enumerate(values)]
        return np.array(texts, dtype=object).reshape(sizes)
    array = converted(spec, np.fromiter(values, dtype, count), row_size).reshape(sizes)
    if dtype != NUMPY_DTYPES[datatype] and is_narrower(datatype, spec):  # 8 and 16 bits come as 32
        check_declared(spec, datatype, array)
    return array
