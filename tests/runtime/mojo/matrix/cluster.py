"""A small H2O cluster of one's own: uploads the tables, trains, exports, predicts."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.runtime.mojo.matrix.recipes import FRAME, Recipe
from tests.runtime.mojo.matrix.tables import CLEAN, ROWS, TRAINED, Categorical, Numeric, Table

Predicted = tuple[list[str], NDArray[np.float64], list[str]]


@contextmanager
def running(port: int) -> Iterator[None]:
    """Start a cluster that uses one core, and end it."""
    import h2o

    h2o.init(port=port, nthreads=1, max_mem_size="1500m", name=f"matrix-{port}", strict_version_check=False)
    h2o.no_progress()
    try:
        yield
    finally:
        h2o.cluster().shutdown()


def version() -> str:
    """Return H2O's version."""
    import h2o

    return str(h2o.cluster().version)


def upload(table: Table) -> Any:
    """Return a table as a frame. Names and levels come last, as no CSV parser could then misread them."""
    import h2o

    placeholders = [f"v{number}" for number in range(len(table.columns))]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(placeholders)
    for row in range(ROWS):
        writer.writerow([_placeholder(column, row) for column in table.columns])
    kinds = ["enum" if isinstance(column, Categorical) else "numeric" for column in table.columns]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_text(text.getvalue(), encoding="utf-8")
        frame = h2o.upload_file(str(path), col_types=kinds, destination_frame=f"{table.name}_table")
    for place, column in enumerate(table.columns):
        if isinstance(column, Numeric) and column.denominator != 1:
            frame[place] = frame[place] / column.denominator
        elif isinstance(column, Categorical):
            frame[place] = frame[place].set_levels(list(column.levels))
    frame.names = [column.name for column in table.columns]
    return frame


class Workshop:
    """Trains recipes on frames that were uploaded, and remembers what later ones build on."""

    def __init__(self, frames: dict[str, Any]) -> None:
        #: Kept, as H2O asks some models' training frames when it writes their files.
        self._trained = {name: frame if name == "words" else frame[:TRAINED, :] for name, frame in frames.items()}
        self._clean = {name: frame[TRAINED:, :] for name, frame in frames.items() if name != "words"}
        self._models: dict[str, Any] = {}

    def train(self, recipe: Recipe) -> Any:
        """Return H2O's model. Raises whatever h2o raises for parameters that it refuses."""
        from h2o import estimators

        frame = self._trained[recipe.table]
        parameters = {name: frame if value is FRAME else value for name, value in recipe.parameters.items()}
        if recipe.base_models:
            parameters["base_models"] = [self._models[name] for name in recipe.base_models]
        estimator = getattr(estimators, f"H2O{recipe.estimator}Estimator")
        model = estimator(model_id=f"m_{recipe.name}", **parameters)
        x = list(recipe.inputs) or None
        model.train(x=x, y=recipe.response, training_frame=frame)
        if recipe.threshold is not None:
            from h2o.utils.model_utils import reset_model_threshold

            reset_model_threshold(model, recipe.threshold)
        self._models[recipe.name] = model
        return model

    def predict(self, recipe: Recipe, model: Any) -> Predicted | None:
        """Return the cluster's predictions of the clean rows: names, numbers (codes for labels), labels. None for
        what predicts no rows."""
        if recipe.algorithm in ("word2vec", "glrm"):  # of GLRM the cluster gives the rows rebuilt, genmodel the factors
            return None
        frame = self._clean[recipe.table]
        if recipe.below_the_training:
            above = _with_frequent_levels(model, self._trained[recipe.table])
            names, values, labels = exact(model.predict(above.rbind(frame)))
            return names, values[-CLEAN:], labels[-CLEAN:]
        if recipe.algorithm != "target_encoder":
            return exact(model.predict(frame))
        transformed = model.transform(frame)
        return exact(transformed[[name for name in transformed.names if name not in frame.names]])


def _with_frequent_levels(model: Any, trained: Any) -> Any:
    """Return the rows of the training, and those again that have levels which the model kept of a limited column: so
    that a few more rows do not make another level more frequent than one of them."""
    output = model._model_json["output"]
    kept = dict(zip(output["names"], output["domains"], strict=False))
    frame = trained
    for name, levels in kept.items():
        original, _, limited = name.partition(".top_")
        if limited:
            frame = frame.rbind([trained[trained[original].isin(levels), :]] * 5)
    return frame


def exact(frame: Any) -> Predicted:
    """Return a frame of predictions, doubles as they are; a column of labels as its codes, and the labels."""
    import h2o

    text = h2o.api("GET /3/DownloadDataset", data={"frame_id": frame.frame_id, "hex_string": True})
    reader = csv.reader(io.StringIO(text))
    names = next(reader)
    rows = [row or [""] for row in reader]  # a line is empty where the only number is missing
    labels: list[str] = []
    values = np.full((len(rows), len(names)), np.nan)
    for place, name in enumerate(names):
        cells = [row[place] for row in rows]
        if frame.types.get(name) == "enum":
            levels = frame[place].levels()[0]
            labels = cells
            values[:, place] = [levels.index(cell) if cell in levels else np.nan for cell in cells]
        else:
            values[:, place] = [_double(cell) for cell in cells]
    return names, values, labels


def _double(cell: str) -> float:
    if cell in ("", "NA", "NaN"):
        return float("nan")
    if "Infinity" in cell:
        return float(cell.replace("Infinity", "inf"))
    return float.fromhex(cell) if "0x" in cell else float(cell)


def _placeholder(column: Numeric | Categorical, row: int) -> str:
    if isinstance(column, Numeric):
        return "" if column.missing[row] else str(int(column.numerators[row]))
    code = int(column.codes[row])
    return "" if code < 0 else f"k{code:04d}"
