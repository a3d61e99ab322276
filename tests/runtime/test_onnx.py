"""ONNX graphs: tensors of every kind, tables, fixed batches, what cannot be served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from tidegate.artifact.check import check_artifact
from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import ArtifactFiles, LoadOptions, Model
from tidegate.runtime.registry import get_runtime


def load(path: Path, **options: Any) -> Model:
    return get_runtime("onnx").load(ArtifactFiles(path), LoadOptions(**options))


def graph(folder: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], **extra: Any) -> Path:
    path = folder / "model.onnx"
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs, **extra), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 9
    onnx.save(model, path)
    return path


def tensor(name: str, kind: int, shape: list[Any]) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def test_a_tensor_keeps_name_type_and_shape(tmp_path: Path) -> None:
    path = graph(
        tmp_path,
        [helper.make_node("Relu", ["image"], ["activation"])],
        [tensor("image", TensorProto.FLOAT, ["batch", 2, 3])],
        [tensor("activation", TensorProto.FLOAT, ["batch", 2, 3])],
    )
    model = load(path)
    assert model.signature.kind == "tensors"
    assert [(spec.name, spec.datatype, spec.shape) for spec in model.signature.inputs] == [
        ("image", "FP32", (-1, 2, 3))
    ]
    data = np.random.default_rng(0).normal(size=(4, 2, 3)).astype(np.float32)
    np.testing.assert_array_equal(model.predict({"image": data})["activation"], np.maximum(data, 0))


@pytest.mark.parametrize(
    ("kind", "datatype"),
    [
        (TensorProto.BOOL, "BOOL"),
        (TensorProto.UINT8, "UINT8"),
        (TensorProto.INT16, "INT16"),
        (TensorProto.INT32, "INT32"),
        (TensorProto.INT64, "INT64"),
        (TensorProto.FLOAT16, "FP16"),
        (TensorProto.DOUBLE, "FP64"),
    ],
)
def test_every_kind_of_number_passes_through(tmp_path: Path, kind: int, datatype: str) -> None:
    path = graph(
        tmp_path,
        [helper.make_node("Identity", ["x"], ["y"])],
        [tensor("x", kind, [None, 2])],
        [tensor("y", kind, [None, 2])],
    )
    model = load(path)
    assert model.signature.inputs[0].datatype == datatype
    data = np.array([[0, 1], [1, 1]]).astype(helper.tensor_dtype_to_np_dtype(kind))
    answer = model.predict({"x": data})["y"]
    np.testing.assert_array_equal(answer, data)
    assert answer.dtype == data.dtype


def test_text_passes_through_and_missing_text_is_empty(tmp_path: Path) -> None:
    path = graph(
        tmp_path,
        [helper.make_node("Identity", ["x"], ["y"])],
        [tensor("x", TensorProto.STRING, [None, 1])],
        [tensor("y", TensorProto.STRING, [None, 1])],
    )
    model = load(path)
    assert model.signature.kind == "columns"
    assert (model.signature.inputs[0].datatype, model.signature.inputs[0].shape) == ("BYTES", (-1,))
    answer = model.predict({"x": np.array(["Köln", None, ""], dtype=object)})["y"]
    assert answer.tolist() == [["Köln"], [""], [""]]


def test_columns_may_be_flat_or_of_width_one(tmp_path: Path) -> None:
    path = graph(
        tmp_path,
        [
            helper.make_node("Unsqueeze", ["flat", "one"], ["tall"]),
            helper.make_node("Add", ["tall", "wide"], ["sum"]),
        ],
        [tensor("flat", TensorProto.DOUBLE, [None]), tensor("wide", TensorProto.DOUBLE, [None, 1])],
        [tensor("sum", TensorProto.DOUBLE, [None, 1])],
        initializer=[helper.make_tensor("one", TensorProto.INT64, [1], [1])],
    )
    model = load(path)
    assert model.signature.kind == "columns"
    assert [spec.shape for spec in model.signature.inputs] == [(-1,), (-1,)]
    answer = model.predict({"flat": np.array([1.0, 2.0, np.nan]), "wide": np.array([10.0, 20.0, 30.0])})["sum"]
    np.testing.assert_array_equal(answer, [[11.0], [22.0], [np.nan]])


def test_a_graph_for_one_row_serves_batches_row_by_row(tmp_path: Path) -> None:
    path = graph(
        tmp_path,
        [helper.make_node("Relu", ["x"], ["y"])],
        [tensor("x", TensorProto.FLOAT, [1, 2])],
        [tensor("y", TensorProto.FLOAT, [1, 2])],
    )
    model = load(path)
    assert model.signature.inputs[0].shape == (-1, 2)
    data = np.array([[1, -1], [-2, 2], [3, 3]], dtype=np.float32)
    np.testing.assert_array_equal(model.predict({"x": data})["y"], np.maximum(data, 0))


@pytest.mark.parametrize("width", [[], [1], [2]])
def test_a_graph_for_several_rows_takes_so_many_or_a_multiple(tmp_path: Path, width: list[int]) -> None:
    path = graph(
        tmp_path,
        [helper.make_node("CumSum", ["x", "rows"], ["y"])],
        [tensor("x", TensorProto.FLOAT, [4, *width])],
        [tensor("y", TensorProto.FLOAT, [4, *width])],
        initializer=[helper.make_tensor("rows", TensorProto.INT64, [], [0])],
    )
    checked = check_artifact(path)
    assert len(checked.sample) == 4
    assert checked.signature.kind == "tensors"
    assert (checked.signature.inputs[0].shape, checked.signature.outputs[0].shape) == ((4, *width), (4, *width))
    model = load(path, signature=checked.signature)
    data = np.arange(8 * (width or [1])[0], dtype=np.float32).reshape(8, *width)
    expected = np.concatenate([np.cumsum(data[:4], axis=0), np.cumsum(data[4:], axis=0)])
    np.testing.assert_array_equal(model.predict({"x": data})["y"], expected)
    with pytest.raises(InvalidInput) as caught:
        model.predict({"x": data[:6]})
    assert (caught.value.expected, caught.value.got) == ("4 rows, or a multiple", "6 rows")


def test_inputs_for_batches_of_several_sizes_are_refused(tmp_path: Path) -> None:
    path = graph(
        tmp_path,
        [helper.make_node("Add", ["a", "b"], ["y"])],
        [tensor("a", TensorProto.FLOAT, [4, 2]), tensor("b", TensorProto.FLOAT, [1, 2])],
        [tensor("y", TensorProto.FLOAT, [4, 2])],
    )
    with pytest.raises(InvalidInput, match="differ in the number of rows"):
        load(path)


def test_a_size_that_the_graph_leaves_open_and_the_weights_do_not_is_the_fault_of_the_request(tmp_path: Path) -> None:
    path = graph(
        tmp_path,
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [tensor("x", TensorProto.FLOAT, ["rows", "width"])],
        [tensor("y", TensorProto.FLOAT, ["rows", 2])],
        initializer=[onnx.numpy_helper.from_array(np.ones((4, 2), dtype=np.float32), "w")],
    )
    model = load(path)
    right, wrong = np.ones((3, 4), dtype=np.float32), np.ones((1, 5), dtype=np.float32)
    np.testing.assert_array_equal(model.predict({"x": right})["y"], np.full((3, 2), 4))
    with pytest.raises(InvalidInput) as caught:
        model.predict({"x": wrong})
    assert (caught.value.subject, caught.value.got) == ("x", "[1, 5]")
    assert "[-1, 4]" in str(caught.value.expected)
    np.testing.assert_array_equal(model.predict({"x": right})["y"], np.full((3, 2), 4))


def test_a_size_that_the_graph_leaves_open_may_vary(tmp_path: Path) -> None:
    path = graph(
        tmp_path,
        [helper.make_node("Relu", ["x"], ["y"])],
        [tensor("x", TensorProto.FLOAT, ["rows", "width"])],
        [tensor("y", TensorProto.FLOAT, ["rows", "width"])],
    )
    model = load(path)
    for width in (4, 5, 1):
        assert model.predict({"x": np.ones((2, width), dtype=np.float32)})["y"].shape == (2, width)


def test_weights_beside_the_graph_are_loaded_from_a_folder(tmp_path: Path) -> None:
    weights = np.arange(400, dtype=np.float32).reshape(2, 200)
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["y"])],
            "g",
            [tensor("x", TensorProto.FLOAT, [None, 2])],
            [tensor("y", TensorProto.FLOAT, [None, 200])],
            initializer=[onnx.numpy_helper.from_array(weights, "w")],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    model.ir_version = 9
    folder = tmp_path / "folder"
    folder.mkdir()
    onnx.save(model, folder / "graph.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    data = np.ones((3, 2), dtype=np.float32)
    np.testing.assert_array_equal(load(folder).predict({"x": data})["y"], data @ weights)

    alone = tmp_path / "alone.onnx"
    alone.write_bytes((folder / "graph.onnx").read_bytes())
    with pytest.raises(InvalidInput) as caught:
        load(alone)
    assert "folder" in str(caught.value.hint)


def test_a_single_value_without_rows_cannot_be_served(tmp_path: Path) -> None:
    path = graph(
        tmp_path,
        [helper.make_node("Relu", ["x"], ["y"])],
        [tensor("x", TensorProto.FLOAT, [])],
        [tensor("y", TensorProto.FLOAT, [])],
    )
    with pytest.raises(InvalidInput, match="dimension for the rows"):
        load(path)


def test_an_operator_that_onnx_runtime_does_not_have_is_named(tmp_path: Path) -> None:
    path = graph(
        tmp_path,
        [helper.make_node("Tarnhelm", ["x"], ["y"])],
        [tensor("x", TensorProto.FLOAT, [None, 2])],
        [tensor("y", TensorProto.FLOAT, [None, 2])],
    )
    with pytest.raises(InvalidInput) as caught:
        load(path)
    assert "Tarnhelm" in caught.value.message
    assert onnxruntime.__version__ in caught.value.message
