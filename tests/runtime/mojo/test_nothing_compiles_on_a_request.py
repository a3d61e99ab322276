"""What `predict` runs is compiled when `load` returns, however a model is asked."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.runtime.mojo.compilations import COMMON, MODELS
from tests.runtime.mojo.matrix.kept import DATA
from tidegate import mojo
from tidegate.runtime.mojo.header import ALGORITHMS

Compiled = dict[str, dict[str, list[str]]]


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    """What was compiled in a process that did nothing but load models and ask them, by model and way."""
    command = [sys.executable, "-m", "tests.runtime.mojo.compilations"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    told: Compiled = json.loads(done.stdout)
    return told


def test_there_is_a_model_of_every_algorithm() -> None:
    found = {mojo.load(path).header.algorithm for path in MODELS.values()}
    assert found == {algorithm for algorithm, _ in ALGORITHMS.values()}


def test_a_compilation_would_be_seen(compiled: Compiled) -> None:
    assert compiled["not compiled before"]["a call"]


@pytest.mark.parametrize("name", MODELS)
def test_nothing_is_compiled_once_a_model_is_loaded(compiled: Compiled, name: str) -> None:
    assert len(compiled[name]) > 10
    assert {way: kernels for way, kernels in compiled[name].items() if kernels} == {}


@pytest.mark.parametrize("name", COMMON)
def test_what_is_compiled_ahead_is_all_that_a_common_model_needs(compiled: Compiled, name: str) -> None:
    assert compiled["missed by samples"][name] == []


_ASK = """
import sys
from tests.runtime.mojo.compilations import recorded
from tests.runtime.mojo.matrix.kept import DATA
from tidegate import mojo
model = mojo.load(sys.argv[1])
row = {field.name: 1.0 if field.kind == "number" else next(iter(field.values)) for field in model.fields}
with recorded() as compiled:
    model.predict(row)
    model.predict([row, row])
print(compiled)
"""


@pytest.mark.parametrize("name", ["glm_multinomial_Skip", "glm_ordinal_Skip"])
def test_nothing_is_compiled_for_a_model_that_refuses_missing_values(name: str) -> None:
    command = [sys.executable, "-c", _ASK, str(DATA / "models" / f"{name}.zip")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
