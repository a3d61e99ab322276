"""What PyTorch's files are made into: something to call with named tensors, and what is known of them."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import ArtifactFiles, Datatype, LoadOptions, TensorSpec
from tidegate.runtime.given_inputs import specs_from_sample, specs_from_settings

#: By the name of the torch dtype.
_DATATYPES: dict[str, Datatype] = {
    "torch.bool": "BOOL",
    "torch.uint8": "UINT8",
    "torch.uint16": "UINT16",
    "torch.uint32": "UINT32",
    "torch.uint64": "UINT64",
    "torch.int8": "INT8",
    "torch.int16": "INT16",
    "torch.int32": "INT32",
    "torch.int64": "INT64",
    "torch.float16": "FP16",
    "torch.float32": "FP32",
    "torch.float64": "FP64",
}
#: The name of the output of a model that returns one tensor.
OUTPUT = "output"
_OPTIONAL_TENSOR = "Optional[Tensor]"


@dataclass(frozen=True)
class Program:
    """Something to call.

    Attributes:
        call: tensors by the name of the input to the program's answer, of any structure.
        inputs: what it takes.
        outputs: what it gives, None when that is to be found out by running it.
    """

    call: Callable[[Mapping[str, Any]], Any]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...] | None = None


@contextlib.contextmanager
def _reading(torch: Any, files: ArtifactFiles) -> Iterator[None]:
    """Turn whatever PyTorch makes of damage or another version into one error, and keep its log for that."""
    log = logging.getLogger("torch.export")
    level = log.level
    try:
        with warnings.catch_warnings():
            # That TorchScript is deprecated is for those who make models.
            warnings.simplefilter("ignore")
            log.setLevel(logging.CRITICAL)
            yield
    except InvalidInput:
        raise
    except Exception as error:
        raise InvalidInput(
            f"PyTorch {torch.__version__} cannot load {files.root.name}: {short(error)}",
            subject=str(files.root),
            hint="It may be damaged, written by a newer PyTorch, or need a GPU or a package that is not here.",
        ) from error
    finally:
        log.setLevel(level)


def short(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:400].rstrip(".") + "."


# Programs of torch.export


def exported(torch: Any, files: ArtifactFiles, options: LoadOptions) -> Program:
    if "inputs" in options.settings:
        raise InvalidInput(
            f"{files.root.name} says itself what inputs it takes.",
            subject="modelArtifact.settings.inputs",
            hint="Leave the setting out; it is for TorchScript.",
        )
    with _reading(torch, files), files.root.open("rb") as stream:
        program = torch.export.load(stream)
        module = program.module()
    signature = program.graph_signature
    _require_finished(files, program)
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    users = [name if isinstance(name, str) else None for name in signature.user_inputs]
    constants = list(signature.user_inputs)
    inputs = tuple(_fake_spec(torch, name, values[name], "input") for name in users if name is not None)
    structure, unflatten = program.call_spec.in_spec, torch.utils._pytree.tree_unflatten

    def call(tensors: Mapping[str, Any]) -> Any:
        flat = [constant if name is None else tensors[name] for name, constant in zip(users, constants, strict=True)]
        positional, keywords = unflatten(flat, structure)
        return module(*positional, **keywords)

    results = [values.get(name) if isinstance(name, str) else name for name in signature.user_outputs]
    shaped = dict(named(unflatten(results, program.call_spec.out_spec)))
    outputs = tuple(_fake_spec(torch, name, value, "output") for name, value in shaped.items())
    return Program(call, inputs, outputs)


def _require_finished(files: ArtifactFiles, program: Any) -> None:
    """Refuse a program that was exported while training: dropout makes its answers random, and it changes itself."""
    changed = [
        *program.graph_signature.buffers_to_mutate.values(),
        *program.graph_signature.user_inputs_to_mutate.values(),
    ]
    training = [str(node.target) for node in program.graph.nodes if node.op == "call_function" and _trains(node)]
    if changed or training:
        raise InvalidInput(
            f"{files.root.name} was exported while training: it answers at random or changes itself when it predicts.",
            subject=str(files.root),
            got=", ".join(dict.fromkeys([*training, *changed][:5])),
            hint="Call model.eval() before torch.export.export.",
        )


def _trains(node: Any) -> bool:
    """Whether an operator is called with `train` or `training` set."""
    arguments = getattr(getattr(node.target, "_schema", None), "arguments", ())
    given = {argument.name: value for argument, value in zip(arguments, node.args, strict=False)} | dict(node.kwargs)
    return given.get("train") is True or given.get("training") is True


def _fake_spec(torch: Any, name: str, value: Any, role: str) -> TensorSpec:
    if not isinstance(value, torch.Tensor):
        raise InvalidInput(
            f"The {role} {name!r} is no tensor.", subject=name, expected="a tensor", got=type(value).__name__
        )
    shape = tuple(size if isinstance(size, int) else -1 for size in value.shape)
    if role == "input" and not shape:
        raise InvalidInput(
            f"The input {name!r} is a single value, without a dimension for the rows.",
            subject=name,
            hint="Export the model with a first dimension that is the batch.",
        )
    return TensorSpec(name, datatype_of(name, str(value.dtype), role), shape)


def datatype_of(name: str, dtype: str, role: str) -> Datatype:
    if role == "output" and dtype == "torch.bfloat16":
        return "FP32"  # holds every value of bfloat16, which NumPy does not know
    if dtype not in _DATATYPES:
        raise InvalidInput(
            f"The {role} {name!r} is of a type that cannot be served.",
            subject=name,
            expected=", ".join(sorted(known.removeprefix("torch.") for known in _DATATYPES)),
            got=dtype.removeprefix("torch."),
        )
    return _DATATYPES[dtype]


# TorchScript


def script(torch: Any, files: ArtifactFiles, options: LoadOptions) -> Program:
    with _reading(torch, files), files.root.open("rb") as stream:
        module = torch.jit.load(stream, map_location="cpu").eval()
        arguments = module.forward.schema.arguments[1:]
    names = _tensor_arguments(files, arguments)
    if options.signature is not None:
        inputs = options.signature.inputs
    else:
        given = specs_from_settings(options.settings)
        inputs = specs_from_sample(options.sample, names) if given is None else given
    if [spec.name for spec in inputs] != names:
        if {spec.name for spec in inputs} != set(names):
            raise InvalidInput(
                f"The inputs are not the ones that {files.root.name} takes.",
                subject="modelArtifact.settings.inputs",
                expected=", ".join(names),
                got=", ".join(spec.name for spec in inputs),
            )
        inputs = tuple(spec for name in names for spec in inputs if spec.name == name)
    for spec in inputs:
        if spec.datatype == "BYTES":
            raise InvalidInput(f"The input {spec.name!r} is text, which no tensor holds.", subject=spec.name)
    return Program(lambda tensors: module(*(tensors[name] for name in names)), inputs)


def _tensor_arguments(files: ArtifactFiles, arguments: Sequence[Any]) -> list[str]:
    names = []
    for argument in arguments:
        kind = str(argument.type)
        if kind == "Tensor":
            names.append(str(argument.name))
        elif kind != _OPTIONAL_TENSOR or not argument.has_default_value():
            raise InvalidInput(
                f"The argument {argument.name!r} of {files.root.name} is no tensor.",
                subject=str(argument.name),
                expected="tensors only",
                got=kind,
                hint="Wrap the model in a module whose forward takes tensors alone, and fix the rest in it.",
            )
    if not names:
        raise InvalidInput(f"{files.root.name} takes no tensor.", subject=str(files.root))
    return names


def named(answer: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (name, value) of each value that is not None, named by the keys of dicts and the positions of tuples."""
    if answer is None:
        return
    if isinstance(answer, Mapping):
        for key, value in answer.items():
            yield from named(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(answer, (tuple, list)):
        fields = getattr(answer, "_fields", None) or [f"{position}" for position in range(len(answer))]
        for key, value in zip(fields, answer, strict=True):
            yield from named(value, f"{prefix}.{key}" if prefix else key if not key.isdigit() else f"{OUTPUT}_{key}")
    else:
        yield prefix or OUTPUT, answer
