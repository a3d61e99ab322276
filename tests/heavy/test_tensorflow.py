"""SavedModels answer as TensorFlow does, by ONNX Runtime where that is exact; graphs that reach beyond need trust."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.server.processes import ReplicaProcess, replica
from tidegate.artifact.build import BuildRequest, BundleInfo, build_bundle
from tidegate.artifact.bundle import load_model, read_bundle, verify_bundle
from tidegate.artifact.check import check_artifact
from tidegate.contract.errors import InvalidInput, NotTrusted
from tidegate.runtime.base import Array, ArtifactFiles, LoadOptions, Model, TensorSpec
from tidegate.runtime.onnx_session import OnnxGraph
from tidegate.runtime.registry import get_runtime, runtimes
from tidegate.runtime.savedmodel_compare import difference, trial_inputs
from tidegate.runtime.savedmodel_file import read_saved_model
from tidegate.runtime.savedmodel_signature import SavedModelInterface, serving_graph
from tidegate.runtime.tensorflow_graph import TensorflowGraph

RANDOM = np.random.default_rng(11)
ROWS = [{"amount": 3.5, "carrier": "AA"}, {"amount": 90.25, "carrier": "UA"}, {"amount": None, "carrier": "DL"}]


class Scored(tf.Module):
    """A tensor in; a score and a text per row out."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = tf.Variable([[1.5], [-2.0]])

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32)])
    def score(self, values: Any) -> dict[str, Any]:
        scores = tf.matmul(values, self.weights)[:, 0]
        return {"score": scores, "sign": tf.where(scores > 0, "plus", "minus")}


class OneRow(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([1, 3], tf.float32)])
    def double(self, values: Any) -> dict[str, Any]:
        return {"twice": values * 2}


class Text(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def describe(self, text: Any) -> dict[str, Any]:
        return {"upper": tf.strings.upper(text), "size": tf.strings.length(text)}


class ReadsFiles(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def read(self, path: Any) -> dict[str, Any]:
        return {"content": tf.map_fn(tf.io.read_file, path)}


class WritesFiles(tf.Module):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = str(path)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def write(self, x: Any) -> dict[str, Any]:
        with tf.control_dependencies([tf.io.write_file(self.path, "was here")]):
            return {"same": tf.identity(x)}


class CallsPython(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def call(self, x: Any) -> dict[str, Any]:
        return {"twice": tf.py_function(lambda value: value * 2, [x], tf.float32)}


class Summed(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32)])
    def total(self, x: Any) -> dict[str, Any]:
        return {"total": tf.reduce_sum(x)}


def save(module: Any, function: Any, folder: Path) -> Path:
    tf.saved_model.save(module, str(folder), signatures={"serving_default": function})
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a SavedModel of each kind."""
    root = tmp_path_factory.mktemp("saved")
    keras.utils.set_random_seed(4)
    network = [keras.layers.Dense(16, activation="relu"), keras.layers.Dense(3, activation="softmax")]
    keras.Sequential([keras.Input((4,), name="x"), *network]).export(root / "network", verbose=False)
    amount, carrier = keras.Input((1,), name="amount"), keras.Input((1,), dtype="string", name="carrier")
    known = keras.layers.StringLookup(vocabulary=["AA", "DL", "UA"], output_mode="one_hot")(carrier)
    scaled = keras.layers.Normalization(mean=50.0, variance=900.0)(amount)
    hidden = keras.layers.Dense(8, activation="relu")(keras.layers.Concatenate()([scaled, known]))
    keras.Model([amount, carrier], keras.layers.Dense(1, activation="sigmoid")(hidden)).export(
        root / "table", verbose=False
    )
    for name, module, function in (
        ("scored", scored := Scored(), scored.score),
        ("one-row", one := OneRow(), one.double),
        ("text", text := Text(), text.describe),
        ("reads", reads := ReadsFiles(), reads.read),
        ("python", python := CallsPython(), python.call),
        ("summed", summed := Summed(), summed.total),
    ):
        save(module, function, root / name)
    writes = WritesFiles(root / "written")
    save(writes, writes.write, root / "writes")
    (root / "rows.json").write_text(json.dumps(ROWS))
    return root


def own(folder: Path, **inputs: Any) -> dict[str, Array]:
    """Return what TensorFlow itself answers."""
    function = tf.saved_model.load(str(folder)).signatures["serving_default"]
    return {key: value.numpy() for key, value in function(**{k: tf.constant(v) for k, v in inputs.items()}).items()}


def load(folder: Path, **options: Any) -> Model:
    return get_runtime("tensorflow").load(ArtifactFiles(folder), LoadOptions(**options))


def build(folder: Path, bundles: Path, **request: Any) -> BundleInfo:
    return asyncio.run(build_bundle(BuildRequest(folder, **request), bundles))


def holds_tensorflow(running: ReplicaProcess) -> bool:
    return "libtensorflow" in Path(f"/proc/{running.process.pid}/maps").read_text()


def table_columns(rows: list[dict[str, Any]]) -> dict[str, Array]:
    return {
        "amount": np.array([np.nan if row["amount"] is None else row["amount"] for row in rows], dtype=np.float32),
        "carrier": np.array([row["carrier"] for row in rows], dtype=object),
    }


def test_the_folder_is_known_by_its_content_with_its_version(models: Path) -> None:
    for name in ("network", "table", "scored", "text"):
        files = ArtifactFiles(models / name)
        found = [seen for runtime in runtimes() if (seen := runtime.recognise(files)) is not None]
        assert [(seen.runtime, seen.format) for seen in found] == [("tensorflow", "tensorflow-savedmodel")]
        assert found[0].framework_version == tf.__version__
        assert not found[0].needs_trust


def test_the_signature_is_that_of_serving_default(models: Path) -> None:
    network, table = load(models / "network").signature, load(models / "table").signature
    assert (network.kind, network.inputs) == ("tensors", (TensorSpec("x", "FP32", (-1, 4)),))
    assert network.outputs == (TensorSpec("output_0", "FP32", (-1, 3)),)
    assert (table.kind, table.inputs) == ("columns", (TensorSpec("amount", "FP32"), TensorSpec("carrier", "BYTES")))


@pytest.mark.parametrize("rows", [1, 3, 64])
def test_tensorflow_serves_its_own_answers(models: Path, rows: int) -> None:
    x = RANDOM.normal(size=(rows, 4)).astype(np.float32)
    np.testing.assert_array_equal(
        load(models / "network").predict({"x": x})["output_0"], own(models / "network", x=x)["output_0"]
    )
    values = RANDOM.normal(size=(rows, 2)).astype(np.float32)
    answers, expected = load(models / "scored").predict({"values": values}), own(models / "scored", values=values)
    np.testing.assert_array_equal(answers["score"], expected["score"])
    assert answers["sign"].tolist() == [text.decode() for text in expected["sign"].tolist()]


def test_a_graph_of_one_row_takes_several(models: Path) -> None:
    values = RANDOM.normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_array_equal(load(models / "one-row").predict({"values": values})["twice"], values * 2)


@pytest.mark.parametrize("name", ["network", "one-row", "scored"])
def test_an_exact_conversion_is_bundled_beside_the_artifact_and_answers_the_same(
    models: Path, tmp_path: Path, name: str
) -> None:
    info = build(models / name, tmp_path)
    bundle = read_bundle(info.folder)
    verify_bundle(bundle)
    assert info.warnings == []
    assert bundle.derived is not None
    assert [path.name for path in bundle.derived.iterdir()] == ["model.onnx"]
    assert set(bundle.manifest.environment.packages) == {"numpy", "onnxruntime"}
    for path in (models / name).rglob("*"):
        if path.is_file():
            assert (bundle.artifact_path / path.relative_to(models / name)).read_bytes() == path.read_bytes()
    shape = (50, *bundle.signature.inputs[0].shape[1:])
    inputs = {bundle.signature.inputs[0].name: RANDOM.normal(size=shape).astype(np.float32)}
    answers = load_model(bundle, 1).predict(inputs)
    for key, expected in load(models / name).predict(inputs).items():
        if expected.dtype == object:
            assert answers[key].tolist() == expected.tolist()
        else:
            np.testing.assert_allclose(answers[key], expected, rtol=0, atol=1e-6)


def test_the_same_model_gives_the_same_bundle_wherever_it_lies(models: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "under another name"
    shutil.copytree(models / "table", moved)
    sample = models / "rows.json"
    first, second = (build(folder, tmp_path / "b", sample_path=sample) for folder in (models / "table", moved))
    assert read_bundle(first.folder).derived is not None
    assert first.digest == second.digest


def test_texts_and_gaps_are_converted_with_sample_rows_to_compare(models: Path, tmp_path: Path) -> None:
    bundle = read_bundle(build(models / "table", tmp_path, sample_path=models / "rows.json").folder)
    assert bundle.derived is not None
    rows = [*ROWS, {"amount": 7.0, "carrier": "never seen"}, {"amount": -1e3, "carrier": ""}]
    columns = table_columns(rows)
    answers = load_model(bundle, 1).predict(columns)["output_0"]
    expected = own(models / "table", **{name: values.reshape(-1, 1) for name, values in columns.items()})["output_0"]
    given = [row for row, record in enumerate(rows) if record["amount"] is not None]
    np.testing.assert_allclose(answers[given], expected[given], rtol=0, atol=1e-6)
    assert np.isnan(answers[2]).all()


def test_texts_without_sample_rows_are_left_to_tensorflow_and_that_is_said(models: Path, tmp_path: Path) -> None:
    info = build(models / "table", tmp_path)
    assert read_bundle(info.folder).derived is None
    assert "tensorflow-cpu" in info.manifest.environment.packages
    assert any("TensorFlow itself serves the model" in text and "--sample" in text for text in info.warnings)


def test_what_cannot_be_converted_is_left_to_tensorflow_and_that_is_said(models: Path, tmp_path: Path) -> None:
    sample = tmp_path / "rows.json"
    sample.write_text(json.dumps([{"text": "Grüße"}]))
    info = build(models / "text", tmp_path / "b", sample_path=sample)
    bundle = read_bundle(info.folder)
    assert bundle.derived is None
    assert any("TensorFlow itself serves the model" in text for text in info.warnings)
    answers = load_model(bundle, 1).predict({"text": np.array(["abc", None, "Grüße"], dtype=object)})
    assert answers["upper"].tolist() == ["ABC", "", "GRüßE"]
    assert answers["size"].tolist() == [3, 0, len("Grüße".encode())]


def test_a_conversion_that_answers_otherwise_is_not_kept(models: Path, tmp_path: Path) -> None:
    """Two real graphs with the same signature and other weights stand for a conversion that went wrong."""
    other = Scored()
    other.weights.assign([[1.5], [-2.0 + 1e-5]])
    save(other, other.score, tmp_path / "other")
    bundle = read_bundle(build(models / "scored", tmp_path / "b").folder)
    assert bundle.derived is not None
    converted = OnnxGraph(bundle.derived / "model.onnx", 1)
    results = []
    for folder in (models / "scored", tmp_path / "other"):
        graph = serving_graph(read_saved_model(folder))
        interface = SavedModelInterface(graph)
        original = TensorflowGraph(folder, graph, 1)
        results.append(difference(interface, original, converted, trial_inputs(interface, None)))
    assert results[0] is None
    assert results[1] is not None
    assert "'score' differs by up to" in results[1]


def test_a_replica_of_an_exact_conversion_runs_without_tensorflow(models: Path, tmp_path: Path) -> None:
    info = build(models / "table", tmp_path / "b", sample_path=models / "rows.json")
    with replica(info.folder, tmp_path / "run") as running:
        response = running.client.post("/predict", json={"records": ROWS})
        assert response.status_code == 200, response.text
        assert not holds_tensorflow(running)
        assert running.log_lines()
        assert running.stop() == 0
    expected = load_model(read_bundle(info.folder), 1).predict(table_columns(ROWS))["output_0"].tolist()
    for row, (value,) in zip(response.json()["predictions"], expected, strict=True):
        answered = row["output_0"][0] if isinstance(row, dict) else row[0]
        assert answered is None if np.isnan(value) else answered == pytest.approx(value, abs=1e-6)


def test_a_replica_of_another_model_runs_tensorflow_and_logs_nothing_but_json(models: Path, tmp_path: Path) -> None:
    sample = tmp_path / "rows.json"
    sample.write_text(json.dumps([{"text": "abc"}]))
    info = build(models / "text", tmp_path / "b", sample_path=sample)
    with replica(info.folder, tmp_path / "run") as running:
        response = running.client.post("/predict", json={"records": [{"text": "abc"}, {"text": "de"}]})
        assert response.status_code == 200, response.text
        assert holds_tensorflow(running)
        assert running.log_lines()
        assert running.stop() == 0
    assert [row["upper"] for row in response.json()["predictions"]] == ["ABC", "DE"]


@pytest.mark.parametrize(
    ("name", "operation"), [("reads", "ReadFile"), ("writes", "WriteFile"), ("python", "EagerPyFunc")]
)
def test_graphs_that_reach_files_or_python_need_trust(models: Path, name: str, operation: str) -> None:
    files = ArtifactFiles(models / name)
    recognition = get_runtime("tensorflow").recognise(files)
    assert recognition is not None
    assert recognition.needs_trust
    assert any(operation in reason for reason in recognition.reasons)
    with pytest.raises(NotTrusted, match="reach beyond the model"):
        check_artifact(models / name)
    with pytest.raises(NotTrusted):
        load(models / name)
    assert not (models / "written").exists()


def test_a_trusted_graph_that_reads_files_is_served(models: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("content")
    sample = tmp_path / "rows.json"
    sample.write_text(json.dumps([{"path": str(tmp_path / "text")}]))
    info = build(models / "reads", tmp_path / "b", sample_path=sample, trust=True)
    assert any("its graph holds ReadFile" in text for text in info.warnings)
    answers = load_model(read_bundle(info.folder), 1).predict({"path": np.array([str(tmp_path / "text")], object)})
    assert answers["content"].tolist() == ["content"]


def test_a_vocabulary_in_a_file_needs_trust(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("AA\nDL\n")
    carrier = keras.Input((1,), dtype="string", name="carrier")
    looked_up = keras.layers.StringLookup(vocabulary=str(tmp_path / "words.txt"))(carrier)
    keras.Model(carrier, looked_up).export(tmp_path / "model", verbose=False)
    recognition = get_runtime("tensorflow").recognise(ArtifactFiles(tmp_path / "model"))
    assert recognition is not None
    assert recognition.reasons[0].startswith("its graph holds InitializeTableFromTextFile")


def test_models_of_tensorflow_1_are_served_without_trust(tmp_path: Path) -> None:
    old = tf.compat.v1
    with tf.Graph().as_default(), old.Session() as session:
        x = old.placeholder(tf.float32, [None, 3], name="x")
        weights = old.get_variable("weights", initializer=tf.constant(np.arange(6.0).reshape(3, 2), tf.float32))
        session.run(old.global_variables_initializer())
        old.saved_model.simple_save(session, str(tmp_path / "model"), {"x": x}, {"y": tf.matmul(x, weights)})
    values = RANDOM.normal(size=(4, 3)).astype(np.float32)
    assert not check_artifact(tmp_path / "model").recognition.needs_trust
    expected = values @ np.arange(6.0, dtype=np.float32).reshape(3, 2)
    np.testing.assert_allclose(load(tmp_path / "model").predict({"x": values})["y"], expected, atol=1e-6)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
def test_a_graph_cut_short_is_refused(models: Path, tmp_path: Path, part: float) -> None:
    folder = tmp_path / "model"
    shutil.copytree(models / "network", folder)
    whole = (folder / "saved_model.pb").read_bytes()
    (folder / "saved_model.pb").write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(InvalidInput, match="damaged SavedModel"):
        check_artifact(folder)


def test_lost_variables_are_refused(models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(models / "network", folder)
    shutil.rmtree(folder / "variables")
    with pytest.raises(InvalidInput, match="cannot load model"):
        build(folder, tmp_path / "b")


def test_one_answer_for_all_rows_is_refused(models: Path) -> None:
    with pytest.raises(InvalidInput, match="'total' of the SavedModel is one value for all rows"):
        load(models / "summed")


def test_a_folder_without_the_signature_is_refused_with_its_signatures(tmp_path: Path) -> None:
    module = OneRow()
    tf.saved_model.save(module, str(tmp_path / "model"), signatures={"other": module.double})
    with pytest.raises(InvalidInput, match="no graph with the signature 'serving_default'") as caught:
        load(tmp_path / "model")
    assert caught.value.got == "the signatures other"


def test_threads_are_those_that_were_asked_for(models: Path) -> None:
    code = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tidegate.runtime.base import ArtifactFiles, LoadOptions
from tidegate.runtime.registry import get_runtime
get_runtime("tensorflow").load(ArtifactFiles(Path(sys.argv[1])), LoadOptions(threads=3))
import tensorflow as tf
print(tf.config.threading.get_intra_op_parallelism_threads(), tf.config.threading.get_inter_op_parallelism_threads())
"""
    command = [sys.executable, "-c", code, str(models / "network")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["3", "1"]
    assert done.stderr == ""


def test_predictions_may_come_from_several_threads(models: Path) -> None:
    model = load(models / "network")
    batches = [RANDOM.normal(size=(rows, 4)).astype(np.float32) for rows in (1, 2, 3, 5, 8) * 4]
    expected = [model.predict({"x": batch})["output_0"] for batch in batches]

    def answer(batch: Array) -> Array:
        return model.predict({"x": batch})["output_0"]

    with ThreadPoolExecutor(4) as threads:
        for found, right in zip(threads.map(answer, batches), expected, strict=True):
            np.testing.assert_array_equal(found, right)
