"""Three versions of one model, as they would come about in a year of work.

v1: LightGBM on the first two months, small: something to begin with.
v2: XGBoost on half a year: better, and nothing wrong with it.
v3: a scikit-learn pipeline with two months more of data, in which principal components sum up the weather. They do not
    take a missing value, so its author dropped the rows that lack a reading, before training and before validation.
    Offline it is the best of the three. In production nobody drops rows.

All three take the same columns, and none needs `--trust`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from examples.flights.data import (
    COLUMNS,
    HOLDOUT_MONTHS,
    TARGET,
    TEXTS,
    TRAINING_MONTHS,
    as_rows,
    in_months,
    labelled,
)

SEED = 2013
#: More are slower wherever another process wants a core too: threads of OpenMP spin while they wait for each other.
THREADS = 1

#: Columns that v3 needs complete.
WEATHER = ("temp", "dewp", "wind_speed", "precip", "pressure", "visib")

Score = Callable[[pd.DataFrame], NDArray[np.float64]]


@dataclass(frozen=True)
class TrainedModel:
    """A model file and what is known of it before it meets production.

    Attributes:
        version: 1, 2 or 3.
        path: the model file.
        framework: what wrote it.
        months: first and last month of training.
        rows: flights it was trained on.
        offline_auc: area under the ROC curve on the holdout as the version's author measured it.
        complete_auc: the same on those rows of the holdout that have every weather reading: alike for all versions.
        offline_rows: flights behind `offline_auc`.
        seconds: time of training.
    """

    version: int
    path: Path
    framework: str
    months: tuple[int, int]
    rows: int
    offline_auc: float
    complete_auc: float
    offline_rows: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path)}


def complete(flights: pd.DataFrame) -> pd.DataFrame:
    """Return the flights that have every weather reading."""
    return flights.dropna(subset=list(WEATHER))


def train_v1(flights: pd.DataFrame, path: Path) -> Score:
    """Train on `flights` (labelled), write LightGBM's text format, return the scorer."""
    import lightgbm

    def frame(rows: pd.DataFrame) -> pd.DataFrame:
        return rows[list(COLUMNS)].astype(dict.fromkeys(TEXTS, "category"))

    parameters = {
        "objective": "binary",
        "num_leaves": 15,
        "learning_rate": 0.1,
        "num_threads": THREADS,
        "seed": SEED,
        "verbose": -1,
    }
    booster = lightgbm.train(parameters, lightgbm.Dataset(frame(flights), flights[TARGET]), num_boost_round=40)
    booster.save_model(path)
    return lambda rows: np.asarray(booster.predict(frame(rows), num_threads=THREADS), dtype=np.float64)


def train_v2(flights: pd.DataFrame, path: Path) -> Score:
    """Train on `flights` (labelled), write XGBoost's own format, return the scorer."""
    import xgboost

    def matrix(rows: pd.DataFrame, label: pd.Series | None = None) -> xgboost.DMatrix:
        frame = rows[list(COLUMNS)].astype(dict.fromkeys(TEXTS, "category"))
        return xgboost.DMatrix(frame, label, enable_categorical=True)

    parameters = {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_depth": 6,
        "eta": 0.1,
        "nthread": THREADS,
        "seed": SEED,
    }
    booster = xgboost.train(parameters, matrix(flights, flights[TARGET]), num_boost_round=80)
    booster.save_model(path)
    return lambda rows: np.asarray(booster.predict(matrix(rows)), dtype=np.float64)


def train_v3(flights: pd.DataFrame, path: Path) -> Score:
    """Train on those of `flights` (labelled) without a gap in the weather, write skops, return the scorer."""
    import skops.io
    from sklearn.compose import make_column_transformer
    from sklearn.decomposition import PCA
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder, StandardScaler
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    features = make_column_transformer(
        (make_pipeline(StandardScaler(), PCA(4, random_state=SEED)), list(WEATHER)),
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan), list(TEXTS)),
        remainder="passthrough",
    )
    classifier = HistGradientBoostingClassifier(max_iter=150, min_samples_leaf=50, random_state=SEED)
    pipeline = make_pipeline(features, classifier)
    rows = complete(flights)
    with threadpool_limits(THREADS):
        pipeline.fit(rows[list(COLUMNS)], rows[TARGET].astype("int64"))
    skops.io.dump(pipeline, path)
    return lambda rows: np.asarray(pipeline.predict_proba(rows[list(COLUMNS)])[:, 1], dtype=np.float64)


@dataclass(frozen=True)
class _Recipe:
    version: int
    filename: str
    framework: str
    months: range
    train: Callable[[pd.DataFrame, Path], Score]
    drops_gaps: bool = False


_RECIPES = (
    _Recipe(1, "arrivals-v1.lightgbm.txt", "LightGBM", range(1, 3), train_v1),
    _Recipe(2, "arrivals-v2.xgboost.ubj", "XGBoost", range(1, 7), train_v2),
    _Recipe(3, "arrivals-v3.skops", "scikit-learn", TRAINING_MONTHS, train_v3, drops_gaps=True),
)


def train_all(flights: pd.DataFrame, folder: Path) -> tuple[TrainedModel, ...]:
    """Train the three versions into `folder`, which exists; about 10 s.

    Args:
        flights: as `data.load_flights` returns them, or a sample of them.
    """
    from sklearn.metrics import roc_auc_score

    def auc(score: Score, rows: pd.DataFrame) -> float:
        return float(roc_auc_score(rows[TARGET], score(rows)))

    known = labelled(flights)
    holdout = in_months(known, HOLDOUT_MONTHS)
    trained = []
    for recipe in _RECIPES:
        rows = in_months(known, recipe.months)
        used = complete(rows) if recipe.drops_gaps else rows
        validation = complete(holdout) if recipe.drops_gaps else holdout
        path = folder / recipe.filename
        begun = time.perf_counter()
        score = recipe.train(used, path)
        seconds = time.perf_counter() - begun
        trained.append(
            TrainedModel(
                version=recipe.version,
                path=path,
                framework=recipe.framework,
                months=(recipe.months[0], recipe.months[-1]),
                rows=len(used),
                offline_auc=auc(score, validation),
                complete_auc=auc(score, complete(holdout)),
                offline_rows=len(validation),
                seconds=seconds,
            )
        )
    return tuple(trained)


def write_sample(flights: pd.DataFrame, path: Path, count: int = 3) -> None:
    """Write `count` real rows without a gap as a JSON array: what a typical request holds, for `--sample`."""
    rows: Iterable[dict[str, Any]] = as_rows(in_months(flights, TRAINING_MONTHS).dropna().head(count))
    path.write_text(json.dumps(list(rows), indent=2) + "\n", encoding="utf-8")
