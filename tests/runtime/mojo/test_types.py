"""What an editor knows of answers is what they are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.runtime.mojo.matrix.kept import DATA
from tests.support.mojos import FOLDER
from tidegate import mojo

#: Methods, and a model that has each.
_TELLING = {
    "predict": FOLDER / "gbm_enum.zip",
    "leaf_assignment": FOLDER / "gbm_enum.zip",
    "staged_probabilities": FOLDER / "gbm_enum.zip",
    "contributions": FOLDER / "gbm_enum.zip",
    "distances": FOLDER / "kmeans.zip",
    "reconstruct": DATA / "models" / "glrm_absolute.zip",
    "anomaly": DATA / "models" / "deep_learning_autoencoder_numbers.zip",
}
#: Data, by their types, and the types of the answers.
_KINDS: dict[str, tuple[str, Callable[[str], Any], type]] = {
    "dict[str, float]": ("dict[str, Any]", lambda name: {name: 0.5}, dict),
    "dict[str, list[float]]": ("dict[str, Any]", lambda name: {name: [0.5, 1.5]}, dict),
    "list[dict[str, float]]": ("list[dict[str, Any]]", lambda name: [{name: 0.5}], list),
    "NDArray[np.void]": ("dict[str, NDArray[Any]]", lambda name: np.zeros(2, [(name, "f8")]), dict),
    "pd.DataFrame": ("pd.DataFrame", lambda name: pd.DataFrame({name: [0.5]}), pd.DataFrame),
    "pl.DataFrame": ("pl.DataFrame", lambda name: pytest.importorskip("polars").DataFrame({name: [0.5]}), object),
}
_PROGRAM = """
from typing import Any, assert_type

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray

from tidegate.mojo import MojoModel
"""


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("method", _TELLING)
def test_an_answer_is_of_the_kind_that_is_told(method: str, kind: str) -> None:
    _, make, expected = _KINDS[kind]
    model = mojo.load(_TELLING[method])
    name = next(field.name for field in model.fields if field.kind == "number")
    data = make(name)
    answer = getattr(model, method)(data)
    assert isinstance(answer, type(data) if expected is object else expected)


def _checked(folder: Path, lines: list[str]) -> str:
    pytest.importorskip("mypy")
    program = folder / "program.py"
    program.write_text(_PROGRAM + "".join(lines))
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={folder}"]
    # Types of other modules are read, not checked once more.
    command += ["--follow-imports=silent", "--ignore-missing-imports", "--no-error-summary", str(program)]
    source = Path(mojo.__file__).parents[1]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, check=False, env={"MYPYPATH": str(source)}
    )
    assert done.stderr == ""
    return done.stdout


def test_the_types_of_answers_are_told_by_those_of_the_data(tmp_path: Path) -> None:
    lines = [
        f"\n\ndef {method}_{place}(model: MojoModel, data: {kind}) -> None:\n"
        f"    assert_type(model.{method}(data), {answer})\n"
        for method in _TELLING
        for place, (kind, (answer, _, _)) in enumerate(_KINDS.items())
    ]
    wrong = "\n\ndef wrong(model: MojoModel) -> None:\n    assert_type(model.distances({}), list[int])\n"
    lines += [wrong, '\n\ndef other(model: MojoModel) -> None:\n    model.leaf_assignment({}, "other")\n']
    told = _checked(tmp_path, lines).splitlines()
    assert [line.rpartition("[")[2] for line in told if " error: " in line] == ["assert-type]", "call-overload]"], told
