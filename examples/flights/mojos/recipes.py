"""Three versions of one model, as H2O's users have them.

v1: a generalized linear model on the first two months: something to begin with.
v2: boosted trees on half a year: better, and nothing wrong with it.
v3: more of them, with two months more of data, of the eight largest airlines alone: its author validated it on flights
    of theirs, too, where it is the best of the three, has it refuse what it was not trained on instead of guessing, and
    deploys it although Tidegate says which airlines are missing. In production one flight in fifteen is of one of them.

All three take the same columns. H2O is not needed to run them, nor is Java.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from examples.flights.data import COLUMNS, HOLDOUT_MONTHS, TARGET, TRAINING_MONTHS, in_months, labelled
from examples.flights.train import TrainedModel, complete

FOLDER = Path(__file__).parent
#: Written by `train`: the seconds that each version's training took, by its number.
SECONDS = FOLDER / "seconds.json"
#: Those that v3 knows, by their flights from January to August.
LARGE_AIRLINES = ("UA", "B6", "EV", "DL", "AA", "MQ", "US", "9E")
#: What H2O calls a flight that is late, and one that is not.
LATE, ON_TIME = "yes", "no"

Rows = Callable[[pd.DataFrame], pd.DataFrame]


def everything(flights: pd.DataFrame) -> pd.DataFrame:
    """Return all flights."""
    return flights


def of_large_airlines(flights: pd.DataFrame) -> pd.DataFrame:
    """Return the flights that v3's author looked at."""
    return flights[flights["carrier"].isin(LARGE_AIRLINES)]


@dataclass(frozen=True)
class Recipe:
    """How a version is trained.

    Attributes:
        estimator: the name of H2O's class, without "H2O" and "Estimator".
        rows: what its author kept of the flights, in training and in validation.
        strict: whether it refuses levels that it was not trained on.
    """

    version: int
    estimator: str
    parameters: dict[str, Any]
    months: range
    rows: Rows = everything
    strict: bool = False

    @property
    def path(self) -> Path:
        return FOLDER / f"arrivals-v{self.version}.zip"


_TREES = {"max_depth": 5, "learn_rate": 0.1, "min_rows": 50, "seed": 2013}
RECIPES = (
    Recipe(1, "GeneralizedLinear", {"family": "binomial", "lambda_": 1e-4, "seed": 2013}, range(1, 3)),
    Recipe(2, "GradientBoosting", {"ntrees": 40, **_TREES}, range(1, 7)),
    Recipe(3, "GradientBoosting", {"ntrees": 80, **_TREES}, TRAINING_MONTHS, of_large_airlines, strict=True),
)


def training_rows(flights: pd.DataFrame, recipe: Recipe) -> pd.DataFrame:
    """Return the flights that a version is trained on."""
    return recipe.rows(in_months(labelled(flights), recipe.months))


def scores(path: Path, flights: pd.DataFrame) -> NDArray[np.float64]:
    """Return the probability of being late of each flight, as Tidegate computes it from a MOJO."""
    from tidegate import mojo

    return np.asarray(mojo.load(path).predict(flights[list(COLUMNS)])[LATE], dtype=np.float64)


def copy_all(flights: pd.DataFrame, folder: Path) -> tuple[TrainedModel, ...]:
    """Copy the three MOJOs into `folder`, which exists, and measure them on September as their authors did."""
    from sklearn.metrics import roc_auc_score

    def auc(recipe: Recipe, rows: pd.DataFrame) -> float:
        return float(roc_auc_score(rows[TARGET], scores(recipe.path, rows)))

    holdout = in_months(labelled(flights), HOLDOUT_MONTHS)
    seconds = json.loads(SECONDS.read_text(encoding="utf-8"))
    return tuple(
        TrainedModel(
            version=recipe.version,
            path=Path(shutil.copy(recipe.path, folder)),
            framework=f"H2O {recipe.estimator}",
            months=(recipe.months[0], recipe.months[-1]),
            rows=len(training_rows(flights, recipe)),
            offline_auc=auc(recipe, recipe.rows(holdout)),
            complete_auc=auc(recipe, complete(holdout)),
            offline_rows=len(recipe.rows(holdout)),
            seconds=seconds[str(recipe.version)],
        )
        for recipe in RECIPES
    )
