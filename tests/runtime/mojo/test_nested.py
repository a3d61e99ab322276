"""Models within models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.runtime.mojo.damage import Memory, entries_of
from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.nested import Picker
from tidegate.runtime.mojo.registry import read_model

PIPELINE = Path(__file__).parent / "data" / "small" / "pipe_glm_bin.zip"


def changed(old: str, new: str) -> Memory:
    entries = entries_of(PIPELINE)
    text = entries["model.ini"].decode()
    assert old in text
    entries["model.ini"] = text.replace(old, new).encode()
    return Memory(entries)


@pytest.mark.parametrize("folder", ["../km/", "/", "models/./km/", "models/pc/", "models//km/"])
def test_a_folder_that_is_not_the_models_own_is_refused(folder: str) -> None:
    with pytest.raises(MojoFormatError, match="submodel_dir_"):
        read_model(changed("submodel_dir_0 = models/km/", f"submodel_dir_0 = {folder}"))


def test_a_model_that_is_not_there_is_refused() -> None:
    with pytest.raises(MojoFormatError, match="other"):
        read_model(changed("main_model = glm_bin", "main_model = other"))


def test_models_within_models_without_end_are_refused() -> None:
    entries = entries_of(PIPELINE)
    deep = dict(entries)
    prefix = ""
    for _ in range(8):
        prefix += "models/glm_bin/"
        deep.update({prefix + name: data for name, data in entries.items()})
    with pytest.raises(MojoFormatError, match="models within models"):
        read_model(Memory(deep))


def test_a_picker_takes_columns_by_name_the_last_of_equals() -> None:
    rows = np.array([[1.0, 2.0, 3.0]])
    assert Picker(["a", "b", "a"], ["b", "a"])(rows).tolist() == [[2.0, 3.0]]
    assert Picker(["a", "b", "c"], ["a", "b", "c"])(rows) is rows


def test_a_picker_refuses_a_column_that_is_not_there() -> None:
    with pytest.raises(MojoFormatError, match="'z'"):
        Picker(["a"], ["z"])
