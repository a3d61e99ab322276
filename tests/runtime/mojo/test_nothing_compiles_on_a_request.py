"""What `predict` runs is compiled when `load` returns, however a model is asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.runtime.mojo import recorder
from tests.runtime.mojo.compilations import COMMON, MODELS
from tests.runtime.mojo.matrix.kept import DATA
from tidegate import mojo
from tidegate.runtime.mojo import signatures
from tidegate.runtime.mojo.header import ALGORITHMS
from tidegate.runtime.mojo.kernel_library import VARIABLE

Compiled = dict[str, dict[str, list[str]]]

#: The plug-in that notes calls comes first.
_RUN = """
import tests.runtime.mojo.recorder, runpy
runpy.run_module("tests.runtime.mojo.compilations", run_name="__main__")
"""


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Compiled, list[Any]]:
    """What was compiled in a process that did nothing but load models and ask them, by model and way; and with which
    types it called kernels."""
    calls = tmp_path_factory.mktemp("calls")
    environment = {**os.environ, "MOJO_CALLS": str(calls)}
    environment.pop(VARIABLE, None)
    done = subprocess.run(
        [sys.executable, "-c", _RUN], env=environment, capture_output=True, text=True, timeout=1800, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout), [call for path in calls.iterdir() for call in json.loads(path.read_text())]


@pytest.fixture(scope="module")
def compiled(asked: tuple[Compiled, list[Any]]) -> Compiled:
    return asked[0]


def test_each_call_is_one_that_a_library_of_kernels_has_code_for(asked: tuple[Compiled, list[Any]]) -> None:
    table, calls = signatures.called(), asked[1]
    assert len(calls) > 30
    lacking = [call for call in calls if not any(recorder.fits(call[1], way) for way in table.get(call[0], ()))]
    assert lacking == [], "python -m tests.runtime.mojo.recorder writes the table of calls anew"


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
