"""MLflow's model folders answer as `mlflow.pyfunc` does, by their native file where there is a runtime for it."""

from __future__ import annotations

import asyncio
import datetime
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.server.processes import replica
from tidegate.artifact.build import BuildRequest, build_bundle
from tidegate.artifact.check import check_artifact
from tidegate.artifact.inspect import inspect_artifact
from tidegate.contract.errors import InvalidInput, NotTrusted
from tidegate.runtime.base import ArtifactFiles, Columns, LoadOptions, Model, Recognition, TensorSpec
from tidegate.runtime.mlflow import MlflowRuntime
from tidegate.runtime.python_answers import CodeFailed
from tidegate.runtime.rows import inputs_from_rows

mlflow: Any = pytest.importorskip("mlflow")
pd: Any = pytest.importorskip("pandas")

import cloudpickle  # noqa: E402
from mlflow.models import infer_signature  # noqa: E402

RUNTIME = MlflowRuntime()


def table(rows: int = 60) -> Any:
    random = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "distance": random.uniform(100, 3000, rows),
            "hour": random.integers(0, 24, rows),
            "carrier": random.choice(["AA", "UA", "DL"], rows),
        }
    )


def late(frame: Any) -> Any:
    return np.where(frame["distance"] + 50 * frame["hour"] > 2000, "late", "on time")


def numbers() -> Any:
    return table()[["distance", "hour"]].astype(float)


def pipeline() -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    prepare = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["distance", "hour"]),
            ("carrier", OneHotEncoder(handle_unknown="ignore"), ["carrier"]),
        ]
    )
    return make_pipeline(prepare, LogisticRegression()).fit(table(), late(table()))


class Doubling(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """A DataFrame out, with a text column."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        if (model_input["distance"] < 0).any():
            raise ValueError("a distance is negative")
        return pd.DataFrame({"twice": model_input["distance"] * 2, "who": model_input["carrier"]})


class Sums(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Named tensors in, an array out."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return model_input["a"].sum(axis=1) + model_input["b"]


def save(kind: str, path: Path, **options: Any) -> Path:
    import mlflow.sklearn

    options = {"pip_requirements": [], **options}
    if kind.startswith("sklearn-"):
        model, frame = pipeline(), table()
        options.setdefault("signature", infer_signature(frame, model.predict(frame)))
        options.setdefault("input_example", frame.head(3))
        mlflow.sklearn.save_model(model, path, serialization_format=kind.partition("-")[2], **options)
    elif kind == "pyfunc":
        # As from a notebook: the class goes into the pickle, for a process that knows nothing of this file.
        cloudpickle.register_pickle_by_value(sys.modules[__name__])
        frame = table()
        options.setdefault("signature", infer_signature(frame, Doubling().predict(None, frame)))
        mlflow.pyfunc.save_model(path, python_model=Doubling(), **options)
    elif kind == "xgboost":
        import mlflow.xgboost
        import xgboost

        model = xgboost.XGBClassifier(n_estimators=5).fit(numbers(), (late(table()) == "late").astype(int))
        mlflow.xgboost.save_model(model, path, signature=infer_signature(numbers()), **options)
    elif kind == "lightgbm":
        import lightgbm
        import mlflow.lightgbm

        labels = (late(table()) == "late").astype(int)
        model = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(numbers(), label=labels), 5)
        mlflow.lightgbm.save_model(model, path, signature=infer_signature(numbers()), **options)
    elif kind == "catboost":
        import mlflow.catboost

        catboost = pytest.importorskip("catboost")
        model = catboost.CatBoostClassifier(iterations=5, verbose=0, allow_writing_files=False)
        model.fit(numbers(), (late(table()) == "late").astype(int))
        mlflow.catboost.save_model(model, path, signature=infer_signature(numbers()), **options)
    elif kind == "tensorflow":
        save_tensorflow(path, options)
    elif kind == "onnx":
        import mlflow.onnx
        from skl2onnx import to_onnx
        from sklearn.linear_model import LinearRegression

        values = numbers().to_numpy().astype(np.float32)
        model = to_onnx(LinearRegression().fit(values, values[:, 0]), values[:1])
        mlflow.onnx.save_model(model, path, signature=infer_signature(values), **options)
    else:
        save_torch(kind, path, options)
    return path


def save_torch(kind: str, path: Path, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    import mlflow.pytorch

    torch.manual_seed(0)
    network = torch.nn.Linear(2, 3).eval()
    values = numbers().to_numpy().astype(np.float32)
    signature = infer_signature(values, network(torch.tensor(values)).detach().numpy())
    if kind == "pytorch-pt2":
        options |= {"serialization_format": "pt2", "input_example": values}
    else:
        options |= {"serialization_format": "pickle"}
        network = torch.jit.script(network) if kind == "pytorch-script" else network
    mlflow.pytorch.save_model(network, path, signature=signature, **options)


def save_tensorflow(path: Path, options: dict[str, Any]) -> None:
    tensorflow = pytest.importorskip("tensorflow")
    import mlflow.tensorflow

    class Doubles(tensorflow.Module):
        @tensorflow.function(input_signature=[tensorflow.TensorSpec([None, 2], tensorflow.float32)])
        def __call__(self, x: Any) -> Any:
            return {"y": x * 2}

    values = numbers().to_numpy().astype(np.float32)
    mlflow.tensorflow.save_model(Doubles(), path, signature=infer_signature(values), **options)


def load(path: Path, **options: Any) -> Model:
    return RUNTIME.load(ArtifactFiles(path), LoadOptions(trusted=True, **options))


def recognised(path: Path) -> Recognition:
    found = RUNTIME.recognise(ArtifactFiles(path))
    assert found is not None
    return found


def typed(model: Model, frame: Any) -> Columns:
    return inputs_from_rows(model.signature.inputs, frame.to_dict("records"))


NATIVE = {
    "sklearn-skops": ("sklearn", "skops", False),
    "sklearn-pickle": ("sklearn", "pickle", True),
    "sklearn-cloudpickle": ("sklearn", "pickle", True),
    "xgboost": ("xgboost", "xgboost-ubj", False),
    "lightgbm": ("lightgbm", "lightgbm-text", False),
    "catboost": ("catboost", "catboost-cbm", False),
    "tensorflow": ("tensorflow", "tensorflow-savedmodel", False),
    "onnx": ("onnx", "onnx", False),
    "pytorch-pt2": ("pytorch", "torch-export", True),
}


@pytest.mark.parametrize("kind", NATIVE)
def test_a_native_flavour_is_left_to_its_runtime(tmp_path: Path, kind: str) -> None:
    path = save(kind, tmp_path / "model")
    delegate, form, trust = NATIVE[kind]
    _, found = inspect_artifact(path)
    assert (found.runtime, found.delegate, found.format, found.needs_trust) == ("mlflow", delegate, form, trust)
    assert bool(found.reasons) == trust
    checked = check_artifact(path, trust=trust)
    package = {"sklearn": "scikit-learn", "xgboost": "xgboost-cpu", "onnx": "onnxruntime", "pytorch": "torch"}
    package["tensorflow"] = "tensorflow-cpu"
    assert package.get(delegate, delegate) in checked.environment.packages
    assert "mlflow-skinny" not in checked.environment.packages
    if trust:
        with pytest.raises(NotTrusted):
            check_artifact(path)
        with pytest.raises(NotTrusted):
            RUNTIME.load(ArtifactFiles(path), LoadOptions())


@pytest.mark.parametrize("kind", ["sklearn-skops", "sklearn-cloudpickle"])
def test_a_pipeline_answers_as_pyfunc_does_and_gives_probabilities_too(tmp_path: Path, kind: str) -> None:
    path = save(kind, tmp_path / "model")
    model = load(path)
    assert [spec.name for spec in model.signature.inputs] == ["distance", "hour", "carrier"]
    frame = table(40)
    answer = model.predict(typed(model, frame))
    assert answer["prediction"].tolist() == mlflow.pyfunc.load_model(str(path)).predict(frame).tolist()
    assert answer["probabilities"].shape == (40, 2)


@pytest.mark.parametrize("kind", ["xgboost", "lightgbm", "catboost"])
def test_boosters_answer_as_pyfunc_does(tmp_path: Path, kind: str) -> None:
    path = save(kind, tmp_path / "model")
    model = load(path)
    answer = model.predict(typed(model, numbers()))
    own = mlflow.pyfunc.load_model(str(path)).predict(numbers())
    if kind != "lightgbm":
        np.testing.assert_array_equal(answer["prediction"], own)
    else:
        np.testing.assert_allclose(answer["probabilities"][:, 1], own, rtol=1e-12)


@pytest.mark.parametrize("kind", ["sklearn", "lightgbm"])
def test_true_and_false_of_the_signature_are_so_for_the_native_flavour_too(tmp_path: Path, kind: str) -> None:
    frame = numbers().assign(far=numbers()["distance"] > 1000)
    labels = (late(table()) == "late").astype(int)
    path = tmp_path / "model"
    saved = {"signature": infer_signature(frame), "pip_requirements": []}
    if kind == "sklearn":
        import mlflow.sklearn
        from sklearn.compose import ColumnTransformer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        parts = ColumnTransformer([("far", "passthrough", ["far"])], remainder=StandardScaler())
        pipe = make_pipeline(parts, LogisticRegression()).fit(frame, labels)
        mlflow.sklearn.save_model(pipe, path, serialization_format="skops", **saved)
    else:
        import lightgbm
        import mlflow.lightgbm

        data = lightgbm.Dataset(frame, label=labels)
        mlflow.lightgbm.save_model(lightgbm.train({"objective": "binary", "verbose": -1}, data, 5), path, **saved)
    model = load(path)
    assert {spec.name: spec.datatype for spec in model.signature.inputs}["far"] == "BOOL"
    answer = model.predict(typed(model, frame))
    own = mlflow.pyfunc.load_model(str(path)).predict(frame)
    if kind == "sklearn":
        assert answer["prediction"].tolist() == own.tolist()
    else:
        np.testing.assert_allclose(answer["probabilities"][:, 1], own, rtol=1e-12)


@pytest.mark.parametrize("kind", ["onnx", "pytorch-pt2", "pytorch-script", "pytorch-module"])
def test_networks_answer_as_pyfunc_does(tmp_path: Path, kind: str) -> None:
    path = save(kind, tmp_path / "model")
    model = load(path)
    values = numbers().to_numpy().astype(np.float32)
    (answer,) = model.predict({model.signature.inputs[0].name: values}).values()
    own = mlflow.pyfunc.load_model(str(path)).predict(values)
    own = next(iter(own.values())) if isinstance(own, dict) else own
    np.testing.assert_allclose(answer, own, rtol=1e-6)
    assert model.signature.inputs[0].shape == (-1, 2)


def test_a_python_function_answers_as_mlflow_lets_it(tmp_path: Path) -> None:
    path = save("pyfunc", tmp_path / "model")
    found = recognised(path)
    assert (found.format, found.needs_trust, found.delegate) == ("mlflow-pyfunc", True, None)
    assert "MLflow loads it with the module mlflow.pyfunc.model" in found.reasons
    assert any(reason.startswith("it imports") for reason in found.reasons)
    with pytest.raises(NotTrusted):
        check_artifact(path)
    model = load(path)
    assert model.signature.inputs == (
        TensorSpec("distance", "FP64"),
        TensorSpec("hour", "INT64"),
        TensorSpec("carrier", "BYTES"),
    )
    assert model.signature.outputs == (TensorSpec("twice", "FP64"), TensorSpec("who", "BYTES"))
    frame = table(20)
    own = mlflow.pyfunc.load_model(str(path)).predict(frame)
    answer = model.predict(typed(model, frame))
    np.testing.assert_array_equal(answer["twice"], own["twice"])
    assert answer["who"].tolist() == own["who"].tolist()


def test_what_a_python_function_raises_is_told(tmp_path: Path) -> None:
    model = load(save("pyfunc", tmp_path / "model"))
    with pytest.raises(CodeFailed, match="a distance is negative"):
        model.predict(typed(model, table(2).assign(distance=-1.0)))


def test_a_flavour_with_code_of_its_own_beside_it_is_a_python_function(tmp_path: Path) -> None:
    code = tmp_path / "helper_of_this_test.py"
    code.write_text("FACTOR = 3\n")
    path = save("sklearn-skops", tmp_path / "model", code_paths=[str(code)])
    found = recognised(path)
    assert (found.format, found.needs_trust) == ("mlflow-pyfunc", True)
    assert any("helper_of_this_test.py" in reason for reason in found.reasons)
    frame = table(10)
    model = load(path)
    own = mlflow.pyfunc.load_model(str(path)).predict(frame)
    assert model.predict(typed(model, frame))["prediction"].tolist() == own.tolist()


def test_named_tensors_reach_a_python_function_by_name(tmp_path: Path) -> None:
    given = {"a": np.arange(6, dtype=np.float32).reshape(3, 2), "b": np.array([1.0, 2.0, 3.0], dtype=np.float32)}
    signature = infer_signature(given, Sums().predict(None, given))
    mlflow.pyfunc.save_model(tmp_path / "m", python_model=Sums(), signature=signature, pip_requirements=[])
    model = load(tmp_path / "m")
    assert model.signature.inputs == (TensorSpec("a", "FP32", (-1, 2)), TensorSpec("b", "FP32", (-1,)))
    np.testing.assert_array_equal(model.predict(given)["prediction"], Sums().predict(None, given))


def test_without_a_signature_a_sample_is_asked_for_and_is_enough(tmp_path: Path) -> None:
    path = save("pyfunc", tmp_path / "model", signature=False)
    with pytest.raises(InvalidInput, match="no signature") as caught:
        load(path)
    assert "--sample" in str(caught.value.hint)
    model = load(path, sample=[{"distance": 1.5, "carrier": "AA"}, {"distance": 2.5, "carrier": "UA"}])
    assert model.signature.inputs == (TensorSpec("distance", "FP64"), TensorSpec("carrier", "BYTES"))
    again = load(path, signature=model.signature)
    answer = again.predict(inputs_from_rows(again.signature.inputs, [{"distance": 4.0, "carrier": "AA"}]))
    assert answer["twice"].tolist() == [8.0]


def test_the_example_of_the_folder_is_what_the_model_is_tried_on(tmp_path: Path) -> None:
    path = save("sklearn-skops", tmp_path / "model")
    first = table().iloc[0]
    sample = check_artifact(path).sample[0]
    assert sample == {"distance": first["distance"], "hour": float(first["hour"]), "carrier": first["carrier"]}


def test_columns_of_dates_are_refused_with_the_way_out(tmp_path: Path) -> None:
    frame = table(3).assign(day=datetime.datetime(2026, 1, 1))  # noqa: DTZ001 (a column of pandas has no zone)
    path = save("pyfunc", tmp_path / "model", signature=infer_signature(frame))
    with pytest.raises(InvalidInput, match="cannot be served: day") as caught:
        load(path)
    assert caught.value.got == "datetime"
    assert "isoformat" in str(caught.value.hint)


def test_a_hostile_pickle_in_a_python_function_is_refused_even_with_trust(tmp_path: Path) -> None:
    path = save("pyfunc", tmp_path / "model")
    trace = tmp_path / "trace"
    (path / "python_model.pkl").write_bytes(b"cos\nsystem\n(S'touch " + str(trace).encode() + b"'\ntR.")
    assert any("system" in reason for reason in recognised(path).dangerous)
    for trust in (False, True):
        with pytest.raises(NotTrusted):
            check_artifact(path, trust=trust)
        with pytest.raises(NotTrusted):
            RUNTIME.load(ArtifactFiles(path), LoadOptions(trusted=trust))
    assert not trace.exists()


def test_a_python_function_that_needs_what_is_not_here_says_so(tmp_path: Path) -> None:
    path = save("pyfunc", tmp_path / "model")
    manifest = path / "MLmodel"
    manifest.write_text(manifest.read_text().replace("mlflow.pyfunc.model", "package_that_is_not_here"))
    with pytest.raises(InvalidInput, match="package_that_is_not_here") as caught:
        load(path)
    assert "requirements.txt" in str(caught.value.hint)


@pytest.mark.parametrize("kind", ["sklearn-skops", "pyfunc"])
def test_a_replica_serves_it(tmp_path: Path, kind: str) -> None:
    path = save(kind, tmp_path / "model")
    request = BuildRequest(path, trust=kind == "pyfunc")
    bundle = asyncio.run(build_bundle(request, tmp_path / "bundles"))
    assert bundle.manifest.runtime == "mlflow"
    frame = table(4)
    own = mlflow.pyfunc.load_model(str(path)).predict(frame)
    with replica(bundle.folder, tmp_path / "run") as running:
        body = {"records": json.loads(frame.to_json(orient="records", double_precision=15))}
        answer = running.client.post("/predict", json=body)
        assert answer.status_code == 200, answer.text
    predictions = answer.json()["predictions"]
    if kind == "pyfunc":
        np.testing.assert_allclose([row["twice"] for row in predictions], own["twice"], rtol=1e-12)
        assert [row["who"] for row in predictions] == own["who"].tolist()
    else:
        assert [row["prediction"] for row in predictions] == own.tolist()
