"""The alias of a retraining names what is better than what serves, and nothing that was only registered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.e2e.conftest import Tidegate, up
from tests.support import models
from tests.support.quick_models import write_flights
from tidegate.contract.errors import NotFound
from tidegate_pipeline.evaluating import Evaluator
from tidegate_pipeline.state import PipelineState
from tidegate_pipeline.steps import register
from tidegate_pipeline.training_setup import parse_setup

#: From when on flights are late in the data, and in the model that serves.
TRUE_HOUR, STABLE_HOUR = 16.0, 11.0


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tidegate]:
    """A controller with the model `late`, which is five hours off."""
    folder = tmp_path_factory.mktemp("challenger")
    with up(folder) as found:
        stable = write_flights(folder / "stable.onnx", from_hour=STABLE_HOUR)
        found.ended(found.deploy("late", stable, infrastructure={"resources": {"replicas": 1}}))
        yield found


@pytest.fixture
def state(running: Tidegate) -> Iterator[PipelineState]:
    with PipelineState.at(None, running.home) as made:
        yield made


def retrained(state: PipelineState, folder: Path, run: str, *, from_hour: float, **further: Any) -> None:
    """Put a run on record whose one training made a model."""
    frame = models.flights(2_000, seed=4)
    odds = 1 / (1 + np.exp(-0.4 * (frame["hour"].to_numpy() - TRUE_HOUR)))
    frame["late"] = (np.random.default_rng(1).random(len(frame)) < odds).astype(int)
    frame["at"] = pd.date_range("2013-01-01", periods=len(frame), freq="1h", tz="UTC")
    frame.to_parquet(folder / "flights.parquet")
    document = {
        "model": "late",
        "data": str(folder / "flights.parquet"),
        "target": "late",
        "holdout": {"timeColumn": "at", "share": 0.25},
        "configurations": [{"name": "gbm", "algorithm": "gbm"}],
        "evaluation": {"share": 0.5},
        "metric": "logloss",
        **further,
    }
    state.plan(run, parse_setup(document).as_document(), [{"name": "gbm", "segment": None, "configuration": "gbm"}])
    state.begin(run, "gbm")
    mojo = write_flights(folder / f"{run}.onnx", from_hour=from_hour)
    state.end(run, "gbm", "trained", {"metrics": {"logloss": 0.5}, "mojo": str(mojo), "until": None})
    state.conclude(run, {"run": run})


def test_a_version_that_is_worse_is_registered_and_not_the_challenger_and_a_better_one_is(
    running: Tidegate, state: PipelineState, tmp_path: Path
) -> None:
    with running.client as client:
        retrained(state, tmp_path, "worse", from_hour=6.0, deployment="late")
        (worse,) = register(state, client, "worse")
        assert client.registry.version(worse["reference"])["lineage"]["run"] == "worse"
        (outcome,) = Evaluator(state, client, "worse").evaluate()
        assert outcome["state"] == "not_better", outcome["reason"]
        with pytest.raises(NotFound):
            client.registry.version("models:/late@challenger")

        retrained(state, tmp_path, "better", from_hour=TRUE_HOUR, deployment="late")
        (better,) = register(state, client, "better")
        with pytest.raises(NotFound):
            client.registry.version("models:/late@challenger")
        (outcome,) = Evaluator(state, client, "better").evaluate()
        assert outcome["state"] == "passed", outcome["reason"]
        assert client.registry.version("models:/late@challenger")["reference"] == better["reference"]


def test_where_nothing_is_compared_the_version_that_is_registered_is_the_challenger(
    running: Tidegate, state: PipelineState, tmp_path: Path
) -> None:
    with running.client as client:
        retrained(state, tmp_path, "alone", from_hour=15.0, model="alone")
        (version,) = register(state, client, "alone")
        assert client.registry.version("models:/alone@challenger")["reference"] == version["reference"]
