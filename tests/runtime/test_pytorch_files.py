"""PyTorch's files are known by the structure of their zip; PyTorch itself is not needed."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate.contract.errors import InvalidInput, NotTrusted
from tidegate.runtime.base import ArtifactFiles, LoadOptions
from tidegate.runtime.given_inputs import specs_from_sample
from tidegate.runtime.pickle_scan import LEGACY_TORCH, scan
from tidegate.runtime.pytorch import PytorchRuntime
from tidegate.runtime.pytorch_file import read_torch_file

RUNTIME = PytorchRuntime()
LINEAR = "torch.ops.aten.linear.default"
GRAPH: dict[str, Any] = {"graph_module": {"graph": {"nodes": [{"target": LINEAR}]}}, "torch_version": "2.13.0"}


def archive(members: dict[str, bytes]) -> bytes:
    """Return a zip as PyTorch writes it: one folder, the first member aligned by an extra field."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as target:
        for name, content in members.items():
            info = zipfile.ZipInfo(f"model/{name}")
            info.extra = b"FB" + (4).to_bytes(2, "little") + b"ZZZZ"
            target.writestr(info, content)
    return stream.getvalue()


def exported(graph: Any = None, **members: bytes) -> bytes:
    return archive(
        {
            "data/weights/weight_0": b"\0" * 48,
            "models/model.json": json.dumps(GRAPH if graph is None else graph).encode(),
            "archive_format": b"pt2",
            **{name.replace("__", "/"): content for name, content in members.items()},
        }
    )


def script(code: str) -> bytes:
    members = {
        "data.pkl": b"\x80\x02}.",
        "code/__torch__.py": code.encode(),
        "constants.pkl": b"\x80\x02).",
        "version": b"3",
    }
    return archive(members)


def state() -> bytes:
    return archive({"data.pkl": pickle.dumps(OrderedDict(), 2), "data/0": b"\0" * 16, "version": b"3\n"})


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "form", "trust"),
    [
        (exported(), "torch-export", True),
        (script("class M(Module):\n  def forward(self, x: Tensor) -> Tensor:\n    return x\n"), "torchscript", True),
        (state(), "torch-pickle", False),
        (LEGACY_TORCH + pickle.dumps(1001, 2) + pickle.dumps({}, 2) + pickle.dumps([], 2), "torch-pickle", False),
        (exported(data__aotinductor__model__x=b"so"), "aotinductor", False),
    ],
    ids=["export", "script", "state", "legacy", "compiled"],
)
def test_the_structure_says_what_a_file_is(tmp_path: Path, content: bytes, form: str, trust: bool) -> None:
    files = ArtifactFiles(written(tmp_path / "model.bin", content))
    found = RUNTIME.recognise(files)
    assert found is not None
    assert (found.runtime, found.format, found.needs_trust, found.servable) == ("pytorch", form, trust, trust)
    assert found.dangerous == ()
    with pytest.raises(NotTrusted if trust else InvalidInput) as caught:
        RUNTIME.load(files, LoadOptions())
    assert trust or "torch.export" in str(caught.value.hint)


def test_a_zip_of_something_else_is_not_pytorch_s(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as target:
        target.writestr("data.pkl", b"\x80\x02}.")
        target.writestr("README", "how it was trained")
    assert RUNTIME.recognise(ArtifactFiles(tmp_path / "model.zip")) is None


def test_the_old_format_is_not_taken_for_a_scikit_learn_pickle(tmp_path: Path) -> None:
    assert scan(written(tmp_path / "model.pt", LEGACY_TORCH + pickle.dumps(1001, 2))) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"target": "torch.os.system"}, "its graph calls torch.os.system"),
        ({"target": "torch.serialization.pickle.loads"}, "its graph calls torch.serialization.pickle.loads"),
        ({"expr_str": "__import__('os').system('true')"}, "as a size"),
        ({"expr_str": "Symbol('s0').__class__"}, "as a size"),
        ({"guards_code": ["__import__('os')"]}, "as a condition"),
    ],
)
def test_code_in_a_graph_is_seen_also_behind_escapes(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    text = json.dumps([GRAPH, {"deep": [change]}])
    escaped = "".join(f"\\u{ord(c):04x}" if c in "_." else c for c in text)
    for number, graph in enumerate((text, escaped)):
        content = archive({"models/model.json": graph.encode(), "archive_format": b"pt2"})
        found = read_torch_file(written(tmp_path / f"{number}.pt2", content))
        assert found is not None
        assert any(reason in line for line in found.dangerous)


@pytest.mark.parametrize(
    "expression", ["Symbol('s23', positive=True, integer=True)", "2*s0 + 1", "FloorDiv(s0, 2)", "Max(1, s77)", "1.5*s0"]
)
def test_ordinary_sizes_and_conditions_raise_no_alarm(tmp_path: Path, expression: str) -> None:
    graph = [GRAPH, {"expr_str": expression, "guards_code": ["L['ids'].size()[0] == L['x'].size()[0]"]}]
    found = read_torch_file(written(tmp_path / "m.pt2", exported(graph)))
    assert found is not None
    assert found.dangerous == ()


def test_a_pickle_in_the_sample_inputs_is_followed(tmp_path: Path) -> None:
    nested = archive({"data.pkl": b"cos\nsystem\n(S'true'\ntR.", "version": b"3"})
    found = read_torch_file(written(tmp_path / "m.pt2", exported(data__sample_inputs__model=nested)))
    assert found is not None
    assert found.dangerous == ("it imports os.system",)


@pytest.mark.parametrize("call", ["torch.save(x, 'f')", "torch.from_file ('f', True)", "ops.aten.save(x, 'f')"])
def test_torchscript_that_reaches_files_is_seen(tmp_path: Path, call: str) -> None:
    found = read_torch_file(written(tmp_path / "m.pt", script(f"  {call}\n")))
    assert found is not None
    assert len(found.dangerous) == 1


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.runtime.zip_bounds.MAX_UNPACKED_BYTES", 40)
    with pytest.raises(InvalidInput, match="unpacks to more"):
        read_torch_file(written(tmp_path / "m.pt2", exported()))


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_no_change_makes_recognition_fail_otherwise_than_in_words(tmp_path: Path, data: st.DataObject) -> None:
    changed = bytearray(data.draw(st.sampled_from([exported(), script("  pass\n"), state()])))
    for _ in range(data.draw(st.integers(1, 5))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    path = written(tmp_path / "m.pt2", bytes(changed[: data.draw(st.integers(0, len(changed)))]))
    message = path.name
    try:
        RUNTIME.recognise(ArtifactFiles(path))
    except InvalidInput as error:
        message = error.message
    assert path.name in message


def test_a_sample_types_the_inputs() -> None:
    rows = [
        {"x": [[1.0, 2], [3, 4]], "n": 3, "flag": True, "who": "AA", "ids": [1, 2]},
        {"x": [[1, 2], [3, 4]], "n": 4, "flag": False, "who": "UA", "ids": [1, 2, 3]},
    ]
    specs = {spec.name: (spec.datatype, spec.shape) for spec in specs_from_sample(rows, list(rows[0]))}
    assert specs == {
        "x": ("FP32", (-1, 2, 2)),
        "n": ("INT64", (-1,)),
        "flag": ("BOOL", (-1,)),
        "who": ("BYTES", (-1,)),
        "ids": ("INT64", (-1, -1)),
    }


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "not of what type"),
        ([{"y": 1}], "no value"),
        ([{"x": [1, [2]]}], "no tensor"),
        ([{"x": []}], "no tensor"),
        ([{"x": 1}, {"x": [1]}], "how deep"),
        ([{"x": [1, "a"]}], "several types"),
    ],
)
def test_a_sample_that_says_nothing_of_an_input_is_refused(rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        specs_from_sample(rows, ["x"])
