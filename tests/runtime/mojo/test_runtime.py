"""The server's side: recognised by content, typed columns in, H2O's outputs out."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.support.mojos import FOLDER
from tidegate import mojo
from tidegate.contract.errors import InvalidInput, ValueRefused
from tidegate.runtime.base import Array, ArtifactFiles, CountsUnseen, HasManifest, LoadOptions, Model, Recognition
from tidegate.runtime.mojo.runtime import MojoRuntime
from tidegate.runtime.registry import get_runtime, runtimes
from tidegate.runtime.rows import inputs_from_rows, made_up_row
from tidegate.runtime.signatures import signature_from_dict, signature_to_dict

ROW = {"size": 0.4, "count": 3, "kind": "a", "town": "t01", "code": "10", "flag": "True"}


def served(name: str, **settings: object) -> Model:
    return MojoRuntime().load(ArtifactFiles(FOLDER / f"{name}.zip"), LoadOptions(settings=settings))


def inputs(model: Model, *rows: dict[str, object]) -> dict[str, Array]:
    return inputs_from_rows(model.signature.inputs, rows)


def test_a_zip_and_a_folder_are_recognised_by_their_content(tmp_path: Path) -> None:
    target = tmp_path / "model.bin"
    target.write_bytes((FOLDER / "gbm_enum.zip").read_bytes())
    assert MojoRuntime().recognise(ArtifactFiles(target)) == Recognition("mojo", "h2o-zip")
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(target) as archive:
        archive.extractall(folder)
    assert MojoRuntime().recognise(ArtifactFiles(folder)) == Recognition("mojo", "h2o-folder")
    assert isinstance(MojoRuntime(), HasManifest)


def test_no_other_runtime_takes_a_mojo_for_its_own() -> None:
    found = [runtime.recognise(ArtifactFiles(FOLDER / "gbm_enum.zip")) for runtime in runtimes()]
    assert [one.runtime for one in found if one is not None] == ["mojo"]


@pytest.mark.parametrize(
    "entries", [{}, {"model.ini": b""}, {"model.ini": b"[info]\n"}, {"data.pkl": b""}, {"sub/model.ini": b"[info]\n"}]
)
def test_other_zips_are_not_recognised(tmp_path: Path, entries: dict[str, bytes]) -> None:
    target = tmp_path / "other.zip"
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    assert MojoRuntime().recognise(ArtifactFiles(target)) is None


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04" + bytes(200), b"[info]\nalgorithm = x\n"])
def test_other_files_are_not_recognised(tmp_path: Path, content: bytes) -> None:
    target = tmp_path / "file"
    target.write_bytes(content)
    assert MojoRuntime().recognise(ArtifactFiles(target)) is None


@pytest.mark.parametrize("name", ["gbm_enum", "gbm_one_hot_explicit", "drf_binary", "gbm_offset", "kmeans", "word2vec"])
def test_typed_columns_have_the_answers_of_the_model(name: str) -> None:
    model, direct = served(name), mojo.load(FOLDER / f"{name}.zip")
    rows = [made_up_row(model.signature.inputs), {**ROW, "shift": 0.5, "word": "a"}, {"size": -1, "word": None}]
    together = model.predict(inputs(model, *rows))
    assert list(together) == [spec.name for spec in model.signature.outputs]
    for place, row in enumerate(rows):
        alone = model.predict(inputs(model, row))
        for column, values in together.items():
            assert values.dtype == alone[column].dtype
            np.testing.assert_array_equal(alone[column], values[place : place + 1])
    given = {spec.name: rows[1][spec.name] for spec in model.signature.inputs}
    assert {column: values[1] for column, values in together.items()} == direct.predict(given)


def test_a_column_that_a_row_leaves_out_is_a_missing_value() -> None:
    model, direct = served("gbm_one_hot_explicit"), mojo.load(FOLDER / "gbm_one_hot_explicit.zip")
    answer = model.predict(inputs(model, {"size": 1.0}))
    assert answer["yes"][0] == direct.predict({**dict.fromkeys(ROW), "size": 1.0})["yes"]


def test_a_strict_model_refuses_unseen_levels_as_values() -> None:
    assert len(served("gbm_enum").predict(inputs(served("gbm_enum"), {**ROW, "kind": "?"}))["yes"]) == 1
    model = served("gbm_enum", strict=True)
    with pytest.raises(ValueRefused, match="'kind'"):
        model.predict(inputs(model, {**ROW, "kind": "?"}))


def test_the_signature_says_whether_unseen_levels_are_refused() -> None:
    lenient, strict = served("gbm_enum").signature, served("gbm_enum", strict=True).signature
    assert {spec.name for spec in lenient.inputs if spec.open_categories} == {"kind", "town", "code", "flag"}
    assert not any(spec.open_categories for spec in (*strict.inputs, *lenient.outputs))
    for signature in (lenient, strict):
        assert signature_from_dict(signature_to_dict(signature)) == signature


def test_bundles_of_before_have_closed_categories() -> None:
    document = signature_to_dict(served("gbm_enum").signature)
    for spec in document["inputs"]:
        spec.pop("open_categories", None)
    assert signature_from_dict(document) == served("gbm_enum", strict=True).signature


def test_unseen_levels_are_counted_by_input() -> None:
    model = served("gbm_enum")
    assert isinstance(model, CountsUnseen)
    model.predict(inputs(model, {**ROW, "kind": "?"}))
    model.predict(inputs(model, ROW, {**ROW, "kind": "?", "town": "nowhere"}))
    assert model.unseen_levels == {"kind": 2, "town": 1}


def test_settings_are_checked() -> None:
    with pytest.raises(InvalidInput, match="neither true nor false"):
        served("gbm_enum", strict="yes")
    with pytest.raises(InvalidInput, match="Did you mean strict"):
        served("gbm_enum", strikt=True)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "model.zip"
    target.write_bytes((FOLDER / "gbm_enum.zip").read_bytes()[:-100])
    with pytest.raises(InvalidInput):
        MojoRuntime().load(ArtifactFiles(target), LoadOptions())


def test_it_is_registered() -> None:
    assert isinstance(get_runtime("mojo"), MojoRuntime)
