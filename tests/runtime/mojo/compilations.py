"""Loads models and asks them in every way, and writes as JSON which kernels were compiled while they were asked.

python -m tests.runtime.mojo.compilations      {model: {way: [kernel, …]}}

A process of its own, since a kernel that somebody else compiled before would not be told. What numba finds on the disk
counts as well: with an empty one it would have been compiled.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core import event

from tests.runtime.mojo.matrix.kept import DATA
from tests.support.mojos import FOLDER
from tidegate import mojo
from tidegate.runtime.base import ArtifactFiles, LoadOptions
from tidegate.runtime.mojo.load import read
from tidegate.runtime.mojo.runtime import MojoRuntime
from tidegate.runtime.mojo.samples import samples

SMALL = Path(__file__).parent / "data" / "small"
#: A model of each algorithm at least, some of which take another way to their scores.
MODELS = {
    path.stem: path
    for path in (
        *(FOLDER / f"{name}.zip" for name in ("gbm_offset", "gbm_platt", "drf_enum", "gbm_one_hot_explicit")),
        *(FOLDER / f"{name}.zip" for name in ("glm_offset", "glm_three", "isolation_flag", "kmeans", "word2vec")),
        *(
            DATA / "models" / f"{name}.zip"
            for name in (
                "coxph_offset",
                "deep_learning_numbers",
                "deep_learning_offset",
                "deep_learning_autoencoder_numbers",
                "extended_isolation_forest_numbers_1",
                "gam_cubic_numbers",
                "gam_i_splines_2_real",
                "glrm_absolute",
                "isotonic_na",
                "pca_descale",
                "rulefit_gbm_rules",
                "stacked_four_deeplearning",
                "stacked_real_gbm",
                "target_encoder_blended",
                "uplift_AUTO",
                "xgboost_dart_offset",
                "xgboost_gblinear_offset",
                "xgboost_sparse_linear",
            )
        ),
        *(SMALL / f"{name}.zip" for name in ("klime_all", "pipe_glm_bin", "svm_1_false_0_0")),
    )
}
#: Those for which tiny models of the same kinds are compiled ahead.
COMMON = (
    "deep_learning_numbers",
    "drf_enum",
    "gbm_offset",
    "gbm_one_hot_explicit",
    "glm_offset",
    "glm_three",
    "isolation_flag",
    "kmeans",
    "xgboost_dart_offset",
)
#: Enough for two threads.
ROWS = 600

Row = dict[str, Any]


@contextmanager
def recorded() -> Iterator[list[str]]:
    """Give a list that has, at the end, what was compiled or loaded from the disk meanwhile."""
    found: list[str] = []
    with event.install_recorder("numba:compile") as compiled, event.install_recorder("numba:compiler_lock") as looked:
        yield found
    found += [str(one.data["dispatcher"]) for _, one in compiled.buffer if one.is_start]
    if not found:
        found += ["a kernel on the disk" for _, one in looked.buffer if one.is_start]


def rows_of(model: mojo.MojoModel) -> list[Row]:
    """Return rows of usual values, as many as above; the first has a value of each input."""

    def value(name: str, levels: tuple[str, ...] | None, place: int) -> Any:
        return (0.5, 3.0, None, -1.25)[place % 4] if levels is None else [*levels[:5], None][place % 6 % len(levels)]

    specs = model.signature.inputs
    return [{spec.name: value(spec.name, spec.categories, place) for spec in specs} for place in range(ROWS)]


def columns_of(rows: list[Row]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def ways_of(path: Path, model: mojo.MojoModel) -> dict[str, Callable[[], Any]]:
    """Return the ways in which a model is asked; none of them has been gone when this returns."""
    rows = rows_of(model)
    columns = columns_of(rows)
    served = MojoRuntime().load(ArtifactFiles(path), LoadOptions())
    arrays = {
        spec.name: np.array(columns[spec.name], dtype=object if spec.datatype == "BYTES" else float)
        for spec in served.signature.inputs
    }
    numeric = model.builder.matrix(columns, ROWS)
    unaligned = np.frombuffer(b"\0" + numeric.tobytes(), dtype=np.float64, offset=1).reshape(numeric.shape)
    reads_only = numeric.copy()
    reads_only.setflags(write=False)
    ways: dict[str, Callable[[], Any]] = {
        "a dict": lambda: model.predict(rows[0]),
        "a dict of more": lambda: model.predict({**rows[0], "extra": 1}),
        "a dict of nothing": lambda: model.predict({}),
        "one row of a list": lambda: model.predict(rows[:1]),
        "rows": lambda: model.predict(rows[:9]),
        "columns": lambda: model.predict(columns),
        "columns in two threads": lambda: model.predict(columns, threads=2),
        "the server's columns": lambda: served.predict(arrays),
        "the server's single row": lambda: served.predict({name: column[:1] for name, column in arrays.items()}),
        "numeric rows": lambda: model.predict(numeric),
        "one numeric row": lambda: model.predict(numeric[:1]),
        "numeric rows in two threads": lambda: model.predict(numeric, threads=2),
        "numeric rows that cannot be written to": lambda: model.predict(reads_only),
        "one numeric row that cannot be written to": lambda: model.predict(reads_only[:1]),
        "numeric rows in float32": lambda: model.predict(numeric.astype(np.float32)),
        "numeric rows column by column": lambda: model.predict(np.asfortranarray(numeric)),
        "every second numeric row": lambda: model.predict(numeric[::2]),
        "numeric rows at odd addresses": lambda: model.predict(unaligned),
    }
    if model.offset_column is not None:
        with_offset = {**columns, model.offset_column: np.linspace(0.0, 1.0, ROWS)}
        ways |= {
            "an offset": lambda: model.predict({**rows[0], model.offset_column: 0.5}),
            "offsets": lambda: model.predict(with_offset),
            "offsets in two threads": lambda: model.predict(with_offset, threads=2),
            "every second offset": lambda: model.predict(
                {name: column[::2] for name, column in with_offset.items()}, threads=2
            ),
        }
    return ways


def compiled_by(path: Path) -> dict[str, list[str]]:
    """Return what each way compiles."""
    found = {}
    for name, ask in ways_of(path, mojo.load(path)).items():
        with recorded() as compiled:
            ask()
        found[name] = compiled
    return found


def missed_by_samples() -> dict[str, list[str]]:
    """Return what models of the common kinds still compile after those of `samples`, by model."""
    for _, file in samples():
        read(file)
    found = {}
    for name in COMMON:
        with recorded() as compiled:
            mojo.load(MODELS[name])
        found[name] = compiled
    return found


def _compiles_something() -> list[str]:
    with recorded() as compiled:
        numba.njit(lambda x: x + 1)(1)
    return compiled


if __name__ == "__main__":
    missed = missed_by_samples()
    told = {name: compiled_by(path) for name, path in MODELS.items()}
    print(json.dumps({**told, "missed by samples": missed, "not compiled before": {"a call": _compiles_something()}}))
