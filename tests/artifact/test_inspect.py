"""Inspection says what is wrong with a file in words that name it."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.models import TrainedModel, sklearn_classifier, xgboost_model
from tidegate.artifact.inspect import ArtifactLimits, inspect_artifact, measure
from tidegate.contract.errors import InvalidInput


@pytest.fixture(scope="module")
def booster(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    return xgboost_model(tmp_path_factory.mktemp("inspect") / "model.json")


def test_a_model_is_recognised_and_the_files_are_returned(booster: TrainedModel) -> None:
    files, recognition = inspect_artifact(booster.path)
    assert files.root == booster.path
    assert (recognition.runtime, recognition.format) == ("xgboost", "xgboost-json")


def test_a_framework_that_agrees_with_the_content_is_taken(booster: TrainedModel) -> None:
    assert inspect_artifact(booster.path, "xgboost")[1].runtime == "xgboost"


def test_a_framework_that_the_content_contradicts_is_refused_with_both(booster: TrainedModel) -> None:
    with pytest.raises(InvalidInput) as caught:
        inspect_artifact(booster.path, "sklearn")
    assert "xgboost" in caught.value.message
    assert "sklearn" in caught.value.message
    assert "--framework xgboost" in str(caught.value.hint)


def test_an_unknown_framework_lists_the_known_ones(booster: TrainedModel) -> None:
    with pytest.raises(InvalidInput) as caught:
        inspect_artifact(booster.path, "prophet")
    assert "onnx" in str(caught.value.expected)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"nowhere\.onnx"):
        inspect_artifact(tmp_path / "nowhere.onnx")


def test_an_empty_file_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").touch()
    (tmp_path / "folder").mkdir()
    for name in ("model.onnx", "folder"):
        with pytest.raises(InvalidInput, match="is empty"):
            inspect_artifact(tmp_path / name)


def test_an_unknown_format_lists_the_formats_and_shows_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x89PNG\r\n\x1a\n and so on")
    with pytest.raises(InvalidInput) as caught:
        inspect_artifact(path)
    assert "skops" in str(caught.value.expected)
    assert "ONNX" in str(caught.value.expected)
    assert "PNG" in str(caught.value.got)


def test_a_folder_of_other_things_is_refused_with_its_content(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("no model")
    with pytest.raises(InvalidInput) as caught:
        inspect_artifact(tmp_path)
    assert "notes.md" in str(caught.value.got)


def test_a_file_beyond_the_limit_is_refused(booster: TrainedModel) -> None:
    with pytest.raises(InvalidInput, match="larger than") as caught:
        inspect_artifact(booster.path, limits=ArtifactLimits(bytes=100))
    assert "100 bytes" in str(caught.value.expected)


def test_a_folder_with_too_many_files_is_refused(tmp_path: Path) -> None:
    for index in range(6):
        (tmp_path / f"part-{index}").write_text("x")
    with pytest.raises(InvalidInput, match="holds more than"):
        measure(tmp_path, ArtifactLimits(files=5))
    assert measure(tmp_path, ArtifactLimits(files=6)) == 6


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder, outside = tmp_path / "model", tmp_path / "secret"
    folder.mkdir()
    outside.write_text("secret")
    (folder / "weights").symlink_to(outside)
    with pytest.raises(InvalidInput, match="leads out of the folder"):
        measure(folder, ArtifactLimits())


def test_a_link_inside_the_folder_is_fine(tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("12345")
    (tmp_path / "latest").symlink_to("weights")
    assert measure(tmp_path, ArtifactLimits()) == 10


def test_what_is_no_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInput, match="neither a file nor a folder"):
        inspect_artifact(tmp_path / "pipe")


def _cut_short(content: bytes) -> bytes:
    return content[:-200]


def _with_a_name_that_is_no_text(content: bytes) -> bytes:
    """Have the name before the schema be no UTF-8, and what is before that say that it is."""
    changed = bytearray(content)
    name = content.index(b"schema.json")
    changed[name], changed[name - 30 + 7] = 0xD9, 0x08
    return bytes(changed)


def _with_a_method_that_does_not_fit(content: bytes) -> bytes:
    """Have the directory say that the schema was packed by LZMA."""
    changed = bytearray(content)
    changed[content.rindex(b"schema.json") - 46 + 10] = zipfile.ZIP_LZMA
    return bytes(changed)


@pytest.mark.parametrize("damage", [_cut_short, _with_a_name_that_is_no_text, _with_a_method_that_does_not_fit])
def test_a_damaged_file_is_named_with_the_damage(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    model = sklearn_classifier(tmp_path / "model.skops")
    model.path.write_bytes(damage(model.path.read_bytes()))
    with pytest.raises(InvalidInput, match=r"model\.skops is a damaged skops file"):
        inspect_artifact(model.path)


def test_a_folder_or_an_archive_gets_the_hint_to_name_the_file(booster: TrainedModel, tmp_path: Path) -> None:
    folder, archive = tmp_path / "folder", tmp_path / "model.zip"
    folder.mkdir()
    (folder / "notes.txt").write_text("no model")
    with zipfile.ZipFile(archive, "w") as stream:
        stream.write(booster.path, "model.json")
    with pytest.raises(InvalidInput) as of_folder:
        inspect_artifact(folder)
    with pytest.raises(InvalidInput) as of_archive:
        inspect_artifact(archive)
    assert "Name the model file" in (of_folder.value.hint or "")
    assert "unpack it" in (of_archive.value.hint or "")
