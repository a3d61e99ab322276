"""A file is known by its content, whatever it is called, and no content makes recognition fail."""

from __future__ import annotations

import contextlib
import json
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.models import TrainedModel
from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import ArtifactFiles, LoadOptions, Recognition
from tidegate.runtime.registry import get_runtime, runtimes

FORMATS = {
    "skops": ("sklearn", "skops"),
    "joblib": ("sklearn", "joblib"),
    "joblib-zlib": ("sklearn", "joblib"),
    "pickle": ("sklearn", "pickle"),
    "xgboost-json": ("xgboost", "xgboost-json"),
    "xgboost-ubj": ("xgboost", "xgboost-ubj"),
    "lightgbm": ("lightgbm", "lightgbm-text"),
    "onnx": ("onnx", "onnx"),
}


def recognised(path: Path) -> list[Recognition]:
    return [found for runtime in runtimes() if (found := runtime.recognise(ArtifactFiles(path))) is not None]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("suffix", [".onnx", ".pkl", ".json", ".txt", ""])
def test_the_content_says_what_a_file_is_and_the_extension_does_not(
    trained: Mapping[str, TrainedModel], tmp_path: Path, kind: str, suffix: str
) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(trained[kind].path.read_bytes())
    assert [(found.runtime, found.format) for found in recognised(path)] == [FORMATS[kind]]


@pytest.mark.parametrize("kind", ["xgboost-json", "xgboost-ubj", "lightgbm", "onnx", "skops"])
def test_a_file_with_a_lying_extension_is_served_all_the_same(
    trained: Mapping[str, TrainedModel], tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(trained[kind].path.read_bytes())
    model = get_runtime(trained[kind].runtime).load(ArtifactFiles(path), LoadOptions())
    assert list(model.predict(trained[kind].columns)) == list(trained[kind].expected)


@pytest.mark.parametrize("kind", ["skops", "joblib", "pickle", "xgboost-json", "xgboost-ubj"])
def test_the_version_that_wrote_the_file_is_found(trained: Mapping[str, TrainedModel], kind: str) -> None:
    import sklearn
    import xgboost

    installed = {"sklearn": sklearn.__version__, "xgboost": xgboost.__version__}
    found = recognised(trained[kind].path)[0]
    assert found.framework_version == installed[found.runtime]


@pytest.mark.parametrize("kind", FORMATS)
def test_only_pickles_need_trust(trained: Mapping[str, TrainedModel], kind: str) -> None:
    found = recognised(trained[kind].path)[0]
    assert found.needs_trust == (found.format in ("pickle", "joblib"))
    assert bool(found.reasons) == found.needs_trust


@pytest.mark.parametrize(
    "content",
    [
        b"plain text, no model",
        b'{"learner": ',
        b'{"a": 1}',
        b"tree\n",
        b"\x08\x07",
        b"PK\x03\x04",
        b"\x1f\x8b\x08",
        b"\x80",
        b"\x78\x9c",
        b"\x89PNG\r\n\x1a\n",
        b"\x7fELF",
        b"<html></html>",
        b"a,b\n1,2\n",
    ],
)
def test_other_files_are_of_no_format(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model"
    path.write_bytes(content)
    assert [found.runtime for found in recognised(path)] in ([], ["xgboost"] if b"learner" in content else [])


def test_a_zip_with_a_schema_of_something_else_is_no_skops_file(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", json.dumps({"type": "object"}))
    assert recognised(path) == []


def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.runtime.zip_bounds.MAX_UNPACKED_BYTES", 1 << 20)
    path = tmp_path / "model.skops"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", "{}")
        archive.writestr("array.npy", b"\0" * (2 << 20))
    with pytest.raises(InvalidInput, match="unpacks to more than"):
        recognised(path)


@pytest.mark.parametrize("magic", [b"binf", b""])
def test_the_old_binary_format_of_xgboost_is_known_and_refused_with_the_way_out(tmp_path: Path, magic: bytes) -> None:
    # LearnerModelParamLegacy: base_score, num_feature, num_class, …, 136 bytes in all; then two length-prefixed names.
    parameters = struct.pack("<fIi", 0.5, 4, 0).ljust(136, b"\0")
    names = b"".join(struct.pack("<Q", len(name)) + name for name in (b"binary:logistic", b"gbtree"))
    path = tmp_path / "model.bin"
    path.write_bytes(magic + parameters + names + b"\0" * 200)
    assert [(found.runtime, found.format) for found in recognised(path)] == [("xgboost", "xgboost-binary")]
    with pytest.raises(InvalidInput) as caught:
        get_runtime("xgboost").load(ArtifactFiles(path), LoadOptions())
    assert "save_model" in str(caught.value.hint)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("part", [0.05, 0.5, 0.97])
def test_a_file_that_was_cut_short_is_refused_or_unknown(
    trained: Mapping[str, TrainedModel], tmp_path: Path, kind: str, part: float
) -> None:
    content = trained[kind].path.read_bytes()
    path = tmp_path / trained[kind].path.name
    path.write_bytes(content[: int(len(content) * part)])
    with contextlib.suppress(InvalidInput):
        for found in recognised(path):
            with pytest.raises(InvalidInput) as caught:
                get_runtime(found.runtime).load(ArtifactFiles(path), LoadOptions(trusted=True))
            assert path.name in caught.value.message


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_no_bytes_make_recognition_fail(
    tmp_path: Path, trained: Mapping[str, TrainedModel], data: st.DataObject
) -> None:
    kind = data.draw(st.sampled_from([None, *FORMATS]))
    if kind is None:
        content = data.draw(st.binary(max_size=300))
    else:
        changed = bytearray(trained[kind].path.read_bytes())
        for _ in range(data.draw(st.integers(1, 5))):
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
        content = bytes(changed)
    path = tmp_path / "model"
    path.write_bytes(content)
    with contextlib.suppress(InvalidInput):
        recognised(path)


def test_a_folder_with_one_graph_is_an_onnx_model(trained: Mapping[str, TrainedModel], tmp_path: Path) -> None:
    (tmp_path / "graph.onnx").write_bytes(trained["onnx"].path.read_bytes())
    (tmp_path / "README.md").write_text("how it was trained")
    assert [found.runtime for found in recognised(tmp_path)] == ["onnx"]
    model = get_runtime("onnx").load(ArtifactFiles(tmp_path), LoadOptions())
    assert list(model.predict(trained["onnx"].columns)) == ["label", "probabilities"]


def test_a_folder_of_something_else_is_of_no_format(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("nothing here")
    assert recognised(tmp_path) == []
