"""Loads models and asks them in every way, and writes as JSON which kernels were compiled while they were asked.

python -m tests.runtime.mojo.compilations      {model: {way: [kernel, …]}}

A process of its own, since a kernel that somebody else compiled before would not be told. What numba finds on the disk
counts as well: with an empty one it would have been compiled.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numba
from numba.core import event

from tests.runtime.mojo.asking import ways_of
from tests.runtime.mojo.matrix.kept import DATA
from tests.support.mojos import FOLDER
from tidegate import mojo
from tidegate.runtime.mojo.load import read
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


@contextmanager
def recorded() -> Iterator[list[str]]:
    """Give a list that has, at the end, what was compiled or loaded from the disk meanwhile."""
    found: list[str] = []
    with event.install_recorder("numba:compile") as compiled, event.install_recorder("numba:compiler_lock") as looked:
        yield found
    found += [str(one.data["dispatcher"]) for _, one in compiled.buffer if one.is_start]
    if not found:
        found += ["a kernel on the disk" for _, one in looked.buffer if one.is_start]


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
