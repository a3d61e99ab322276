"""`tidegate doctor versions` as a person and as a program call it, and `tidegate doctor` beside it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tidegate.cli.main import app
from tidegate.runtime.mojo.header import ALGORITHMS

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "components" / "data"
CHURN = ROOT / "tests" / "runtime" / "mojo" / "data" / "load" / "gbm_platt.zip"


@pytest.fixture(autouse=True)
def _without_h2o_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.components.examination.found_here", list)


def run(*words: str) -> Any:
    return CliRunner().invoke(app, ["doctor", "versions", *words])


def test_what_fits_is_a_matrix_and_exit_code_0() -> None:
    result = run(str(DATA / "good"), str(CHURN))
    assert result.exit_code == 0, result.output
    heading, *lines = result.stdout.splitlines()
    assert heading.split() == ["COMPONENT", "PLACE", "FOUND", "WANTED", "VERDICT"]
    assert any("good/h2o/Dockerfile:10" in line and line.split()[-1] == "pass" for line in lines)
    assert any("Gradient Boosting Machine 1.40" in line and "1.40 at most" in line for line in lines)
    assert lines[-1] == "All well."


def test_what_does_not_fit_is_told_below_with_what_to_write_and_exit_code_1() -> None:
    result = run(str(DATA / "bad"))
    assert result.exit_code == 1
    place = DATA / "bad" / "h2o" / "Dockerfile"
    assert f"fail {place}:3: h2o==3.46.0.12 refuses MOJO export: pin h2o==3.46.0.10" in result.stdout
    assert result.stdout.splitlines()[-1].endswith("checks failed.")


def test_json_is_one_document_with_every_cell() -> None:
    result = run(str(DATA / "bad"), "--output", "json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["healthy"]) == (1, False)
    assert told["reader"] == {name: f"{newest:.2f}" for name, newest in ALGORITHMS.values()}
    (java,) = [check for check in told["checks"] if check["place"].endswith("h2o/Dockerfile:1")]
    assert java == {
        "component": "java",
        "place": str(DATA / "bad" / "h2o" / "Dockerfile:1"),
        "found": "eclipse-temurin:21-jre",
        "wanted": "8 to 17",
        "level": "fail",
        "reason": "H2O's cluster refuses Java newer than 17",
        "fix": "use eclipse-temurin:17",
    }


def test_brackets_are_shown_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("h2o[red]==3.46.0.11\n", encoding="utf-8")
    assert "h2o[red]==3.46.0.11" in run(str(tmp_path)).stdout


def test_without_anything_to_look_at_it_says_what_to_name() -> None:
    result = run()
    assert result.exit_code == 2
    assert "tidegate doctor versions ." in result.stderr


def test_a_cluster_that_does_not_answer_is_exit_code_6_and_no_mismatch() -> None:
    result = run("--cluster", "http://127.0.0.1:1", "--output", "json")
    assert result.exit_code == 6
    assert json.loads(result.stdout)["error"]["code"] == "unavailable"


def test_the_script_of_the_stack_is_the_command() -> None:
    script = ROOT / "stack" / "version_check.py"
    done = subprocess.run(
        [sys.executable, str(script), str(DATA / "bad"), "--output", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["healthy"] is False


def test_the_doctor_alone_still_looks_at_the_machine(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text('{"port": 0, "gateway_port": 0}')
    result = CliRunner().invoke(app, ["doctor", "--output", "json"], env={"TIDEGATE_HOME": str(tmp_path)})
    assert {"python", "envoy", "home"} <= {check["check"] for check in json.loads(result.stdout)["checks"]}
