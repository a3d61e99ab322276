"""What a file says of its format agrees with what the reader takes, for every model that there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runtime.mojo.matrix.kept import DATA, read_index
from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.header import ALGORITHMS
from tidegate.runtime.mojo.identity import identify, known_versions


def test_every_model_of_the_matrix_is_of_the_version_that_h2o_wrote() -> None:
    index = read_index()
    for entry in (entry for entry in index["models"] if "failure" not in entry):
        identity = identify(DATA / entry["mojo"])
        assert ALGORITHMS[identity.algorithm][0] == entry["algorithm"], entry["name"]
        assert identity.version == float(entry["version"]), entry["name"]
        assert identity.h2o_version == index["h2o_version"], entry["name"]
        assert identity.is_known, entry["name"]


def test_models_within_are_told() -> None:
    (entry, *_) = [entry for entry in read_index()["models"] if entry["algorithm"] == "stacked_ensemble"]
    identity = identify(DATA / entry["mojo"])
    assert len(identity.below) >= 2
    assert all(one.is_known for one in identity.below)


def test_each_algorithm_has_one_newest_version() -> None:
    assert len(set(ALGORITHMS.values())) == len(known_versions())


def test_what_is_no_mojo_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.zip").write_bytes(b"no zip")
    with pytest.raises(MojoFormatError):
        identify(tmp_path / "m.zip")
