"""The two small readers of binary formats: values come back, and damage is an error of their own."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.models import TrainedModel
from tidegate.runtime.onnx_file import class_labels, read_header
from tidegate.runtime.protobuf import DamagedMessageError, fields
from tidegate.runtime.ubjson import find_value


def test_the_categories_of_an_xgboost_model_read_like_those_in_its_json(trained: Mapping[str, TrainedModel]) -> None:
    document = json.loads(trained["xgboost-json"].path.read_bytes())
    wanted = document["learner"]["gradient_booster"]["model"]["cats"]
    assert find_value(trained["xgboost-ubj"].path.read_bytes(), "cats", b"{") == wanted


def test_all_of_an_xgboost_model_reads_like_its_json(trained: Mapping[str, TrainedModel]) -> None:
    document = json.loads(trained["xgboost-json"].path.read_bytes())
    found: Any = find_value(b"L\0\0\0\0\0\0\0\1m" + trained["xgboost-ubj"].path.read_bytes(), "m", b"{")
    assert list(found) == list(document)
    assert found["version"] == document["version"]
    assert found["learner"]["feature_names"] == document["learner"]["feature_names"]
    assert len(found["learner"]["gradient_booster"]["model"]["trees"]) == 8


@given(st.binary(max_size=100))
def test_damaged_ubjson_is_a_value_error(data: bytes) -> None:
    for opens in (b"{", b"["):
        with contextlib.suppress(ValueError):
            find_value(b"L\0\0\0\0\0\0\0\4cats" + opens + data, "cats", opens)


@given(st.binary(max_size=100))
def test_any_bytes_are_fields_or_a_damaged_message(data: bytes) -> None:
    with contextlib.suppress(DamagedMessageError):
        for field in fields(io.BytesIO(data), len(data)):
            assert 0 <= field.start <= field.end <= len(data)


def test_the_header_of_an_onnx_file_names_its_producer(trained: Mapping[str, TrainedModel]) -> None:
    header = read_header(trained["onnx"].path)
    assert header is not None
    assert header.damage is None
    assert header.producer.startswith("skl2onnx")
    assert read_header(trained["xgboost-ubj"].path) is None


def test_class_labels_are_read_from_the_nodes_that_carry_them(tmp_path: Any) -> None:
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node(
        "LinearClassifier",
        ["x"],
        ["l", "p"],
        domain="ai.onnx.ml",
        coefficients=[1.0],
        classlabels_strings=["no", "yes"],
    )
    other = onnx.helper.make_node(
        "LinearClassifier", ["x"], ["m", "q"], domain="ai.onnx.ml", coefficients=[1.0], classlabels_ints=[3, 5, 8]
    )
    graph = onnx.helper.make_graph([node, other], "g", [], [])
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    assert class_labels(path) == [("no", "yes"), ("3", "5", "8")]
