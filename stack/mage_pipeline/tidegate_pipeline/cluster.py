"""An H2O cluster: a model trained there, compared on rows that were held out, and fetched as MOJO."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate_pipeline.data import Parts
from tidegate_pipeline.training_setup import Configuration, TrainingSetup

_ESTIMATORS = {
    "gbm": "H2OGradientBoostingEstimator",
    "drf": "H2ORandomForestEstimator",
    "xgboost": "H2OXGBoostEstimator",
    "glm": "H2OGeneralizedLinearEstimator",
    "deeplearning": "H2ODeepLearningEstimator",
}
#: What H2O's answers are called here; each is left out where H2O has none.
_METRICS = {
    "auc": "auc",
    "pr_auc": "aucpr",
    "logloss": "logloss",
    "rmse": "rmse",
    "mae": "mae",
    "mean_residual_deviance": "mean_residual_deviance",
    "r2": "r2",
    "mean_per_class_error": "mean_per_class_error",
}
#: Of an error of H2O's, in characters.
_LONGEST = 500


class PassingError(Exception):
    """The cluster did not answer, or not as it should; it may go better later."""


@dataclass(frozen=True)
class Health:
    """What a cluster says of itself."""

    is_up: bool
    nodes: int
    version: str
    free_bytes: int

    def as_document(self) -> dict[str, Any]:
        return dict(vars(self))


def health(url: str, timeout_seconds: float = 10.0) -> Health:
    """Ask a cluster how it is.

    Raises:
        Unavailable: it does not answer, or not as H2O does.
    """
    try:
        answer = httpx.get(f"{url.rstrip('/')}/3/Cloud", timeout=timeout_seconds)
        answer.raise_for_status()
        told = answer.json()
        nodes = told["nodes"]
        is_up = bool(told["cloud_healthy"]) and all(node["healthy"] for node in nodes)
        return Health(is_up, len(nodes), str(told["version"]), sum(int(node["free_mem"]) for node in nodes))
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise Unavailable(
            f"the H2O cluster does not answer: {type(error).__name__} {error}",
            subject=url,
            hint="see that it runs, and that cluster.url says where",
        ) from error


def train(setup: TrainingSetup, configuration: Configuration, parts: Parts, key: str, mojo: Path) -> dict[str, float]:
    """Train a model on the cluster, write it as MOJO, and return its metrics on the rows that were held out.

    What it made on the cluster is deleted again, however it ends.

    Args:
        key: what that is called there; of this training alone.

    Raises:
        PassingError: the cluster does not answer, or failed in a way that may pass.
        InvalidInput: it refuses this training, or the training failed.
        Unavailable: `h2o` is not installed.
    """
    h2o, exceptions = _h2o()
    import requests

    passing = (exceptions.H2OConnectionError, exceptions.H2OServerError, requests.exceptions.RequestException)
    try:
        h2o.connect(url=setup.cluster.url, verbose=False, strict_version_check=False)
        h2o.no_progress()
        try:
            estimator = _estimator(h2o, setup, configuration, key)
            return _trained(h2o, estimator, setup.target, parts, mojo)
        finally:
            for name in (f"{key}_train", f"{key}_test", key):
                h2o.remove(name)
            h2o.connection().close()
    except passing as error:
        raise PassingError(_first_line(error)) from error
    except (exceptions.H2OError, OSError, ValueError, TypeError) as error:
        # A job that failed is an OSError of the client, a parameter that there is not a TypeError.
        raise InvalidInput(
            f"H2O refuses {configuration.name}: {_first_line(error)}", subject=configuration.name
        ) from error


def _trained(h2o: Any, model: Any, target: str, parts: Parts, mojo: Path) -> dict[str, float]:
    def uploaded(path: Path, name: str) -> Any:
        return h2o.upload_file(
            str(path), destination_frame=name, header=1, sep=",", col_types=dict(parts.kinds), na_strings=[""]
        )

    key = model.model_id
    frames = uploaded(parts.train, f"{key}_train"), uploaded(parts.test, f"{key}_test")
    model.train(x=list(parts.inputs), y=target, training_frame=frames[0])
    held_out = model.model_performance(frames[1])
    mojo.parent.mkdir(parents=True, exist_ok=True)
    beside = mojo.with_name(f".{mojo.name}")
    written = Path(model.download_mojo(path=str(beside)))
    written.replace(mojo)
    return _metrics(held_out)


def _estimator(h2o: Any, setup: TrainingSetup, configuration: Configuration, key: str) -> Any:
    given = {"seed": 1, "max_runtime_secs": setup.most_seconds, **configuration.parameters, "model_id": key}
    return getattr(h2o.estimators, _ESTIMATORS[configuration.algorithm])(**given)


def _metrics(performance: Any) -> dict[str, float]:
    found = {}
    for name, method in _METRICS.items():
        try:
            value = getattr(performance, method)()
        except (AttributeError, KeyError, TypeError, ValueError):
            continue
        while isinstance(value, list) and value:
            value = value[-1]
        if isinstance(value, int | float) and math.isfinite(value):
            found[name] = float(value)
    return found


def _h2o() -> tuple[Any, Any]:
    try:
        import h2o
        import h2o.estimators
        from h2o import exceptions
    except ImportError as missing:
        raise Unavailable(
            "models are trained by H2O, whose client is not installed",
            hint="pip install -r stack/mage_pipeline/requirements-pipeline.txt",
        ) from missing
    return h2o, exceptions


def _first_line(error: Exception) -> str:
    # A refusal of the cluster has its sentence among fields of no use to people.
    told = getattr(error.args[0], "msg", None) if error.args else None
    lines = [line.strip() for line in str(told or error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:_LONGEST]
