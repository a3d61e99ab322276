"""How a block of Mage calls the pipeline: another interpreter, whose words, answers, errors and end it hands on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from tests.docs.pages import ROOT
from tests.mage_pipeline.conftest import records, running
from tidegate.features import FeatureStore
from tidegate_pipeline.calling import PLACES, PYTHON, PipelineError, call, options


@pytest.fixture
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON, sys.executable)
    monkeypatch.setenv(PLACES, str(ROOT / "src"))
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TIDEGATE_STORE", raising=False)


def source_of(tmp_path: Path, **further: object) -> Path:
    """Write the document of a source, and make its view in the home's store."""
    with FeatureStore.at(None, tmp_path / "home", make=True) as store:
        store.create("flights", "flight")
    file = tmp_path / "source.yaml"
    file.write_text(yaml.safe_dump({"name": "flights", "view": "flights", "url": "http://127.0.0.1:1/", **further}))
    return file


@pytest.mark.usefixtures("_home")
def test_a_block_gets_the_answer_and_what_was_said(tmp_path: Path) -> None:
    with running(tmp_path, records(30)) as api:
        source = source_of(tmp_path, **api.source().as_document())
        said: list[str] = []
        assert call("ingest", source, say=said.append)["written"] == 30
    assert call("dead-letters", say=said.append) == {"letters": []}


@pytest.mark.usefixtures("_home")
def test_an_error_of_the_pipeline_is_the_blocks_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"ingest ended with 2: .*gone\.yaml cannot be read"):
        call("ingest", tmp_path / "gone.yaml", say=lambda _line: None)


def test_without_an_interpreter_it_is_said_which_variable_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PYTHON, raising=False)
    with pytest.raises(PipelineError, match="TIDEGATE_PIPELINE_PYTHON is not set"):
        call("plan")


@pytest.mark.usefixtures("_home")
def test_what_takes_too_long_is_ended(tmp_path: Path) -> None:
    with running(tmp_path, records(500)) as api:
        document = api.source(params={"delay": "5"}).as_document()
        with pytest.raises(PipelineError, match="took more than 4 s and was ended"):
            call("ingest", source_of(tmp_path, **document), say=lambda _line: None, timeout_seconds=4)


@pytest.mark.usefixtures("_home")
def test_a_block_that_is_killed_takes_the_pipeline_with_it(tmp_path: Path) -> None:
    with running(tmp_path, records(2000)) as api:
        source = source_of(tmp_path, **api.source(params={"delay": "5"}).as_document())
        program = f"from tidegate_pipeline.calling import call; call('ingest', {str(source)!r})"
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "stack" / "mage_pipeline")])
        block = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path})
        try:
            deadline = time.monotonic() + 60
            while not api.asked()["at_once"] > 1:
                assert time.monotonic() < deadline
            (child,) = psutil.Process(block.pid).children()
        finally:
            block.send_signal(signal.SIGKILL)
            block.wait()
        gone, alive = psutil.wait_procs([child], timeout=30)
        assert (gone, alive) == ([child], [])


def test_variables_that_are_set_are_options_and_others_are_left_to_the_command() -> None:
    variables = {"cool_down_hours": 0, "run": None, "setup": "s.yaml"}
    assert options(variables, "run", "cool_down_hours", "most_a_day") == ["--cool-down-hours", 0]
