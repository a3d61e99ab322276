"""Models trained once per test process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.models import (
    TrainedModel,
    lightgbm_model,
    onnx_model,
    sklearn_classifier,
    sklearn_regressor,
    sklearn_tensor_classifier,
    xgboost_model,
)

# Read when a framework is loaded; threads that wait for each other by spinning take their time from other tests.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, TrainedModel]:
    """One small model of each kind, by a short name."""
    folder: Path = tmp_path_factory.mktemp("models")
    return {
        "skops": sklearn_classifier(folder / "classifier.skops"),
        "joblib": sklearn_classifier(folder / "classifier.joblib", form="joblib"),
        "joblib-zlib": sklearn_classifier(folder / "zlib.joblib", form="joblib", compress=("zlib", 3)),
        "joblib-gzip": sklearn_classifier(folder / "gzip.joblib", form="joblib", compress=("gzip", 3)),
        "joblib-bz2": sklearn_classifier(folder / "bz2.joblib", form="joblib", compress=("bz2", 3)),
        "joblib-lzma": sklearn_classifier(folder / "lzma.joblib", form="joblib", compress=("lzma", 3)),
        "joblib-xz": sklearn_classifier(folder / "xz.joblib", form="joblib", compress=("xz", 3)),
        "pickle": sklearn_classifier(folder / "classifier.pkl", form="pickle"),
        "regressor": sklearn_regressor(folder / "regressor.skops"),
        "tensor": sklearn_tensor_classifier(folder / "tensor.skops"),
        "xgboost-json": xgboost_model(folder / "xgboost.json"),
        "xgboost-ubj": xgboost_model(folder / "xgboost.ubj"),
        "lightgbm": lightgbm_model(folder / "lightgbm.txt"),
        "onnx": onnx_model(folder / "model.onnx"),
        "onnx-zipmap": onnx_model(folder / "zipmap.onnx", zipmap=True),
    }
