"""What a SavedModel says of itself, read from `saved_model.pb` without the framework.

Field numbers are those of TensorFlow's `saved_model.proto`, `meta_graph.proto`, `graph.proto`, `function.proto`,
`node_def.proto`, `attr_value.proto`, `saver.proto` and `saved_object_graph.proto`; protobuf files keep them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tidegate.runtime.protobuf import DamagedMessageError, Field, content, fields

FILENAME, SIGNATURE = "saved_model.pb", "serving_default"
#: A protobuf message is smaller than this, so a larger file is none.
MAX_BYTES = (1 << 31) - 1
_MODEL_META = 2
_META_INFO, _META_GRAPH, _META_SAVER, _META_COLLECTION, _META_SIGNATURE, _META_OBJECTS = 1, 2, 3, 4, 5, 7
_INFO_TAG, _INFO_VERSION = 4, 5
_GRAPH_NODE, _GRAPH_LIBRARY, _LIBRARY_FUNCTION = 1, 2, 1
_FUNCTION_SIGNATURE, _FUNCTION_NODE, _OP_NAME = 1, 3, 1
_NODE_NAME, _NODE_OP, _NODE_INPUT, _NODE_ATTRIBUTE = 1, 2, 3, 5
_VALUE_LIST, _VALUE_FUNCTION, _LIST_FUNCTION, _FUNCTION_NAME, _FUNCTION_ATTRIBUTE = 1, 10, 9, 1, 2
_SAVER_SAVE, _SAVER_RESTORE = 2, 3
_OBJECTS_FUNCTION = 2
_KEY, _VALUE = 1, 2
_SIGNATURE_INPUT, _SIGNATURE_OUTPUT = 1, 2
_TENSOR_NAME, _TENSOR_TYPE, _TENSOR_SHAPE = 1, 2, 3
_SHAPE_DIMENSION, _SHAPE_UNKNOWN, _DIMENSION_SIZE = 2, 3, 1
_MAX_DEPTH = 20


@dataclass(frozen=True)
class SavedTensor:
    """An input or output of a signature.

    Attributes:
        key: its name in the signature, by which it is fed and fetched.
        tensor: its name in the graph, e.g. "serving_default_x:0"; empty for a composite one (sparse, ragged).
        type_number: `DataType` of `types.proto`.
        shape: -1 for a dimension of any size; None when not even the number of dimensions is known.
    """

    key: str
    tensor: str
    type_number: int
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class Node:
    """A node of a graph, or of a function's body.

    Attributes:
        names: its name; more than one in a file that was tampered with.
        operations: what it does, one name as above; also the name of a function when it is a call of that.
        inputs: the names of the nodes it takes from.
        functions: the functions that its attributes name.
    """

    names: tuple[str, ...]
    operations: tuple[str, ...]
    inputs: tuple[str, ...]
    functions: tuple[str, ...]


@dataclass(frozen=True)
class SavedGraph:
    """One MetaGraphDef of a SavedModel.

    Attributes:
        tags: e.g. "serve".
        version: of TensorFlow, that wrote it.
        signatures: inputs and outputs by the signature's name.
        nodes: of the main graph.
        functions: bodies of the functions, by name.
        savers, restorers: nodes that write and read the variables; loading runs no saver.
        entries: names of functions that loaded objects may run, and of nodes that loading may run.
    """

    tags: tuple[str, ...]
    version: str | None
    signatures: dict[str, tuple[tuple[SavedTensor, ...], tuple[SavedTensor, ...]]]
    nodes: tuple[Node, ...]
    functions: dict[str, tuple[Node, ...]]
    savers: tuple[str, ...]
    restorers: tuple[str, ...]
    entries: tuple[str, ...]


def read_saved_model(folder: Path) -> list[SavedGraph]:
    """Return the graphs in a SavedModel.

    Raises:
        DamagedMessageError: the file is no SavedModel, or a damaged one.
        OSError: the file cannot be read.
    """
    path = folder / FILENAME
    if path.stat().st_size > MAX_BYTES:
        raise DamagedMessageError("the file is larger than a message can be")
    stream = io.BytesIO(path.read_bytes())
    found = [_graph(stream, part) for part in _parts(stream, None, _MODEL_META)]
    if not found:
        raise DamagedMessageError("there is no graph in it")
    return found


def _graph(stream: BinaryIO, meta: Field) -> SavedGraph:
    info = _parts(stream, meta, _META_INFO)
    savers = _parts(stream, meta, _META_SAVER)
    graphs = _parts(stream, meta, _META_GRAPH)
    libraries = [part for graph in graphs for part in _parts(stream, graph, _GRAPH_LIBRARY)]
    functions: dict[str, tuple[Node, ...]] = {}
    for part in (function for library in libraries for function in _parts(stream, library, _LIBRARY_FUNCTION)):
        nodes = tuple(_node(stream, node) for node in _parts(stream, part, _FUNCTION_NODE))
        names = [name for op in _parts(stream, part, _FUNCTION_SIGNATURE) for name in _texts(stream, op, _OP_NAME)]
        for name in names or [""]:
            functions[name] = functions.get(name, ()) + nodes
    versions = [text for part in info for text in _texts(stream, part, _INFO_VERSION)]
    return SavedGraph(
        tags=tuple(text for part in info for text in _texts(stream, part, _INFO_TAG)),
        version=versions[-1] if versions else None,
        signatures=dict(_signature(stream, entry) for entry in _parts(stream, meta, _META_SIGNATURE)),
        nodes=tuple(_node(stream, node) for graph in graphs for node in _parts(stream, graph, _GRAPH_NODE)),
        functions=functions,
        savers=tuple(node_of(text) for saver in savers for text in _texts(stream, saver, _SAVER_SAVE)),
        restorers=tuple(node_of(text) for saver in savers for text in _texts(stream, saver, _SAVER_RESTORE)),
        entries=tuple(_entries(stream, meta)),
    )


def node_of(tensor: str) -> str:
    """Return the name of the node that a tensor ("name:0") or a control input ("^name") belongs to."""
    return tensor.removeprefix("^").partition(":")[0]


def _entries(stream: BinaryIO, meta: Field) -> Iterator[str]:
    for objects in _parts(stream, meta, _META_OBJECTS):
        for entry in _parts(stream, objects, _OBJECTS_FUNCTION):
            yield from _texts(stream, entry, _KEY)
    # CollectionDef.node_list.value: operations that initialise, in graphs of TensorFlow 1.
    for entry in _parts(stream, meta, _META_COLLECTION):
        for collection in _parts(stream, entry, _VALUE):
            for nodes in _parts(stream, collection, 1):
                yield from (node_of(text) for text in _texts(stream, nodes, 1))


def _signature(stream: BinaryIO, entry: Field) -> tuple[str, tuple[tuple[SavedTensor, ...], tuple[SavedTensor, ...]]]:
    inputs: dict[str, SavedTensor] = {}
    outputs: dict[str, SavedTensor] = {}
    for part in _parts(stream, entry, _VALUE):
        for number, tensors in ((_SIGNATURE_INPUT, inputs), (_SIGNATURE_OUTPUT, outputs)):
            for tensor in _parts(stream, part, number):
                found = _tensor(stream, tensor)
                tensors[found.key] = found
    by_key = [tuple(sorted(tensors.values(), key=lambda tensor: tensor.key)) for tensors in (inputs, outputs)]
    return _last(_texts(stream, entry, _KEY)), (by_key[0], by_key[1])


def _tensor(stream: BinaryIO, entry: Field) -> SavedTensor:
    names: list[str] = []
    type_number, shape = 0, None
    for info in _parts(stream, entry, _VALUE):
        names += _texts(stream, info, _TENSOR_NAME)
        stream.seek(info.start)
        for part in list(fields(stream, info.end)):
            if part.number == _TENSOR_TYPE and part.value is not None:
                type_number = part.value
            elif part.number == _TENSOR_SHAPE and part.value is None:
                shape = _shape(stream, part)
    return SavedTensor(_last(_texts(stream, entry, _KEY)), _last(names), type_number, shape)


def _shape(stream: BinaryIO, shape: Field) -> tuple[int, ...] | None:
    sizes = []
    stream.seek(shape.start)
    for part in list(fields(stream, shape.end)):
        if part.number == _SHAPE_UNKNOWN and part.value:
            return None
        if part.number == _SHAPE_DIMENSION and part.value is None:
            stream.seek(part.start)
            values = [found.value for found in fields(stream, part.end) if found.number == _DIMENSION_SIZE]
            # An int64 of -1 is written as the unsigned number of its 64 bits.
            size = (values[-1] if values else 0) or 0
            sizes.append(size if size < 1 << 63 else -1)
    return tuple(sizes)


def _node(stream: BinaryIO, node: Field) -> Node:
    names, operations, inputs, functions = [], [], [], []
    stream.seek(node.start)
    for part in list(fields(stream, node.end)):
        if part.value is not None:
            continue
        if part.number == _NODE_NAME:
            names.append(_text(stream, part))
        elif part.number == _NODE_OP:
            operations.append(_text(stream, part))
        elif part.number == _NODE_INPUT:
            inputs.append(node_of(_text(stream, part)))
        elif part.number == _NODE_ATTRIBUTE:
            functions += _functions(stream, part, 0)
    return Node(tuple(names), tuple(operations), tuple(inputs), tuple(functions))


def _functions(stream: BinaryIO, attribute: Field, depth: int) -> list[str]:
    """Return the names of the functions in one entry of a map from attribute name to AttrValue."""
    if depth > _MAX_DEPTH:
        raise DamagedMessageError("its attributes are nested deeper than any graph's")
    found = []
    for value in _parts(stream, attribute, _VALUE):
        named = _parts(stream, value, _VALUE_FUNCTION)
        named += [
            part for several in _parts(stream, value, _VALUE_LIST) for part in _parts(stream, several, _LIST_FUNCTION)
        ]
        for function in named:
            found += _texts(stream, function, _FUNCTION_NAME)
            for inner in _parts(stream, function, _FUNCTION_ATTRIBUTE):
                found += _functions(stream, inner, depth + 1)
    return found


def _parts(stream: BinaryIO, message: Field | None, number: int) -> list[Field]:
    """Return the length-delimited fields of that number in a message; None is the whole stream."""
    end = message.end if message is not None else stream.seek(0, io.SEEK_END)
    stream.seek(message.start if message is not None else 0)
    return [found for found in fields(stream, end) if found.number == number and found.value is None]


def _text(stream: BinaryIO, part: Field) -> str:
    return content(stream, part).decode(errors="replace")


def _texts(stream: BinaryIO, message: Field, number: int) -> list[str]:
    return [_text(stream, part) for part in _parts(stream, message, number)]


def _last(texts: list[str]) -> str:
    return texts[-1] if texts else ""
