"""Train the models that the benchmark scores, with H2O itself; run by the interpreter of the environment that has it.

python train.py FOLDER [MODEL...]    writes a MOJO per model, and the rows that are scored, one file per table

Each model is trained once: what lies in the folder is kept.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SEED = 20261129
SCORED = 10_000
#: Rows that models are trained on; the forest, whose trees are to have 20,000 nodes each, on many.
FEW, MANY = 40_000, 130_000
CLASSES = ("a", "b", "c", "d")
Columns = dict[str, list[str]]


def events() -> tuple[Columns, int]:
    """Return ten numbers and three categoricals, of 1,500, 300 and 12 levels; 4 % are missing. And rows to train on."""
    trained = MANY
    rng = np.random.default_rng(SEED)
    rows = trained + SCORED
    numbers = rng.normal(size=(rows, 10)).round(5)
    codes = np.stack([rng.integers(0, levels, rows) for levels in (1_500, 300, 12)], axis=1)
    effects = [rng.normal(size=levels) for levels in (1_500, 300, 12)]
    score = numbers[:, 0] * numbers[:, 1] + np.abs(numbers[:, 2]) - 0.5 * numbers[:, 3]
    score += sum(effect[codes[:, place]] for place, effect in enumerate(effects)) + rng.normal(size=rows)
    quarters = np.digitize(score, np.quantile(score, (0.25, 0.5, 0.75)))
    columns: Columns = {f"n{place}": _numbers(rng, numbers[:, place]) for place in range(10)}
    columns |= {f"c{place}": _levels(rng, codes[:, place]) for place in range(3)}
    columns["yes"] = np.where(score > np.median(score), "yes", "no").tolist()
    columns["quarter"] = np.array(CLASSES)[quarters].tolist()
    return columns, trained


def profiles() -> tuple[Columns, int]:
    """Return 297 numbers and three categoricals, of 1,500, 150 and 52 levels."""
    trained = 20_000
    rng = np.random.default_rng(SEED + 1)
    rows = trained + SCORED
    numbers = rng.normal(size=(rows, 297)).round(4)
    codes = np.stack([rng.integers(0, levels, rows) for levels in (1_500, 150, 52)], axis=1)
    effects = [rng.normal(size=levels) for levels in (1_500, 150, 52)]
    score = numbers @ rng.normal(size=297) / 8.0 + rng.normal(size=rows)
    score += sum(effect[codes[:, place]] for place, effect in enumerate(effects))
    columns: Columns = {f"m{place}": _numbers(rng, numbers[:, place], missing=0.01) for place in range(297)}
    columns |= {f"k{place}": _levels(rng, codes[:, place], missing=0.01) for place in range(3)}
    columns["yes"] = np.where(score > np.median(score), "yes", "no").tolist()
    return columns, trained


def _numbers(rng: np.random.Generator, values: Any, missing: float = 0.04) -> list[str]:
    return [
        "" if gone else repr(value)
        for value, gone in zip(values.tolist(), rng.random(len(values)) < missing, strict=True)
    ]


def _levels(rng: np.random.Generator, codes: Any, missing: float = 0.04) -> list[str]:
    return [
        "" if gone else f"L{code:04d}"
        for code, gone in zip(codes.tolist(), rng.random(len(codes)) < missing, strict=True)
    ]


def _estimators() -> Any:
    from h2o import estimators

    return estimators


EVENTS = [f"n{place}" for place in range(10)] + ["c0", "c1", "c2"]
PROFILES = [f"m{place}" for place in range(297)] + ["k0", "k1", "k2"]
Maker = Callable[[Any, Any], Any]


def _trained(estimator: str, x: list[str], y: str, **parameters: Any) -> Maker:
    def make(training: Any, _: Any) -> Any:
        model = getattr(_estimators(), f"H2O{estimator}Estimator")(seed=SEED, **parameters)
        rows = (
            training
            if estimator == "RandomForest" and parameters["max_depth"] == 20
            else training[: min(FEW, training.nrow), :]
        )
        model.train(x=x, y=y, training_frame=rows)
        return model

    return make


def _ensemble(training: Any, blending: Any) -> Any:
    base = [
        _trained("GradientBoosting", EVENTS, "yes", ntrees=50, max_depth=5),
        _trained("RandomForest", EVENTS, "yes", ntrees=50, max_depth=12),
        _trained("GeneralizedLinear", EVENTS, "yes", family="binomial", lambda_=1e-4, solver="L_BFGS"),
    ]
    models = [make(training, None) for make in base]
    ensemble = _estimators().H2OStackedEnsembleEstimator(base_models=models, seed=SEED)
    ensemble.train(x=EVENTS, y="yes", training_frame=training[: min(FEW, training.nrow), :], blending_frame=blending)
    return ensemble


#: By name: the table, and how the model is made of its frame (and, for the ensemble, of rows kept from its models).
MODELS: dict[str, tuple[str, Maker]] = {
    "gbm-small": ("events", _trained("GradientBoosting", EVENTS, "yes", ntrees=50, max_depth=5)),
    "gbm": ("events", _trained("GradientBoosting", EVENTS, "yes", ntrees=300, max_depth=6, nbins_cats=1500)),
    "gbm-4": ("events", _trained("GradientBoosting", EVENTS, "quarter", ntrees=100, max_depth=5)),
    "drf": ("events", _trained("RandomForest", EVENTS, "yes", ntrees=100, max_depth=20, min_rows=1)),
    "xgboost": ("events", _trained("XGBoost", EVENTS, "yes", ntrees=300, max_depth=6, learn_rate=0.1)),
    "glm": (
        "profiles",
        _trained("GeneralizedLinear", PROFILES, "yes", family="binomial", solver="L_BFGS", lambda_=1e-4),
    ),
    "dl": ("profiles", _trained("DeepLearning", PROFILES[:195] + PROFILES[-3:], "yes", hidden=[128, 64], epochs=1)),
    "ensemble": ("events", _ensemble),
}
TABLES: dict[str, Callable[[], tuple[Columns, int]]] = {"events": events, "profiles": profiles}


def main(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name in names or MODELS if not (folder / f"{name}.zip").exists()]
    if not missing:
        return
    import h2o

    h2o.init(port=54977, nthreads=1, max_mem_size="1500m", name="tidegate-bench", strict_version_check=False)
    h2o.no_progress()
    try:
        for table, make in TABLES.items():
            wanted = [name for name in missing if MODELS[name][0] == table]
            if not wanted:
                continue
            columns, trained = make()
            _write(folder / f"{table}.csv", columns, trained, trained + SCORED)
            training, blending = _frames(folder, table, columns, trained)
            for name in wanted:
                print(f"training {name} …", flush=True)
                model = MODELS[name][1](training, blending)
                unfinished = Path(model.download_mojo(str(folder / f"{name}.part")))
                unfinished.rename(folder / f"{name}.zip")
            h2o.remove_all()
    finally:
        h2o.cluster().shutdown()


def _frames(folder: Path, table: str, columns: Columns, trained: int) -> tuple[Any, Any]:
    import h2o

    path = folder / f"{table}-training.csv"
    _write(path, columns, 0, trained)
    kinds = ["numeric" if name[0] in "nm" else "enum" for name in columns]
    frame = h2o.upload_file(str(path), col_types=kinds)
    path.unlink()
    return frame, frame[trained - FEW // 4 :, :]


def _write(path: Path, columns: Columns, start: int, end: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(column[start:end] for column in columns.values()), strict=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
