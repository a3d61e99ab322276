"""An MLflow folder is known by its MLmodel, and what that says is read within bounds; MLflow itself is not needed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.models import TrainedModel
from tidegate.artifact.inspect import inspect_artifact
from tidegate.contract.errors import InvalidInput, NotTrusted
from tidegate.runtime.base import ArtifactFiles, LoadOptions, TensorSpec
from tidegate.runtime.mlflow import MlflowRuntime
from tidegate.runtime.mlflow_file import read_mlmodel
from tidegate.runtime.mlflow_schema import specs_from_schema

RUNTIME = MlflowRuntime()
PYFUNC = {"loader_module": "mlflow.pyfunc.model", "python_model": "python_model.pkl"}


def folder(path: Path, flavors: Mapping[str, Any], **more: Any) -> ArtifactFiles:
    path.mkdir(exist_ok=True)
    (path / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors, "mlflow_version": "3.17.2", **more}))
    return ArtifactFiles(path)


def with_model(trained: TrainedModel, path: Path, flavor: str, key: str, **more: Any) -> ArtifactFiles:
    path.mkdir()
    name = f"model{trained.path.suffix}"
    shutil.copy(trained.path, path / name)
    return folder(path, {flavor: {key: name}, "python_function": {**PYFUNC, "model_path": name}}, **more)


FLAVORS = {
    "skops": ("sklearn", "pickled_model"),
    "pickle": ("sklearn", "pickled_model"),
    "xgboost-ubj": ("xgboost", "data"),
    "lightgbm": ("lightgbm", "data"),
    "onnx": ("onnx", "data"),
}


@pytest.mark.parametrize("kind", FLAVORS)
def test_the_native_file_is_served_by_its_runtime(
    trained: Mapping[str, TrainedModel], tmp_path: Path, kind: str
) -> None:
    flavor, key = FLAVORS[kind]
    files = with_model(trained[kind], tmp_path / "m", flavor, key)
    found = RUNTIME.recognise(files)
    assert found is not None
    assert (found.runtime, found.delegate, found.needs_trust) == ("mlflow", flavor, kind == "pickle")
    model = RUNTIME.load(files, LoadOptions(trusted=True, sample=list(trained[kind].rows)[:2]))
    answer = model.predict(trained[kind].columns)
    for name, expected in trained[kind].expected.items():
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(answer[name], expected, rtol=1e-6)
        else:
            assert answer[name].tolist() == expected.tolist()
    if kind == "pickle":
        with pytest.raises(NotTrusted):
            RUNTIME.load(files, LoadOptions())


def test_a_folder_with_an_mlmodel_is_mlflow_s_although_onnx_knows_the_graph_in_it(
    trained: Mapping[str, TrainedModel], tmp_path: Path
) -> None:
    files = with_model(trained["onnx"], tmp_path / "m", "onnx", "data")
    _, found = inspect_artifact(files.root)
    assert (found.runtime, found.delegate) == ("mlflow", "onnx")
    with pytest.raises(InvalidInput, match="is a mlflow model"):
        inspect_artifact(files.root, framework="onnx")


def test_code_beside_a_native_file_makes_trust_necessary(trained: Mapping[str, TrainedModel], tmp_path: Path) -> None:
    files = with_model(trained["skops"], tmp_path / "m", "sklearn", "pickled_model")
    (files.root / "code").mkdir()
    (files.root / "code" / "own.py").write_text("import os\n")
    flavor = {"pickled_model": "model.skops", "code": "code"}
    found = RUNTIME.recognise(folder(files.root, {"sklearn": flavor, "python_function": PYFUNC}))
    assert found is not None
    assert (found.format, found.needs_trust) == ("mlflow-pyfunc", True)
    assert "it brings the code code/own.py" in found.reasons


def test_a_file_outside_the_folder_is_not_taken(trained: Mapping[str, TrainedModel], tmp_path: Path) -> None:
    shutil.copy(trained["skops"].path, tmp_path / "outside.skops")
    files = folder(tmp_path / "m", {"sklearn": {"pickled_model": "../outside.skops"}})
    with pytest.raises(InvalidInput, match="no flavour"):
        RUNTIME.load(files, LoadOptions())
    for path in (str(tmp_path / "outside.skops"), "", "nothing", 3, None, "a\0b"):
        folder_ = read_mlmodel(files)
        assert folder_ is not None
        assert folder_.path(path) is None


def test_a_pickle_in_a_python_function_that_starts_a_shell_is_refused_even_with_trust(tmp_path: Path) -> None:
    files = folder(tmp_path / "m", {"python_function": PYFUNC})
    (files.root / "python_model.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    found = RUNTIME.recognise(files)
    assert found is not None
    assert found.dangerous == ("it imports os.system",)
    with pytest.raises(NotTrusted):
        RUNTIME.load(files, LoadOptions(trusted=True))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("flavors: [", "not YAML"),
        ("", "no flavours"),
        ("just a text", "no flavours"),
        ("flavors: {}", "no flavours"),
        ("flavors: {sklearn: 3}", "no flavours"),
        ("flavors: {a: {}}\nsignature: {inputs: 'no json'}", "no JSON"),
        ("flavors: {a: {}}\nsignature: {inputs: '{}'}", "no list"),
        ("flavors: {a: {b: !!python/object/apply:os.system ['true']}}", "not YAML"),
        ("flavors: " + "{a: " * 60 + "1" + "}" * 60, "nested more than"),
        ("a: &a [1]\nflavors: {a: {b: [" + "*a, " * 101 + "1]}}", "aliases"),
        ("flavors: {a: {b: '" + "x" * (4 << 20) + "'}}", "larger than"),
    ],
)
def test_a_damaged_or_hostile_mlmodel_is_refused_with_the_reason(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(InvalidInput, match=why):
        RUNTIME.recognise(ArtifactFiles(tmp_path))


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_no_bytes_in_an_mlmodel_make_recognition_fail_otherwise(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "MLmodel").write_bytes(b"flavors:\n  a: {}\n" + content)
    message = "MLmodel"
    try:
        assert RUNTIME.recognise(ArtifactFiles(tmp_path)) is not None
    except InvalidInput as error:
        message = error.message
    assert "MLmodel" in message


def test_the_folder_s_example_becomes_rows(tmp_path: Path) -> None:
    files = folder(
        tmp_path / "m",
        {"python_function": PYFUNC},
        saved_input_example_info={"artifact_path": "input_example.json", "type": "dataframe", "pandas_orient": "split"},
    )
    (files.root / "input_example.json").write_text(json.dumps({"columns": ["a", "b"], "data": [[1.5, "x"], [2, "y"]]}))
    found = read_mlmodel(files)
    assert found is not None
    assert found.example_columns() == [{"a": 1.5, "b": "x"}, {"a": 2, "b": "y"}]
    (files.root / "input_example.json").write_text("{")
    assert found.example_columns() == []


def test_columns_and_tensors_of_a_signature_become_inputs() -> None:
    columns = [{"type": kind, "name": kind} for kind in ("double", "float", "long", "integer", "boolean", "string")]
    specs, is_table = specs_from_schema(columns)
    assert is_table
    assert [spec.datatype for spec in specs] == ["FP64", "FP32", "INT64", "INT32", "BOOL", "BYTES"]
    tensor = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 28, 28]}}
    assert specs_from_schema([tensor]) == ((TensorSpec("input", "FP32", (-1, 28, 28)),), False)


@pytest.mark.parametrize(
    ("entries", "got"),
    [
        ([{"type": "datetime", "name": "day"}], "datetime"),
        ([{"type": "binary", "name": "image"}], "binary"),
        ([{"type": "object", "name": "person", "properties": {}}], "object"),
        ([{"type": "double"}], "without a name"),
        ([{"type": "double", "name": "a"}, {"type": "double", "name": "a"}], "twice"),
        ([{"type": "tensor", "tensor-spec": {"dtype": "datetime64[ns]", "shape": [-1]}}], "datetime64"),
        ([{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": []}}], "shape"),
        ([], "neither"),
    ],
)
def test_what_cannot_be_served_is_refused_by_its_type(entries: list[dict[str, Any]], got: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be served") as caught:
        specs_from_schema(entries)
    assert got in str(caught.value.got)
