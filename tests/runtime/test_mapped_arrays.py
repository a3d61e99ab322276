"""The arrays of a joblib file are mapped, so that processes which load the same file share them."""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.neighbors import KNeighborsRegressor

from tidegate.runtime.base import ArtifactFiles, LoadOptions
from tidegate.runtime.unpickle import unpickle


@pytest.fixture
def neighbours() -> KNeighborsRegressor:
    points = np.random.default_rng(0).normal(size=(5000, 4))
    return KNeighborsRegressor(algorithm="brute").fit(points, points.sum(axis=1))


def is_mapped(path: Path) -> bool:
    return str(path) in Path("/proc/self/maps").read_text()


def test_arrays_of_a_plain_joblib_file_are_mapped_and_answer_the_same(
    neighbours: KNeighborsRegressor, tmp_path: Path
) -> None:
    path = tmp_path / "plain.joblib"
    joblib.dump(neighbours, path)
    loaded = unpickle(ArtifactFiles(path), LoadOptions(trusted=True))
    assert is_mapped(path)
    asked = np.random.default_rng(1).normal(size=(50, 4))
    assert np.array_equal(loaded.predict(asked), neighbours.predict(asked))


def test_a_model_that_writes_into_its_arrays_leaves_the_file_as_it_is(
    neighbours: KNeighborsRegressor, tmp_path: Path
) -> None:
    path = tmp_path / "plain.joblib"
    joblib.dump(neighbours, path)
    before = path.read_bytes()
    path.chmod(0o444)  # as in a bundle
    loaded = unpickle(ArtifactFiles(path), LoadOptions(trusted=True))
    loaded._fit_X[:] = 0.0
    assert path.read_bytes() == before


def test_a_compressed_joblib_file_is_read_as_a_whole(neighbours: KNeighborsRegressor, tmp_path: Path) -> None:
    path = tmp_path / "small.joblib"
    joblib.dump(neighbours, path, compress=3)
    loaded = unpickle(ArtifactFiles(path), LoadOptions(trusted=True))
    assert not is_mapped(path)
    asked = np.random.default_rng(1).normal(size=(50, 4))
    assert np.array_equal(loaded.predict(asked), neighbours.predict(asked))
