"""A SavedModel is read without TensorFlow: its signatures, and what its graph can reach. The bytes are put together
here as TensorFlow's `.proto` files lay them out; tests/heavy reads files that TensorFlow wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contract.errors import InvalidInput, NotTrusted
from tidegate.runtime.base import ArtifactFiles, LoadOptions
from tidegate.runtime.protobuf import DamagedMessageError
from tidegate.runtime.savedmodel_file import SavedTensor, read_saved_model
from tidegate.runtime.savedmodel_reach import reaching_operations
from tidegate.runtime.savedmodel_signature import SavedModelInterface, serving_graph
from tidegate.runtime.tensorflow import TensorflowRuntime


def varint(value: int) -> bytes:
    octets = bytearray()
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def part(number: int, content: bytes | str) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(data)) + data


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value % (1 << 64))


def entry(key: str, value: bytes) -> bytes:
    return part(1, key) + part(2, value)


def node(name: str, operation: str, *inputs: str, calls: str | None = None) -> bytes:
    attribute = b"" if calls is None else part(5, entry("f", part(10, part(1, calls))))
    return part(1, name) + part(2, operation) + b"".join(part(3, given) for given in inputs) + attribute


def function(name: str, *nodes: bytes) -> bytes:
    return part(1, part(1, name)) + b"".join(part(3, found) for found in nodes)


def tensor(name: str, kind: int = 1, shape: tuple[int, ...] | None = (-1, 2)) -> bytes:
    sizes = number(3, 1) if shape is None else b"".join(part(2, number(1, size)) for size in shape)
    return part(1, name) + number(2, kind) + part(3, sizes)


SERVING = part(1, entry("x", tensor("in:0"))) + part(2, entry("y", tensor("out:0")))


def saved(
    *nodes: bytes,
    functions: tuple[bytes, ...] = (),
    saver: tuple[str, str] | None = None,
    signature: bytes = SERVING,
    name: str = "serving_default",
    more: bytes = b"",
) -> bytes:
    library = part(2, b"".join(part(1, found) for found in functions))
    meta = part(1, part(4, "serve") + part(5, "2.21.0"))
    meta += part(2, b"".join(part(1, found) for found in nodes) + library)
    meta += b"" if saver is None else part(3, part(1, "path:0") + part(2, saver[0]) + part(3, saver[1]))
    return number(1, 1) + part(2, meta + part(5, entry(name, signature)) + more)


PLAIN = (node("in", "Placeholder"), node("out", "MatMul", "in", "weights"), node("weights", "VarHandleOp"))
SAVER = (node("save", "SaveV2", "path"), node("restore", "RestoreV2", "path"), node("path", "Placeholder"))


def write(folder: Path, content: bytes) -> Path:
    (folder / "saved_model.pb").write_bytes(content)
    return folder


def reached(folder: Path, content: bytes) -> list[str]:
    return [name for graph in read_saved_model(write(folder, content)) for name in reaching_operations(graph)]


def test_the_signature_is_read_with_types_and_shapes(tmp_path: Path) -> None:
    (graph,) = read_saved_model(write(tmp_path, saved(*PLAIN)))
    assert (graph.tags, graph.version) == (("serve",), "2.21.0")
    inputs, outputs = graph.signatures["serving_default"]
    assert inputs == (SavedTensor("x", "in:0", 1, (-1, 2)),)
    assert outputs == (SavedTensor("y", "out:0", 1, (-1, 2)),)


def test_saving_and_restoring_the_variables_is_no_reach(tmp_path: Path) -> None:
    assert reached(tmp_path, saved(*PLAIN, *SAVER, saver=("save:0", "restore"))) == []
    bodies = (
        function("traced_save", node("a", "ShardedFilename"), node("b", "SaveV2"), node("c", "MergeV2Checkpoints")),
        function("traced_restore", node("a", "RestoreV2"), node("b", "AssignVariableOp")),
    )
    calls = (
        node("s", "StatefulPartitionedCall", calls="traced_save"),
        node("r", "StatefulPartitionedCall", calls="traced_restore"),
    )
    assert reached(tmp_path, saved(*PLAIN, *calls, functions=bodies, saver=("s:0", "r"))) == []


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (saved(*PLAIN, node("w", "WriteFile")), ["WriteFile"]),
        (saved(*PLAIN, *SAVER), ["RestoreV2", "SaveV2"]),
        (saved(*PLAIN, node("save", "SaveV2"), saver=("path", "save")), ["SaveV2"]),
        (saved(*SAVER, node("out", "Identity", "^save"), saver=("save:0", "restore")), ["SaveV2"]),
        (saved(*PLAIN, *SAVER, node("w", "ReadFile", "save"), saver=("w:0", "restore")), ["ReadFile"]),
        (saved(*PLAIN, functions=(function("unused", node("p", "EagerPyFunc")),)), ["EagerPyFunc"]),
        (saved(node("out", "f"), functions=(function("f", node("p", "TextLineDataset")),)), ["TextLineDataset"]),
        (
            saved(
                node("out", "While", calls="f"),
                functions=(
                    function("f", node("n", "If", calls="g")),
                    function("g", node("p", "PrintV2")),
                ),
            ),
            ["PrintV2"],
        ),
        (
            saved(
                *PLAIN,
                node("s", "PartitionedCall", calls="store"),
                functions=(function("store", node("p", "SaveV2")),),
                saver=("s", "restore"),
                more=part(7, part(2, entry("store", b""))),
            ),
            ["SaveV2"],
        ),
        (
            saved(*PLAIN, *SAVER, saver=("save", "restore"), more=part(4, entry("main_op", part(1, part(1, "save"))))),
            ["SaveV2"],
        ),
        (saved(part(1, "other") + node("save", "SaveV2"), *PLAIN, saver=("save", "restore")), ["SaveV2"]),
    ],
    ids=[
        "a node", "savers that nobody declared", "a saver that loading runs", "a saver that answering runs",
        "a reader beside the saver", "a function that nothing calls", "a node named after its function",
        "a function in a function", "a saver that the model's objects may call", "a saver among what loading runs",
        "a node of two names",
    ],
)  # fmt: skip
def test_whatever_else_reaches_beyond_the_graph_is_found(tmp_path: Path, content: bytes, found: list[str]) -> None:
    assert reached(tmp_path, content) == found


@pytest.mark.parametrize(
    "operation",
    ["MatchingFiles", "TFRecordReaderV2", "RpcCall", "CollectiveReduceV3", "TPUExecute", "PyFunc", "LMDBDataset",
     "ImmutableConst", "DecodeProtoV2", "DebugIdentityV3", "CreateSummaryFileWriter", "InitializeTableFromTextFileV2",
     "IteratorGetNext", "Abort", "LoadAndRemapMatrix", "RecordInput", "XlaHostCompute", "_HostSend", "RemoteCall"],
)  # fmt: skip
def test_operations_that_reach_are_known_by_their_names(tmp_path: Path, operation: str) -> None:
    assert reached(tmp_path, saved(*PLAIN, node("n", operation))) == [operation]


@pytest.mark.parametrize(
    "operation",
    ["MatMul", "Conv2D", "ReadVariableOp", "LookupTableFindV2", "InitializeTableV2", "LookupTableImportV2", "Assert",
     "StringUpper", "TensorArrayReadV3", "ParseExampleV2", "DecodeJpeg", "XlaCallModule", "Bucketize", "BatchFunction"],
)  # fmt: skip
def test_operations_that_compute_need_no_trust(tmp_path: Path, operation: str) -> None:
    assert reached(tmp_path, saved(*PLAIN, node("n", operation))) == []


def test_what_reaches_is_not_loaded_without_trust(tmp_path: Path) -> None:
    files = ArtifactFiles(write(tmp_path, saved(*PLAIN, node("w", "WriteFile"))))
    recognition = TensorflowRuntime().recognise(files)
    assert recognition is not None
    assert recognition.needs_trust
    with pytest.raises(NotTrusted, match="reach beyond the model"):
        TensorflowRuntime().load(files, LoadOptions())


@pytest.mark.parametrize("other", ["saved_model.cpb", "saved_model.pbtxt"])
def test_a_second_form_of_the_graph_needs_trust(tmp_path: Path, other: str) -> None:
    write(tmp_path, saved(*PLAIN))
    (tmp_path / other).write_bytes(b"")
    recognition = TensorflowRuntime().recognise(ArtifactFiles(tmp_path))
    assert recognition is not None
    assert recognition.reasons == (f"it holds {other}, a second graph that is not looked into",)


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        (part(1, entry("x", tensor("in:0", 8))) + part(2, entry("y", tensor("out:0"))), "'x' .* of a type that cannot"),
        (part(1, entry("x", tensor("in:0", 1, None))) + part(2, entry("y", tensor("out:0"))), "no dimension for the"),
        (part(1, entry("x", tensor("in:0", 1, ()))) + part(2, entry("y", tensor("out:0"))), "no dimension for the"),
        (part(1, entry("x", tensor("in:0", 1, (32, 2)))) + part(2, entry("y", tensor("o:0"))), "no dimension for the"),
        (part(1, entry("x", tensor("", 1))) + part(2, entry("y", tensor("out:0"))), "'x' .* of a type that cannot"),
        (part(1, entry("x", tensor("in:0"))), "has no outputs"),
    ],
)
def test_inputs_and_outputs_that_cannot_be_served_are_named(tmp_path: Path, signature: bytes, message: str) -> None:
    graph = serving_graph(read_saved_model(write(tmp_path, saved(*PLAIN, signature=signature))))
    with pytest.raises(InvalidInput, match=message):
        SavedModelInterface(graph)


def test_without_serving_default_the_other_signatures_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no graph with the signature") as caught:
        serving_graph(read_saved_model(write(tmp_path, saved(*PLAIN, name="train"))))
    assert caught.value.got == "the signatures train"


@given(cut=st.integers(0, len(saved(*PLAIN, *SAVER, saver=("save", "restore"))) - 1), flips=st.binary(max_size=8))
def test_damaged_files_are_damaged_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flips: bytes
) -> None:
    whole = bytearray(saved(*PLAIN, *SAVER, saver=("save", "restore")))
    for step, value in enumerate(flips):
        whole[(cut + step * 37) % len(whole)] = value
    folder = tmp_path_factory.mktemp("damaged")
    for content in (bytes(whole), bytes(whole[:cut])):
        try:
            graphs = read_saved_model(write(folder, content))
        except DamagedMessageError:
            continue
        for graph in graphs:
            reaching_operations(graph)


def test_a_damaged_graph_is_refused_before_the_framework_is_asked(tmp_path: Path) -> None:
    files = ArtifactFiles(write(tmp_path, saved(*PLAIN)[:-5]))
    assert TensorflowRuntime().recognise(files) is not None
    with pytest.raises(InvalidInput, match="damaged SavedModel"):
        TensorflowRuntime().load(files, LoadOptions())
