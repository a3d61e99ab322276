"""The processor time of one row: of what computes it is measured in a bounded time, of what waits it says nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.models import sklearn_classifier
from tidegate.artifact import processor
from tidegate.artifact.processor import cpu_seconds_of
from tidegate.runtime.base import ArtifactFiles, Columns, LoadOptions, Signature
from tidegate.runtime.registry import get_runtime


class Stub:
    """A model that spends its time in a known way; `calls` counts its predictions."""

    signature = Signature("columns", (), ())

    def __init__(self, spend: Callable[[], None]) -> None:
        self.calls = 0
        self._spend = spend

    def predict(self, inputs: Columns) -> Columns:
        self.calls += 1
        self._spend()
        return {}

    def close(self) -> None:
        """Hold nothing."""


def compute(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def fail() -> None:
    raise ValueError("not one row")


def test_a_model_that_computes_is_measured_whatever_else_the_machine_does() -> None:
    model = Stub(lambda: compute(0.004))
    measured = cpu_seconds_of(model, {})
    assert measured is not None
    assert 0.004 <= measured < 0.008


def test_the_measurement_has_an_end_in_time_and_in_number() -> None:
    slow, quick = Stub(lambda: compute(0.2)), Stub(lambda: compute(0.0001))
    cpu_seconds_of(slow, {})  # on a busy machine it may look as if it waited
    # One to get warm, and those that begin within the time.
    assert 2 <= slow.calls <= 2 + processor.MOST_SECONDS / 0.2
    cpu_seconds_of(quick, {})
    assert quick.calls <= 1 + processor.MOST_PREDICTIONS


def test_the_first_prediction_is_not_counted() -> None:
    model = Stub(lambda: compute(0.3 if model.calls == 1 else 0.002))
    measured = cpu_seconds_of(model, {})
    assert measured is not None
    assert measured < 0.1


@pytest.mark.parametrize("spend", [lambda: time.sleep(0.01), fail], ids=["waits", "fails"])
def test_where_processor_time_says_nothing_there_is_none(spend: Callable[[], None]) -> None:
    assert cpu_seconds_of(Stub(spend), {}) is None


def test_a_model_that_is_too_slow_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "_LONGEST_SECONDS", 0.01)
    model = Stub(lambda: compute(0.02))
    assert cpu_seconds_of(model, {}) is None
    assert model.calls == 1


def test_more_rows_take_a_real_model_longer(tmp_path: Path) -> None:
    trained = sklearn_classifier(tmp_path / "model.skops")
    model = get_runtime("sklearn").load(ArtifactFiles(trained.path), LoadOptions())
    try:
        one = cpu_seconds_of(model, {name: column[:1] for name, column in trained.columns.items()})
        many = cpu_seconds_of(model, {name: np.tile(column, 2000) for name, column in trained.columns.items()})
    finally:
        model.close()
    assert one is not None
    assert many is not None
    assert many > 2 * one
