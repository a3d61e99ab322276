"""Every runtime answers exactly what its framework answers."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.support.models import TrainedModel
from tidegate.runtime.base import ArtifactFiles, LoadOptions, Model
from tidegate.runtime.registry import get_runtime
from tidegate.runtime.rows import inputs_from_rows
from tidegate.runtime.signatures import signature_from_dict, signature_to_dict

KINDS = [
    "skops", "joblib", "joblib-zlib", "joblib-gzip", "joblib-bz2", "joblib-lzma", "joblib-xz", "pickle", "regressor",
    "tensor", "xgboost-json", "xgboost-ubj", "lightgbm", "onnx", "onnx-zipmap",
]  # fmt: skip


def load(model: TrainedModel) -> Model:
    return get_runtime(model.runtime).load(ArtifactFiles(model.path), LoadOptions(trusted=True))


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_the_frameworks_own(trained: Mapping[str, TrainedModel], kind: str) -> None:
    answers = load(trained[kind]).predict(trained[kind].columns)
    assert list(answers) == list(trained[kind].expected)
    for name, expected in trained[kind].expected.items():
        np.testing.assert_array_equal(answers[name], expected)
        assert answers[name].dtype == expected.dtype


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_have_the_types_and_shapes_of_the_signature(trained: Mapping[str, TrainedModel], kind: str) -> None:
    model = load(trained[kind])
    answers = model.predict(trained[kind].columns)
    for spec in model.signature.outputs:
        answer = answers[spec.name]
        assert answer.shape == (8, *spec.shape[1:])
        wanted = {"BYTES": "O", "INT64": "i", "FP64": "f", "FP32": "f"}[spec.datatype]
        assert answer.dtype.kind == wanted
        if spec.labels is not None:
            assert len(spec.labels) == spec.shape[1]


@pytest.mark.parametrize("kind", KINDS)
def test_one_row_at_a_time_gives_the_same_answers(trained: Mapping[str, TrainedModel], kind: str) -> None:
    model = load(trained[kind])
    for row in range(8):
        answers = model.predict({name: column[row : row + 1] for name, column in trained[kind].columns.items()})
        for name, expected in trained[kind].expected.items():
            if expected.dtype == object:
                assert answers[name].tolist() == expected[row : row + 1].tolist()
            else:
                # A batch of another size may be summed in another order by the framework itself.
                np.testing.assert_allclose(
                    answers[name], expected[row : row + 1], rtol=1e-5 if expected.dtype == np.float32 else 1e-12
                )


@pytest.mark.parametrize("kind", KINDS)
def test_records_are_typed_to_the_same_inputs(trained: Mapping[str, TrainedModel], kind: str) -> None:
    model = load(trained[kind])
    inputs = inputs_from_rows(model.signature.inputs, trained[kind].rows)
    for name, expected in trained[kind].columns.items():
        if expected.dtype == object:
            assert inputs[name].tolist() == expected.tolist()
        else:
            np.testing.assert_array_equal(inputs[name], expected)


@pytest.mark.parametrize("kind", ["skops", "tensor", "xgboost-ubj", "lightgbm", "onnx-zipmap"])
def test_a_model_loads_with_the_signature_on_record(trained: Mapping[str, TrainedModel], kind: str) -> None:
    runtime, files = get_runtime(trained[kind].runtime), ArtifactFiles(trained[kind].path)
    first = runtime.load(files, LoadOptions())
    recorded = signature_from_dict(signature_to_dict(first.signature))
    assert recorded == first.signature
    again = runtime.load(files, LoadOptions(signature=recorded))
    assert again.signature == recorded
    for name, expected in trained[kind].expected.items():
        np.testing.assert_array_equal(again.predict(trained[kind].columns)[name], expected)


@pytest.mark.parametrize("kind", ["skops", "tensor", "xgboost-ubj", "lightgbm", "onnx"])
def test_predict_may_be_called_from_several_threads_at_once(trained: Mapping[str, TrainedModel], kind: str) -> None:
    model = load(trained[kind])

    def ask(row: int) -> Mapping[str, np.ndarray]:
        index = row % 8
        return model.predict({name: column[index : index + 1] for name, column in trained[kind].columns.items()})

    alone = [ask(row) for row in range(8)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(120)))
    for row, answer in enumerate(answers):
        for name, value in alone[row % 8].items():
            np.testing.assert_array_equal(answer[name], value)


@pytest.mark.parametrize("kind", ["skops", "joblib", "xgboost-json", "lightgbm", "onnx"])
def test_table_models_have_one_named_input_per_column(trained: Mapping[str, TrainedModel], kind: str) -> None:
    signature = load(trained[kind]).signature
    assert signature.kind == "columns"
    assert [(spec.name, spec.datatype) for spec in signature.inputs] == [
        ("distance", "FP64"),
        ("hour", "FP64"),
        ("month", "FP64"),
        ("carrier", "BYTES"),
    ]
    if kind != "onnx":
        assert signature.inputs[3].categories == ("AA", "DL", "UA")


def test_array_models_have_one_tensor_input(trained: Mapping[str, TrainedModel]) -> None:
    signature = load(trained["tensor"]).signature
    assert signature.kind == "tensors"
    assert [(spec.name, spec.datatype, spec.shape) for spec in signature.inputs] == [("input", "FP64", (-1, 3))]
