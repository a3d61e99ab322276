"""The models of one deployment: real ones, and candidates around one that are well until they are told to do harm.

All of them take the same columns of real flights and tell how likely each is late.
"""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from examples.flights.data import NUMBERS, TARGET, load_flights

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = list(NUMBERS)
#: Frameworks of real models, by the name that the page has for them.
FRAMEWORKS = ("LightGBM", "XGBoost", "scikit-learn")
#: Of its answers, that a candidate spoils once it is told to.
SPOILED_PERCENT = 25
#: What a latency fault adds, in seconds.
ADDED_SECONDS = 0.3

_TREES, _TRAINING_ROWS = 60, 20_000
#: Of one row; asked in turn.
_ROWS_ASKED = 500

_CODE = """\
import os
import time

import lightgbm
import numpy as np

COLUMNS = {columns!r}


class Model:
    inputs = [{{"name": name}} for name in COLUMNS]

    def load(self, folder):
        self.booster = lightgbm.Booster(model_file=os.path.join(folder, "model.txt"))
        self.number = {number}
        self.asked = 0

    def predict(self, inputs):
        rows = np.column_stack([np.asarray(inputs[name], dtype=float) for name in COLUMNS])
        late = self.booster.predict(rows, num_threads=1)
        if os.path.exists({onset!r}):
            self.asked += 1
            if self.asked * {percent} % 100 < {percent}:
                with open({spoiled!r}, "ab", buffering=0) as stream:
                    stream.write(b"." * len(late))
                {harm}
        return {{"prediction": late}}
"""

_HARM = {
    "errors": 'raise ValueError("this candidate fails")',
    "latency": f"time.sleep({ADDED_SECONDS})",
    # A number in the wrong unit: percent where a share is meant.
    "wrong answers": "late = late * 100",
}


def real(folder: Path, number: int, framework: str = FRAMEWORKS[0]) -> Path:
    """Train a model and return its file; another `number` is another model of the same columns."""
    training = _flights("training").sample(_TRAINING_ROWS, random_state=number)
    return _WRITERS[framework](folder / f"model-{number}", training[COLUMNS], training[TARGET], number)


def spoiled(folder: Path, number: int, fault: str, around: Path) -> tuple[Path, Path, Path]:
    """Write code of its own around a LightGBM model, which does what that does until it is told to do harm.

    Returns:
        The model's folder, the file whose presence brings on the fault, and the file that gets a byte for each answer
        that is spoiled. No two have the same number.
    """
    place, onset, counted = (folder / f"{what}-{number}" for what in ("model", "onset", "spoiled"))
    place.mkdir(parents=True)
    shutil.copy(around, place / "model.txt")
    code = _CODE.format(
        columns=COLUMNS,
        number=number,
        onset=str(onset),
        spoiled=str(counted),
        percent=SPOILED_PERCENT,
        harm=_HARM[fault],
    )
    (place / "model.py").write_text(code)
    counted.touch()
    return place, onset, counted


def rows() -> list[dict[str, float]]:
    """Return what users ask about: flights that no model was trained on."""
    asked = _flights("asked").sample(_ROWS_ASKED, random_state=0)
    values = asked[COLUMNS].to_numpy(dtype=float).round(4).tolist()
    return [dict(zip(COLUMNS, row, strict=True)) for row in values]


@cache
def _flights(what: str) -> pd.DataFrame:
    complete = load_flights().dropna(subset=[*COLUMNS, TARGET])
    is_training = complete["month"] <= 8
    return complete[is_training if what == "training" else ~is_training]


def _lightgbm(path: Path, rows: Any, late: Any, seed: int) -> Path:
    import lightgbm

    parameters = {"objective": "regression", "num_leaves": 31, "num_threads": 1, "verbose": -1, "seed": seed}
    file = path.with_suffix(".txt")
    lightgbm.train(parameters, lightgbm.Dataset(rows, late), num_boost_round=_TREES).save_model(file)
    return file


def _xgboost(path: Path, rows: Any, late: Any, seed: int) -> Path:
    import xgboost

    parameters = {"max_depth": 5, "tree_method": "hist", "nthread": 1, "seed": seed}
    file = path.with_suffix(".json")
    xgboost.train(parameters, xgboost.DMatrix(rows, late), num_boost_round=_TREES).save_model(file)
    return file


def _sklearn(path: Path, rows: Any, late: Any, seed: int) -> Path:
    import skops.io
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    file = path.with_suffix(".skops")
    skops.io.dump(make_pipeline(StandardScaler(), Ridge(random_state=seed)).fit(rows, late), file)
    return file


_WRITERS = dict(zip(FRAMEWORKS, (_lightgbm, _xgboost, _sklearn), strict=True))
