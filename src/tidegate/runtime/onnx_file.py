"""What an ONNX file says of itself, read without the framework.

Field numbers are those of `onnx.proto` (ModelProto, GraphProto, NodeProto, AttributeProto); ONNX promises
to keep them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tidegate.runtime.protobuf import DamagedMessageError, Field, content, fields

_IR_VERSION, _PRODUCER, _PRODUCER_VERSION, _GRAPH, _OPSET = 1, 2, 3, 7, 8
_KNOWN = set(range(1, 27))
_GRAPH_NODE, _NODE_ATTRIBUTE = 1, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_INTS, _ATTRIBUTE_STRINGS = 1, 8, 9
_LABEL_ATTRIBUTES = {b"classlabels_strings", b"classlabels_ints", b"classlabels_int64s"}
_MAX_IR_VERSION = 100


@dataclass(frozen=True)
class OnnxHeader:
    """The top level of a ModelProto.

    Attributes:
        ir_version: version of the format.
        producer: who wrote it, e.g. "skl2onnx 1.20.0"; empty when the file does not say.
        damage: why the message could not be read to its end, None when it could.
    """

    ir_version: int
    producer: str
    damage: str | None


def read_header(path: Path) -> OnnxHeader | None:
    """Return what the file says, None when it is no ONNX model."""
    ir_version, names, seen, damage = None, {_PRODUCER: "", _PRODUCER_VERSION: ""}, set(), None
    with path.open("rb") as stream:
        try:
            for found in fields(stream, path.stat().st_size):
                if found.number not in _KNOWN:
                    return None
                seen.add(found.number)
                if found.number == _IR_VERSION:
                    ir_version = found.value
                elif found.number in names:
                    names[found.number] = content(stream, found)[:100].decode(errors="replace")
        except DamagedMessageError as error:
            damage = str(error)
    if ir_version is None or not 0 < ir_version <= _MAX_IR_VERSION:
        return None
    # A file that was cut short stops inside the graph, which is nearly all of it.
    is_cut = damage is not None and f"field {_GRAPH} " in damage and bool(seen - {_IR_VERSION})
    if not is_cut and not {_GRAPH, _OPSET} <= seen:
        return None
    return OnnxHeader(ir_version, " ".join(filter(None, names.values())), damage)


def class_labels(path: Path) -> list[tuple[str, ...]]:
    """Return the distinct lists of class labels that classifier nodes of the graph carry."""
    found: list[tuple[str, ...]] = []
    with path.open("rb") as stream:
        try:
            for graph in _inside(stream, 0, path.stat().st_size, _GRAPH):
                for node in _inside(stream, graph.start, graph.end, _GRAPH_NODE):
                    for attribute in _inside(stream, node.start, node.end, _NODE_ATTRIBUTE):
                        labels = _labels(stream, attribute)
                        if labels and labels not in found:
                            found.append(labels)
        except DamagedMessageError:
            return []
    return found


def _inside(stream: BinaryIO, start: int, end: int, number: int) -> list[Field]:
    stream.seek(start)
    return [found for found in fields(stream, end) if found.number == number and found.value is None]


def _labels(stream: BinaryIO, attribute: Field) -> tuple[str, ...]:
    stream.seek(attribute.start)
    parts = list(fields(stream, attribute.end))
    names = [content(stream, part) for part in parts if part.number == _ATTRIBUTE_NAME and part.value is None]
    if not names or names[0] not in _LABEL_ATTRIBUTES:
        return ()
    texts = [content(stream, part).decode() for part in parts if part.number == _ATTRIBUTE_STRINGS]
    numbers = [str(part.value) for part in parts if part.number == _ATTRIBUTE_INTS and part.value is not None]
    return tuple(texts or numbers)
