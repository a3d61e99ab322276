"""The messages of the services that a replica answers over gRPC, built when this module is imported.

Sources: specification/protocol/inference_grpc.md of github.com/kserve/open-inference-protocol for the package
`inference`, its model repository as docs/protocol/extension_model_repository.md of
github.com/triton-inference-server/server has it, and github.com/grpc/grpc, doc/health-checking.md.

Generated modules would register the names in protobuf's one pool for the whole process, where those of a client
library (tritonclient, kserve), which a model may well use, are registered too: the second to come fails. They would
also ask for a protobuf no older than their generator. A pool of our own has neither problem.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

#: Fields of each message as a .proto file declares them; a nested message has the name of the outer one before its own.
Declarations = Mapping[str, tuple[str, ...]]

_TENSOR = ("string name = 1", "string datatype = 2", "repeated int64 shape = 3")
_TENSOR_WITH_CONTENTS = (*_TENSOR, "map InferParameter parameters = 4", "InferTensorContents contents = 5")

_MODEL_IN_REPOSITORY = (
    "string repository_name = 1",
    "string model_name = 2",
    "map ModelRepositoryParameter parameters = 3",
)

INFERENCE: Declarations = {
    "ServerLiveRequest": (),
    "ServerLiveResponse": ("bool live = 1",),
    "ServerReadyRequest": (),
    "ServerReadyResponse": ("bool ready = 1",),
    "ModelReadyRequest": ("string name = 1", "string version = 2"),
    "ModelReadyResponse": ("bool ready = 1",),
    "ServerMetadataRequest": (),
    "ServerMetadataResponse": ("string name = 1", "string version = 2", "repeated string extensions = 3"),
    "ModelMetadataRequest": ("string name = 1", "string version = 2"),
    "ModelMetadataResponse": (
        "string name = 1",
        "repeated string versions = 2",
        "string platform = 3",
        "repeated ModelMetadataResponse.TensorMetadata inputs = 4",
        "repeated ModelMetadataResponse.TensorMetadata outputs = 5",
    ),
    "ModelMetadataResponse.TensorMetadata": _TENSOR,
    "InferParameter": (
        "oneof:parameter_choice bool bool_param = 1",
        "oneof:parameter_choice int64 int64_param = 2",
        "oneof:parameter_choice string string_param = 3",
        "oneof:parameter_choice double double_param = 4",
        "oneof:parameter_choice uint64 uint64_param = 5",
    ),
    "InferTensorContents": (
        "repeated bool bool_contents = 1",
        "repeated int32 int_contents = 2",
        "repeated int64 int64_contents = 3",
        "repeated uint32 uint_contents = 4",
        "repeated uint64 uint64_contents = 5",
        "repeated float fp32_contents = 6",
        "repeated double fp64_contents = 7",
        "repeated bytes bytes_contents = 8",
    ),
    "ModelInferRequest": (
        "string model_name = 1",
        "string model_version = 2",
        "string id = 3",
        "map InferParameter parameters = 4",
        "repeated ModelInferRequest.InferInputTensor inputs = 5",
        "repeated ModelInferRequest.InferRequestedOutputTensor outputs = 6",
        "repeated bytes raw_input_contents = 7",
    ),
    "ModelInferRequest.InferInputTensor": _TENSOR_WITH_CONTENTS,
    "ModelInferRequest.InferRequestedOutputTensor": ("string name = 1", "map InferParameter parameters = 2"),
    "ModelInferResponse": (
        "string model_name = 1",
        "string model_version = 2",
        "string id = 3",
        "map InferParameter parameters = 4",
        "repeated ModelInferResponse.InferOutputTensor outputs = 5",
        "repeated bytes raw_output_contents = 6",
    ),
    "ModelInferResponse.InferOutputTensor": _TENSOR_WITH_CONTENTS,
    "ModelRepositoryParameter": (
        "oneof:parameter_choice bool bool_param = 1",
        "oneof:parameter_choice int64 int64_param = 2",
        "oneof:parameter_choice string string_param = 3",
        "oneof:parameter_choice bytes bytes_param = 4",
    ),
    "RepositoryModelLoadRequest": _MODEL_IN_REPOSITORY,
    "RepositoryModelLoadResponse": (),
    "RepositoryModelUnloadRequest": _MODEL_IN_REPOSITORY,
    "RepositoryModelUnloadResponse": (),
    "RepositoryIndexRequest": ("string repository_name = 1", "bool ready = 2"),
    "RepositoryIndexResponse": ("repeated RepositoryIndexResponse.ModelIndex models = 1",),
    "RepositoryIndexResponse.ModelIndex": (
        "string name = 1",
        "string version = 2",
        "string state = 3",
        "string reason = 4",
    ),
}

#: `status` is an enumeration there, of the same form in bytes: 0 unknown, 1 serving, 2 not serving, 3 no such service.
HEALTH: Declarations = {
    "HealthCheckRequest": ("string service = 1",),
    "HealthCheckResponse": ("int32 status = 1",),
}

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "double": _Field.TYPE_DOUBLE,
    "float": _Field.TYPE_FLOAT,
    "int64": _Field.TYPE_INT64,
    "uint64": _Field.TYPE_UINT64,
    "int32": _Field.TYPE_INT32,
    "uint32": _Field.TYPE_UINT32,
    "bool": _Field.TYPE_BOOL,
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
}


def _declare(message: Any, full_name: str, line: str, package: str) -> None:
    """Add one field to a message's descriptor."""
    *qualifier, kind, name, _, number = line.split()
    field = message.field.add(name=name, number=int(number), label=_Field.LABEL_OPTIONAL)
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{package}.{kind}"
    match qualifier:
        case ["repeated"]:
            field.label = _Field.LABEL_REPEATED
        case ["map"]:  # in bytes, a list of messages with a key and a value
            entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
            entry.options.map_entry = True
            entry.field.add(name="key", number=1, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_STRING)
            entry.field.add(
                name="value", number=2, label=_Field.LABEL_OPTIONAL, type=field.type
            ).type_name = field.type_name
            field.label, field.type_name = _Field.LABEL_REPEATED, f".{package}.{full_name}.{entry.name}"
        case [one_of]:
            if not message.oneof_decl:
                message.oneof_decl.add(name=one_of.removeprefix("oneof:"))
            field.oneof_index = 0


def build(package: str, declarations: Declarations) -> dict[str, Any]:
    """Return the classes of the declared messages by their names; outer messages must come before nested ones."""
    file = descriptor_pb2.FileDescriptorProto(name=f"tidegate/{package}.proto", package=package, syntax="proto3")
    known: dict[str, Any] = {}
    for full_name, lines in declarations.items():
        outer, _, name = full_name.rpartition(".")
        message = known[outer].nested_type.add(name=name) if outer else file.message_type.add(name=name)
        known[full_name] = message
        for line in lines:
            _declare(message, full_name, line, package)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        full_name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{full_name}"))
        for full_name in declarations
    }


#: Of the Open Inference Protocol.
SERVICE = "inference.GRPCInferenceService"

_inference = build("inference", INFERENCE)
_health = build("grpc.health.v1", HEALTH)

ServerLiveResponse: Any = _inference["ServerLiveResponse"]
ServerReadyResponse: Any = _inference["ServerReadyResponse"]
ModelReadyRequest: Any = _inference["ModelReadyRequest"]
ModelReadyResponse: Any = _inference["ModelReadyResponse"]
ServerMetadataResponse: Any = _inference["ServerMetadataResponse"]
ModelMetadataRequest: Any = _inference["ModelMetadataRequest"]
ModelMetadataResponse: Any = _inference["ModelMetadataResponse"]
ModelInferRequest: Any = _inference["ModelInferRequest"]
ModelInferResponse: Any = _inference["ModelInferResponse"]
RepositoryIndexRequest: Any = _inference["RepositoryIndexRequest"]
RepositoryIndexResponse: Any = _inference["RepositoryIndexResponse"]
RepositoryModelLoadRequest: Any = _inference["RepositoryModelLoadRequest"]
RepositoryModelLoadResponse: Any = _inference["RepositoryModelLoadResponse"]
RepositoryModelUnloadRequest: Any = _inference["RepositoryModelUnloadRequest"]
RepositoryModelUnloadResponse: Any = _inference["RepositoryModelUnloadResponse"]
HealthCheckRequest: Any = _health["HealthCheckRequest"]
HealthCheckResponse: Any = _health["HealthCheckResponse"]
