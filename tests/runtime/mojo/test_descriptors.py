"""A model that is loaded keeps no file open, and what it reads of its file later is of that very file."""

from __future__ import annotations

import contextlib
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.runtime.mojo.damage import entries_of
from tests.runtime.mojo.matrix.kept import DATA, read_index
from tests.support.mojos import FOLDER
from tidegate import mojo
from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import ArtifactFiles, LoadOptions
from tidegate.runtime.mojo import runtime as server_side
from tidegate.runtime.mojo import shelf
from tidegate.runtime.mojo.container import open_container
from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.identity import identify
from tidegate.runtime.mojo.runtime import MojoRuntime

ROW = {"size": 0.4, "count": 3, "kind": "a", "town": "t01", "code": "10", "flag": "True"}
_MATRIX = DATA / "models"
#: One of each algorithm, so that each reader is tried; and all that lie beside them.
_ONE_EACH = list({entry["algorithm"]: DATA / entry["mojo"] for entry in read_index()["models"]}.values())
PATHS = [*_ONE_EACH, *sorted(FOLDER.glob("*.zip"))]


def open_files() -> list[str]:
    return sorted(file.path for file in psutil.Process().open_files())


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Require that as many descriptors are open after a test as before it, and the same files."""
    process = psutil.Process()
    mojo.load(FOLDER / "gbm_enum.zip")  # what the first model opens for all of them is no model's
    before, files = process.num_fds(), open_files()
    yield
    assert open_files() == files
    assert process.num_fds() == before


@pytest.mark.usefixtures("descriptors")
def test_models_that_are_loaded_keep_no_file_open(tmp_path: Path) -> None:
    assert len(PATHS) > 30
    process = psutil.Process()
    before = process.num_fds()
    kept = []
    for path in PATHS:
        with contextlib.suppress(mojo.MojoUnsupportedError):
            kept.append(mojo.load(path))
        assert process.num_fds() == before, path.name
    assert len(kept) > 30
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(FOLDER / "gbm_enum.zip") as archive:
        archive.extractall(folder)
    mojo.load(folder)
    for path in PATHS[:4]:
        mojo.describe(path)
        identify(path)
    assert process.num_fds() == before


@pytest.mark.usefixtures("descriptors")
def test_files_that_are_refused_are_not_kept_open(tmp_path: Path) -> None:
    whole = (FOLDER / "gbm_enum.zip").read_bytes()
    entries = entries_of(FOLDER / "gbm_enum.zip")
    cases = {
        "cut": whole[: len(whole) // 2],
        "nothing": b"",
        "text": b"[info]\n" * 40,
        "flipped": bytes(byte ^ (0x55 if 100 <= place < 160 else 0) for place, byte in enumerate(whole)),
    }
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
    for name, left_out in (("no_ini", "model.ini"), ("no_tree", "domains/d000.txt")):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for entry, data in entries.items():
                if entry != left_out:
                    archive.writestr(entry, data)
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(MojoFormatError):
            mojo.load(path)
        with pytest.raises(InvalidInput):
            MojoRuntime().load(ArtifactFiles(path), LoadOptions())
    assert not [name for name in open_files() if name.startswith(str(tmp_path))]


@pytest.mark.usefixtures("descriptors")
def test_models_that_a_server_swaps_keep_no_file_open() -> None:
    runtime, process = MojoRuntime(), psutil.Process()
    before = process.num_fds()
    serving = runtime.load(ArtifactFiles(PATHS[-1]), LoadOptions())
    for path in sorted(FOLDER.glob("*.zip")):
        following = runtime.load(ArtifactFiles(path), LoadOptions())
        serving.close()
        serving = following
        assert process.num_fds() == before
    serving.close()


@pytest.mark.usefixtures("descriptors")
def test_arrays_that_were_mapped_are_let_go_of_with_their_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_side, "_LEAST_DERIVED_BYTES", 0)
    monkeypatch.setattr(shelf, "LEAST_BYTES", 0)
    runtime, process = MojoRuntime(), psutil.Process()
    before, counts = process.num_fds(), []
    assert runtime.derive(ArtifactFiles(FOLDER / "gbm_enum.zip"), LoadOptions(), tmp_path).packages
    serving = None
    for _ in range(6):
        following = runtime.load(ArtifactFiles(FOLDER / "gbm_enum.zip"), LoadOptions(derived=tmp_path))
        if serving is not None:
            serving.close()
        serving = following
        counts.append(process.num_fds() - before)
    assert counts[0] > 0
    assert set(counts) == {counts[0]}
    serving.close()


@pytest.mark.usefixtures("descriptors")
@pytest.mark.parametrize("name", ["gbm_fold_weights_offset", "drf_two", "xgboost_dense_bernoulli"])
def test_what_is_read_later_is_read_from_a_file_that_was_closed(name: str, tmp_path: Path) -> None:
    path = next(path for path in sorted(_MATRIX.glob("*.zip")) if path.stem.startswith(name))
    moved = tmp_path / "model.zip"
    shutil.copy(path, moved)
    model = mojo.load(moved)
    row = {spec.name: None for spec in model.signature.inputs}
    wanted = mojo.load(path)

    assert model.contributions(row) == wanted.contributions(row)
    assert model.leaf_assignment(row, "node_id") == wanted.leaf_assignment(row, "node_id")


def test_another_file_in_the_place_of_a_model_is_no_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    shutil.copy(FOLDER / "gbm_enum.zip", path)
    first, second = mojo.load(path), mojo.load(path)
    answer = first.predict(ROW)

    shutil.copy(FOLDER / "gbm_binary.zip", tmp_path / "new.zip")
    (tmp_path / "new.zip").replace(path)

    with pytest.raises(MojoFormatError, match="was changed after the model was loaded: load it again"):
        first.contributions(ROW)
    path.unlink()
    with pytest.raises(MojoFormatError, match="No such file"):
        second.contributions(ROW)
    assert first.predict(ROW) == answer


def test_a_relative_path_is_that_of_the_folder_in_which_the_model_was_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(FOLDER / "gbm_enum.zip", tmp_path / "model.zip")
    monkeypatch.chdir(tmp_path)
    model = mojo.load("model.zip")
    monkeypatch.chdir(os.sep)
    assert model.contributions(ROW) == mojo.load(FOLDER / "gbm_enum.zip").contributions(ROW)


def test_models_below_are_closed_with_the_whole() -> None:
    path = next(DATA / entry["mojo"] for entry in read_index()["models"] if entry["algorithm"] == "stacked_ensemble")
    container = open_container(path)
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/model.ini"))
        wanted = archive.read(name)
    inner = container.below(name.removesuffix("/model.ini"))
    container.close()
    assert str(path) not in open_files()
    assert inner.read("model.ini") == wanted
    assert str(path) not in open_files()
