"""Which algorithms there are, and how far models may lie within models."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tidegate.runtime.mojo.container import Container, open_container
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError
from tidegate.runtime.mojo.header import ALGORITHMS, Header
from tidegate.runtime.mojo.registry import COMPOSITES, MAX_DEPTH, MODULES, read_model
from tidegate.runtime.mojo.scorer import Scorer

INI = """[info]
algorithm = {algorithm}
mojo_version = {version}
n_features = 1
n_columns = 1
n_classes = 1

[columns]
x

[domains]
"""


def written(folder: Path, algorithm: str, version: str = "1.00") -> Container:
    (folder / "model.ini").write_text(INI.format(algorithm=algorithm, version=version))
    return open_container(folder)


def test_every_algorithm_that_a_file_can_name_has_a_module() -> None:
    assert set(MODULES) == {short for short, _ in ALGORITHMS.values()}
    assert set(MODULES) >= COMPOSITES


def test_an_algorithm_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MojoUnsupportedError, match="Deep Water"):
        read_model(written(tmp_path, "Deep Water"))


def test_a_newer_version_of_a_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MojoUnsupportedError, match=r"version 1\.5 of the format"):
        read_model(written(tmp_path, "Gradient Boosting Machine", "1.50"))


def test_an_algorithm_without_a_module_is_refused_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODULES, "pca", "no_such_module")
    with pytest.raises(MojoUnsupportedError, match="Principal Components Analysis cannot be scored"):
        read_model(written(tmp_path, "Principal Components Analysis"))


def test_a_missing_compiler_is_named_with_what_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'numba'", name="numba")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(MojoUnsupportedError, match="numba") as raised:
        read_model(written(tmp_path, "K-means"))
    assert raised.value.hint == "pip install 'tidegate[mojo]'"


def test_models_within_models_end_somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    depths: list[int] = []

    class Endless:
        @staticmethod
        def read(container: Container, header: Header, depth: int) -> Scorer:
            depths.append(depth)
            return read_model(container, depth + 1)

    monkeypatch.setattr(importlib, "import_module", lambda name: Endless)
    with pytest.raises(MojoFormatError, match="within models"):
        read_model(written(tmp_path, "MOJO Pipeline"))
    assert depths == list(range(MAX_DEPTH + 1))


def test_a_model_of_many_models_ends_somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    class Wide:
        @staticmethod
        def read(container: Container, header: Header, depth: int) -> Scorer:
            read.append(depth)
            if depth < MAX_DEPTH:
                for _ in range(100):
                    read_model(container, depth + 1)
            raise AssertionError

    monkeypatch.setattr("tidegate.runtime.mojo.registry.MAX_MODELS", MAX_DEPTH)
    monkeypatch.setattr(importlib, "import_module", lambda name: Wide)
    with pytest.raises(MojoFormatError, match="within models"):
        read_model(written(tmp_path, "MOJO Pipeline"))
    assert len(read) == MAX_DEPTH
