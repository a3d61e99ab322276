"""`tidegate forecast`: the options of deploy, an answer for people and one for programs, and no controller."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.support.commands import commands
from tidegate.cli.document import FIELD_OF_FLAG
from tidegate.cli.main import app

#: One step with all traffic takes the least time to compute.
QUICK = ("--steps", "100", "--step-duration", "2s", "--traffic", "5rps")


def run(*args: str) -> Any:
    return CliRunner().invoke(app, ["forecast", *args])


def test_it_takes_every_option_that_sets_a_field_of_the_request() -> None:
    root = commands()
    theirs = {parameter.opts[0] for parameter in root.commands["forecast"].params}
    assert {flag for flag in FIELD_OF_FLAG if flag.startswith("--")} <= theirs
    assert "model" in {parameter.name for parameter in root.commands["forecast"].params}


def test_people_get_tables_and_what_to_change() -> None:
    result = run(*QUICK)
    assert result.exit_code == 0, result.output
    for told in ("DETECTS FROM", "10×", "latency", "100 % for 2.0 s", "To see more:"):
        assert told in result.stdout


def test_programs_get_one_document(tmp_path: Any) -> None:
    document = {"modelArtifact": {"path": "missing.skops"}, "servingRequirements": {}, "steps": [100]}
    (tmp_path / "request.json").write_text(json.dumps(document))
    args = ("-f", str(tmp_path / "request.json"), "--step-duration", "2s", "--traffic", "5rps", "--output", "json")
    result = run(*args, "--baseline-rate", "errors=0.2%")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["name"] == "missing"
    assert told["settings"]["baseline_rates"] == {"errors": 0.002, "latency": 0.01, "rejections": 0.001}
    assert [step["seconds"] for step in told["steps"]] == [2.0]


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (("--traffic", "many"), "rate of requests"),
        (("--baseline-rate", "errors=2"), "a share"),
        (("--baseline-rate", "speed=2%"), "errors, latency, rejections"),
        (("--steps", "50"), "end with 100"),
        (("-f", "missing.yaml"), "missing.yaml"),
    ],
)
def test_wrong_input_ends_with_2_and_says_what_is_wrong(args: tuple[str, ...], named: str) -> None:
    result = run(*args)
    assert result.exit_code == 2
    assert named in result.output
