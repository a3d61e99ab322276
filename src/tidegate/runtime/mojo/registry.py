"""Which module reads which algorithm. They are imported when a model needs them, since some bring a compiler."""

from __future__ import annotations

import importlib
from contextvars import ContextVar
from typing import cast

from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError
from tidegate.runtime.mojo.header import read_header
from tidegate.runtime.mojo.scorer import Scorer

#: From the short name of an algorithm (a value of `header.ALGORITHMS`) to its module in this package, whose function
#: `read(container, header)` returns the scorer.
MODULES: dict[str, str] = {
    "gbm": "forests",
    "drf": "forests",
    "isolation_forest": "forests",
    "uplift": "forests",
    "extended_isolation_forest": "extended_isolation",
    "xgboost": "xgboost",
    "glm": "glm",
    "gam": "gam",
    "deep_learning": "deep_learning",
    "kmeans": "kmeans",
    "pca": "pca",
    "glrm": "glrm",
    "coxph": "coxph",
    "stacked_ensemble": "stacked_ensemble",
    "rulefit": "rulefit",
    "target_encoder": "target_encoder",
    "word2vec": "word2vec",
    "isotonic": "isotonic",
    "svm": "svm",
    "klime": "klime",
    "pipeline": "pipeline",
}
#: Those made of other models. Their function is `read(container, header, depth)`; it hands `depth + 1` to `read_model`.
COMPOSITES = frozenset({"stacked_ensemble", "rulefit", "klime", "pipeline"})

#: An ensemble of pipelines of ensembles is deeper than anything that H2O writes.
MAX_DEPTH = 4
#: Models in one file: H2O's largest ensembles have some hundreds.
MAX_MODELS = 20_000

_PACKAGE = "tidegate.runtime.mojo"
_models_read: ContextVar[int] = ContextVar("models_read", default=0)


def read_model(container: Container, depth: int = 0) -> Scorer:
    """Read the model at the top of a container.

    Args:
        depth: 0 for a file, and one more for each model that this one is part of.

    Raises:
        MojoFormatError: it is damaged, or models lie in models without end.
        MojoUnsupportedError: it is whole, and cannot be scored to H2O's numbers.
    """
    count = 1 if depth == 0 else _models_read.get() + 1
    _models_read.set(count)
    if depth > MAX_DEPTH or count > MAX_MODELS:
        raise MojoFormatError(MODEL_INI, "holds models within models beyond all that H2O writes")
    header = read_header(container)
    name = f"{_PACKAGE}.{MODULES[header.algorithm]}"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            raise MojoUnsupportedError(f"models of {header.keys.text('algorithm')} cannot be scored yet") from None
        if error.name != "numba":
            raise
        raise MojoUnsupportedError(
            f"models of {header.keys.text('algorithm')} need the package numba, which is not installed here",
            hint="pip install 'tidegate[mojo]'",
        ) from None
    if header.algorithm in COMPOSITES:
        return cast(Scorer, module.read(container, header, depth))
    return cast(Scorer, module.read(container, header))
