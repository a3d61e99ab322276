"""gRPC beside the servers of the fixture `serve`, and requests to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np

from tests.server.conftest import InProcess
from tidegate.runtime.base import Array
from tidegate.server.grpc.messages import INFERENCE, build
from tidegate.server.grpc.serving import server_of
from tidegate.server.replica import Replica

MESSAGES = build("inference", INFERENCE)

#: Which field holds the typed values of a datatype.
CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


class Client:
    """A client of one gRPC server, with our own messages."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel

    def method(self, name: str, service: str = "inference.GRPCInferenceService") -> Any:
        """Return a method from bytes to bytes."""
        return self.channel.unary_unary(f"/{service}/{name}")

    def ask(self, name: str, /, **fields: Any) -> Any:
        """Call a method of the inference service with a message of these fields."""
        answer = self.method(name)(MESSAGES[f"{name}Request"](**fields).SerializeToString(), timeout=30)
        return MESSAGES[f"{name}Response"].FromString(answer)

    def refusal(self, body: bytes) -> tuple[grpc.StatusCode, str]:
        """Send bytes as an inference request that must fail; return status and sentence."""
        try:
            self.method("ModelInfer")(body, timeout=30)
        except grpc.RpcError as error:
            return error.code(), error.details()
        raise AssertionError("the request was answered")


def request(
    tensors: Mapping[str, tuple[str, Array]], *, raw: bool = True, outputs: tuple[str, ...] = (), **fields: Any
) -> Any:
    """Return an inference request to the model `flights`."""
    message = MESSAGES["ModelInferRequest"](**{"model_name": "flights", **fields})
    for name, (datatype, values) in tensors.items():
        tensor = message.inputs.add(name=name, datatype=datatype, shape=values.shape)
        flat = values.ravel().tolist()
        texts = [value.encode() for value in flat] if datatype == "BYTES" else []
        if raw:
            framed = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
            message.raw_input_contents.append(framed if datatype == "BYTES" else np.ascontiguousarray(values).tobytes())
        else:
            getattr(tensor.contents, CONTENTS[datatype]).extend(texts or flat)
    for name in outputs:
        message.outputs.add(name=name)
    return message


@contextmanager
def grpc_port_beside(replica: Replica, server: InProcess) -> Iterator[int]:
    """Serve the replica over gRPC, too, on the loop of its HTTP server; give the port."""
    service = server_of(replica)
    yield server.call(service.start, "127.0.0.1", 0)
    server.call(service.stop)


@contextmanager
def grpc_beside(replica: Replica, server: InProcess) -> Iterator[Client]:
    """Serve the replica over gRPC, too, and give a client."""
    with grpc_port_beside(replica, server) as port, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Client(channel)
