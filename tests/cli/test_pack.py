"""`tidegate pack` as far as it needs no Docker: what goes where, and how it ends. tests/stack builds images."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.quick_models import write_flights

PACK = [sys.executable, "-m", "tidegate.cli.main", "pack"]


def run(*words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHON_IMAGE", "BUILD_NETWORK")}
    return subprocess.run(
        [*PACK, *words], cwd=folder, env=kept | environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_flights(tmp_path / "Late flights.onnx")
    return tmp_path


def error_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    error = json.loads(done.stdout)["error"]
    assert isinstance(error, dict)
    return error


def test_a_build_context_is_written_and_told(folder: Path) -> None:
    words = ("Late flights.onnx", "--format", "context", "--to", "out", "--version", "v2", "--output", "json")
    done = run(*words, folder=folder)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["model"], told["version"], told["runtime"]) == ("late-flights", "v2", "onnx")
    assert told["base_image"].startswith("python:3.")
    assert told["context"] == str(folder / "out")
    assert (folder / "out/model" / told["bundle"] / "bundle.json").is_file()


def test_the_variables_of_the_stack_name_the_base_image(folder: Path) -> None:
    words = ("Late flights.onnx", "--format", "context", "--to", "out", "--output", "json")
    done = run(*words, folder=folder, PYTHON_IMAGE="mirror.example.com/python:3.11")
    assert json.loads(done.stdout)["base_image"] == "mirror.example.com/python:3.11"


def test_without_docker_nothing_is_begun_and_the_way_without_is_told(folder: Path) -> None:
    done = run("Late flights.onnx", "--to", "out", "--output", "json", folder=folder, PATH=str(folder))
    assert done.returncode == 6
    error = error_of(done)
    assert error["message"] == "There is no docker in the PATH."
    assert "--format context" in error["hint"]
    assert not (folder / "out").exists()


@pytest.mark.skipif(shutil.which("docker") is None, reason="Docker's command is not here")
def test_an_engine_that_does_not_answer_is_told_with_what_docker_says(folder: Path) -> None:
    done = run("Late flights.onnx", "--output", "json", folder=folder, DOCKER_HOST=f"unix://{folder}/none.sock")
    assert done.returncode == 6
    error = error_of(done)
    assert error["message"] == "Docker's engine does not answer."
    assert "none.sock" in error["got"]


@pytest.mark.parametrize(
    ("words", "subject"),
    [
        (["none.onnx"], "none.onnx"),
        (["Late flights.onnx", "--format", "context"], "--to"),
        (["Late flights.onnx", "--name", "Late Flights"], "--name"),
        (["Late flights.onnx", "--version", "a b"], "--version"),
        (["Late flights.onnx", "--tag=--network=host"], "--tag"),
        (["Late flights.onnx", "--base-image", "python:3\nRUN x"], "--base-image"),
        (["Late flights.onnx", "--format", "context", "--to", ".", "--sample", "none.json"], "none.json"),
        (["Late flights.onnx", "--format", "context", "--to", "."], "."),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_written(words: list[str], subject: str, folder: Path) -> None:
    done = run(*words, "--output", "json", folder=folder)
    assert done.returncode == 2, done.stderr
    assert error_of(done)["subject"] in (subject, str(folder))
    assert [one.name for one in folder.iterdir()] == ["Late flights.onnx"]


@pytest.mark.parametrize(
    ("text", "says"),
    [("-r other.txt\n", "requirements.txt:1"), ("# ok\nnumpy==2.0 # why\n a b\n", "requirements.txt:3")],
)
def test_a_requirement_that_only_pip_knows_is_refused_with_its_line(text: str, says: str, folder: Path) -> None:
    (folder / "requirements.txt").write_text(text, encoding="utf-8")
    words = ("Late flights.onnx", "--format", "context", "--to", "out", "--requirements", "requirements.txt")
    done = run(*words, "--output", "json", folder=folder)
    assert done.returncode == 2
    assert says in error_of(done)["message"]


@pytest.mark.parametrize("text", ["[1]", "{", ""])
def test_settings_that_are_no_object_are_refused(text: str, folder: Path) -> None:
    (folder / "settings.json").write_text(text, encoding="utf-8")
    words = ("Late flights.onnx", "--format", "context", "--to", "out", "--settings", "settings.json")
    assert run(*words, folder=folder).returncode == 2
