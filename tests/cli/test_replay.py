"""`tidegate judge replay` on a file: an answer for people and one for programs, and errors that name the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.support.recordings import recorded
from tidegate.cli.main import app


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "7.looks.jsonl"
    path.write_text("".join(recorded(0.1)))
    return path


def run(*args: str, **options: Any) -> Any:
    return CliRunner().invoke(app, ["judge", "replay", *args], **options)


def test_people_get_the_verdicts_over_time_and_what_would_have_changed(file: Path) -> None:
    result = run(str(file), "--alpha", "0.0001%")
    assert result.exit_code == 0, result.output
    for told in ("rollout 7 of churn", "alpha 0.0001% (was 1%)", "RECORDED", "would not have been taken back"):
        assert told in result.stdout


def test_people_are_told_at_which_duration_it_was_judged(file: Path) -> None:
    result = run(str(file), "--p99", "81ms")
    assert result.exit_code == 0, result.output
    told = " ".join(result.stdout.split())
    assert "p99 90ms (was 100ms)" in told
    assert "Judged at a p99 of 90 ms, the next recorded above 81 ms (recorded: 25, 30," in told


def test_programs_get_one_document(file: Path) -> None:
    result = run(str(file), "--output", "json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["unlike_the_record"] == 0


def test_a_recording_comes_from_stdin_too(file: Path) -> None:
    result = run("-", input=file.read_text())
    assert result.exit_code == 0, result.output
    assert "nothing: every step would have ended as it did" in result.stdout.lower()


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (("missing.looks.jsonl",), "cannot be read"),
        (("--margin", "90%"), "margin"),
        (("--p99", "2s"), "a duration from 25ms to 400ms"),
        (("--p99", "fast"), "latencyP99"),
    ],
)
def test_wrong_input_ends_with_2_and_says_what_is_wrong(file: Path, args: tuple[str, ...], named: str) -> None:
    result = run(*(args if len(args) == 1 else (str(file), *args)))
    assert result.exit_code == 2
    assert named in result.output


def test_a_file_that_is_no_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("hello\n")
    result = run(str(tmp_path / "x.jsonl"))
    assert result.exit_code == 2
    assert "is not the recording of a rollout" in result.output
