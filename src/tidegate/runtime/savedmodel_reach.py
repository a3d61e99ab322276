"""What the graph of a SavedModel can reach: files, the network, Python, other devices.

A graph is a program. TensorFlow says so itself ("models are programs", in its SECURITY.md): operations of it read and
write files or talk to servers, with the rights of the process. No model needs these to answer; saving and restoring the
variables does, and there they are expected.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator

from tidegate.runtime.savedmodel_file import Node, SavedGraph, node_of

#: Parts of names, so that an operation which a later release adds to one of these families is met as well.
_FAMILIES = re.compile(
    r"File|Dataset|Iterator|Summar|PyFunc|Python|Reader|Rpc|Grpc|Http|Send|Recv|Collective|Nccl|TPU|Tpu|Worker"
    r"|Save|Restore|Checkpoint|Snapshot|Dump|Debug|Remote|Sql|LMDB|Bigtable|DTensor|Distributed|HostCompute|CustomCall"
)
#: Those whose names do not say it. `PrintV2` writes to any file, `DecodeProtoV2` and `EncodeProto` read descriptors,
#: `ImmutableConst` maps a file into memory, `Copy` is the debugger's, `Abort` ends the process.
_SINGLE = {
    "Abort", "Copy", "CopyHost", "DecodeProtoV2", "EncodeProto", "GenerateVocabRemapping", "ImmutableConst",
    "LoadAndRemapMatrix", "PrintV2", "RecordInput", "Skipgram",
}  # fmt: skip
_TO_SAVE = {"SaveV2", "MergeV2Checkpoints", "ShardedFilename"}
_TO_RESTORE = {"RestoreV2"}


def reaching_operations(graph: SavedGraph) -> list[str]:
    """Return the operations with which serving the graph could reach beyond it, sorted, each once."""
    by_name = {name: node for node in graph.nodes for name in node.names}
    saving, restoring = _upstream(graph.savers, by_name), _upstream(graph.restorers, by_name)
    outputs = [node_of(tensor.tensor) for _, several in graph.signatures.values() for tensor in several]
    serving = _upstream((*outputs, *graph.entries), by_name)
    found: set[str] = set()
    reached: dict[frozenset[str], set[str]] = {}
    for node in graph.nodes:
        expected = _expected(node, saving - serving, restoring - serving)
        found |= _reaching((node,), expected)
        reached.setdefault(expected, set()).update(_called((node,), graph))
    # What nothing calls could be called all the same: by an object of the model, or by its user.
    called = _closure(set().union(*reached.values()), graph)
    others = _closure({*graph.entries} | (set(graph.functions) - called), graph)
    for expected, functions in reached.items():
        for name in _closure(functions, graph):
            found |= _reaching(graph.functions[name], frozenset() if name in others else expected)
    for name in others:
        found |= _reaching(graph.functions[name], frozenset())
    return sorted(found)


def _expected(node: Node, saving: set[str], restoring: set[str]) -> frozenset[str]:
    if len(node.names) != 1:
        return frozenset()
    if node.names[0] in restoring:
        return frozenset(_TO_RESTORE)
    return frozenset(_TO_SAVE) if node.names[0] in saving else frozenset()


def _reaching(nodes: Iterable[Node], expected: frozenset[str]) -> set[str]:
    return {name for node in nodes for name in node.operations if name not in expected and _reaches(name)}


def _reaches(operation: str) -> bool:
    return operation in _SINGLE or _FAMILIES.search(operation) is not None


def _upstream(names: Iterable[str], nodes: dict[str, Node]) -> set[str]:
    """Return the names of the nodes that these depend on, themselves included."""
    waiting, seen = deque(names), set()
    while waiting:
        name = waiting.popleft()
        if name in nodes and name not in seen:
            seen.add(name)
            waiting.extend(nodes[name].inputs)
    return seen


def _called(nodes: Iterable[Node], graph: SavedGraph) -> Iterator[str]:
    for node in nodes:
        yield from (name for name in (*node.functions, *node.operations) if name in graph.functions)


def _closure(names: Iterable[str], graph: SavedGraph) -> set[str]:
    """Return the functions that these call, themselves included."""
    waiting, seen = deque(names), set()
    while waiting:
        name = waiting.popleft()
        if name in graph.functions and name not in seen:
            seen.add(name)
            waiting.extend(_called(graph.functions[name], graph))
    return seen
