"""One training of a run: when a slot of the cluster is free, with attempts, and with a record of how it ended."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tenacity

from tidegate.contract.errors import TidegateError
from tidegate_pipeline import cluster, data
from tidegate_pipeline.slots import slot
from tidegate_pipeline.state import PipelineState
from tidegate_pipeline.training_setup import TrainingSetup, parse_setup
from tidegate_pipeline.trainings import FAILED, TRAINED, slug

#: For a slot: as long as all others may take.
_LONGEST_WAIT_SECONDS = 24 * 3600.0
#: Between attempts: a cluster that is started again needs some of it.
_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 5.0, 60.0


def train(
    state: PipelineState, run: str, name: str, folder: Path, progress: Callable[[str], None] = lambda _said: None
) -> dict[str, Any]:
    """Train one model of a run; return its row. A training that fails is on record as failed, and is no error here.

    One that was trained before is not trained again.

    Args:
        folder: of the pipeline: slots are here, and models.

    Raises:
        NotFound: there is no such run or training.
    """
    setup, row = parse_setup(state.setup(run)), state.training(run, name)
    if row["state"] == TRAINED and Path(row["result"]["mojo"]).is_file():
        progress(f"{name}: is trained already")
        return row
    with slot(folder / "slots", f"h2o-{slug(setup.cluster.url)}", setup.cluster.at_once, _LONGEST_WAIT_SECONDS) as held:
        progress(f"{name}: begins in slot {held} of {setup.cluster.at_once}")
        try:
            result = _attempted(state, setup, row, folder, progress)
        except (TidegateError, cluster.PassingError, MemoryError) as error:
            said = error.message if isinstance(error, TidegateError) else str(error) or type(error).__name__
            progress(f"{name}: FAILED: {said}")
            state.end(run, name, FAILED, {"error": said})
        else:
            progress(f"{name}: trained: {setup.metric} {result['metrics'].get(setup.metric)}")
            state.end(run, name, TRAINED, result)
    return state.training(run, name)


def _attempted(
    state: PipelineState,
    setup: TrainingSetup,
    row: dict[str, Any],
    folder: Path,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    run, name = row["run"], row["name"]
    configuration = next(one for one in setup.configurations if one.name == row["configuration"])
    mojo = folder / "models" / run / f"{name}.zip"
    key = f"tidegate_{slug(run)}_{name}".replace("-", "_")

    def attempt() -> dict[str, Any]:
        state.begin(run, name)
        with tempfile.TemporaryDirectory(prefix="tidegate-training-") as scratch:
            parts = data.split(setup, data.read(setup), row["segment"], Path(scratch))
            metrics = cluster.train(setup, configuration, parts, key, mojo)
        return {
            "metrics": metrics,
            "mojo": str(mojo),
            "sha256": data.digest(mojo),
            "trainRows": parts.train_rows,
            "testRows": parts.test_rows,
            "until": parts.until,
        }

    def told(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        progress(f"{name}: attempt {state.attempt_number}: {error}")

    attempts = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(setup.attempts),
        wait=tenacity.wait_random_exponential(multiplier=10.0, min=_SHORTEST_PAUSE_SECONDS, max=_LONGEST_PAUSE_SECONDS),
        retry=tenacity.retry_if_exception_type(cluster.PassingError),
        before_sleep=told,
        reraise=True,
    )
    return attempts(attempt)
