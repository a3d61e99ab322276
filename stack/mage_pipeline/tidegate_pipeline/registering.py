"""The best model of each segment of a run, as a version in Tidegate's registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tidegate.client import Client
from tidegate_pipeline import data
from tidegate_pipeline.training_setup import TrainingSetup
from tidegate_pipeline.trainings import Ended, Leaderboard, model_name


def register(client: Client, setup: TrainingSetup, board: Leaderboard, run: str) -> list[dict[str, Any]]:
    """Register the best models, each once however often this is called; return their versions.

    Raises:
        InvalidInput, Conflict, Unavailable: see `tidegate.client.Client`.
    """
    return [_registered(client, setup, one, run) for one in board.best]


def _registered(client: Client, setup: TrainingSetup, best: Ended, run: str) -> dict[str, Any]:
    name, path = model_name(setup, best), Path(setup.data).absolute()
    answer = client.registry.add(
        name,
        {"path": best.mojo},
        metrics=dict(best.metrics),
        lineage={"data": [{"uri": str(path), "sha256": data.digest(path)}], "run": run},
        description=f"{best.configuration}, of {'all data' if best.segment is None else best.segment}",
        by="mage",
    )
    version = answer["version"]
    if setup.deployment is None:
        move_alias(client, setup, run, name, version["version"])
    return {
        "model": name,
        "version": version["version"],
        "reference": version["reference"],
        "training": best.name,
        "created": answer["created"],
    }


def move_alias(client: Client, setup: TrainingSetup, run: str, model: str, version: int) -> None:
    """Move the alias of the setup, if it has one, to a version that may be tried."""
    if setup.alias is not None:
        client.registry.move_alias(model, setup.alias, version, reason=f"run {run}", by="mage")
