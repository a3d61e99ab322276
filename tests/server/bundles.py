"""Bundles of small real models, and models that misbehave as real ones do."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support.models import TrainedModel, flights, late, records, typed, write_pickled
from tidegate.artifact.bundle import Bundle, BundleContent, Environment, write_bundle
from tidegate.runtime.base import ArtifactFiles, LoadOptions
from tidegate.runtime.registry import get_runtime
from tidegate.runtime.signatures import signature_to_dict

SLOW_COLUMNS = tuple(f"x{index}" for index in range(8))


def write_bundle_of(trained: TrainedModel, folder: Path) -> Bundle:
    """Load the model once, for its signature, and write its bundle under `folder`."""
    rows = list(trained.rows)[:3]
    runtime, files = get_runtime(trained.runtime), ArtifactFiles(trained.path)
    recognition = runtime.recognise(files)
    assert recognition is not None
    model = runtime.load(files, LoadOptions(trusted=True, sample=rows))
    content = BundleContent(
        artifact=trained.path,
        runtime=trained.runtime,
        format=recognition.format,
        framework_version=recognition.framework_version,
        trusted=True,
        signature=signature_to_dict(model.signature),
        environment=Environment(python="3", packages={}),
        memory_bytes=0,
        settings={},
        sample=rows,
    )
    return write_bundle(content, folder)


def model_that_raises_on_missing_values(path: Path) -> TrainedModel:
    """Train a logistic regression without an imputer: it raises on the rows where a number is missing."""
    from sklearn.linear_model import LogisticRegression

    frame = flights()[["distance", "hour"]].fillna(500.0)
    model = LogisticRegression().fit(frame, late(flights()))
    write_pickled(model, path, "skops")
    asked = frame.head(3)
    expected = {"prediction": model.predict(asked), "probabilities": model.predict_proba(asked)}
    return TrainedModel(path, "sklearn", typed(asked), expected, records(asked))


def slow_model(path: Path, points: int = 2000) -> TrainedModel:
    """Train nearest neighbours with a metric that no index helps: time grows with the rows of a request."""
    import pandas as pd
    from sklearn.neighbors import KNeighborsRegressor

    values = np.random.default_rng(0).uniform(size=(points, len(SLOW_COLUMNS)))
    frame = pd.DataFrame(values, columns=list(SLOW_COLUMNS))
    model = KNeighborsRegressor(algorithm="brute", metric="minkowski", p=1.5).fit(frame, values.sum(axis=1))
    write_pickled(model, path, "skops")
    asked = frame.head(3)
    return TrainedModel(path, "sklearn", typed(asked), {"prediction": model.predict(asked)}, records(asked))


def slow_request(rows: int) -> dict[str, dict[str, list[float]]]:
    """Return a request of `rows` rows to the slow model."""
    return {"columns": {name: [0.5] * rows for name in SLOW_COLUMNS}}
