"""What models of any runtime answer rows of a table with, as they are compared; H2O's are in tests/mage."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.support import models
from tests.support.models import TrainedModel
from tidegate.artifact.build import BuildRequest, build_bundle
from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate_pipeline.scoring import same, scores


def bundle(model: TrainedModel, folder: Path) -> Path:
    return asyncio.run(build_bundle(BuildRequest(model.path), folder)).folder


def test_probabilities_are_in_the_order_of_the_classes_that_are_asked_for(tmp_path: Path) -> None:
    model = models.sklearn_classifier(tmp_path / "late.skops")
    rows, made = pa.Table.from_pylist(list(model.rows)), bundle(model, tmp_path / "bundles")
    found = scores(made, rows, ["on time", "LATE"])
    np.testing.assert_allclose(found, model.expected["probabilities"][:, ::-1], rtol=1e-6)
    with pytest.raises(InvalidInput, match="no probability of the class 'early'"):
        scores(made, rows, ["early", "late"])
    with pytest.raises(InvalidInput, match="no column 'hour', which a model takes"):
        scores(made, rows.drop_columns(["hour"]), ["on time", "late"])


def test_numbers_are_the_answer_of_a_model_without_classes(tmp_path: Path) -> None:
    model = models.sklearn_regressor(tmp_path / "delay.skops")
    found = scores(bundle(model, tmp_path / "bundles"), pa.Table.from_pylist(list(model.rows)), None)
    np.testing.assert_allclose(found, model.expected["prediction"], rtol=1e-6)


def test_a_bundle_that_is_elsewhere_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="not on this machine"):
        scores(tmp_path / "gone", pa.table({"hour": [1]}), None)


@pytest.mark.parametrize(("one", "other"), [("True", "true"), ("1.0", "1"), (" late", "Late"), ("0.5", "0.50")])
def test_a_class_is_the_same_however_a_framework_writes_it(one: str, other: str) -> None:
    assert same(one) == same(other)
