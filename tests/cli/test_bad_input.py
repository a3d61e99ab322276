"""Bad input is refused with one clear message and exit code 2, before anything is started for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tidegate.cli.main import app


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "churn.skops"
    path.write_bytes(b"not looked into by the command line")
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that nothing may create."""
    return tmp_path / "home"


def run(home: Path, *args: str, text: str | None = None) -> Result:
    return CliRunner().invoke(app, [*args, "--home", str(home)], input=text)


def assert_refused(result: Result, home: Path, *said: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.output
    for words in said:
        assert words in result.stderr
    assert not home.exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--p99", "fast"], ["--p99", 'expected a duration such as "50ms"', 'got "fast"']),
        (["--throughput", "lots"], ["--throughput", "500rps"]),
        (["--availability", "high"], ["--availability", "99.9%"]),
        (["--steps", "50,25"], ["--steps", "weights that rise", "[50, 25]"]),
        (["--steps", "5,25"], ["--steps", "end with 100"]),
        (["--steps", "a,b"], ["--steps", "5,25,50,100", '"a,b"']),
        (["--name", "a/b"], ["--name", '"a/b"', 'try "a-b"']),
        (["--name", "Churn"], ["--name", 'try "churn"']),
        (["--name", "v2"], ["--name", "reserved"]),
        (["--strategy", "fast"], ["--strategy", "canary"]),
        (["--step-duration", "1"], ["--step-duration"]),
        (["--on-inconclusive", "hope"], ["--on-inconclusive", "pause, rollback, continue"]),
        (["--replicas", "0"], ["--replicas", "1 or more"]),
        (["--replicas", "two"], ["--replicas"]),
        (["--p99", ""], ["--p99"]),
        (["--sample", "no-such.csv"], ["--sample", "no-such.csv"]),
        (["--p98", "50ms"], ["No such option: --p98", "tidegate deploy --help"]),
        (["--output", "yaml"], ["--output", "json"]),
        (["another.skops"], ["another.skops"]),
    ],
)
def test_a_bad_flag(flags: list[str], said: list[str], model: Path, home: Path) -> None:
    assert_refused(run(home, "deploy", str(model), *flags), home, *said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("modelArtifact: {path: churn.skops}\nservingRequirement: {}\n", ["servingRequirement", "did you mean"]),
        (
            "modelArtifact: {path: churn.skops}\nservingRequirements: {latencyp99: 5ms}\n",
            ["servingRequirements.latencyp99", "latencyP99"],
        ),
        ("modelArtifact: {path: [}\n", ["line 1"]),
        ("[1, 2]", ["expected an object"]),
        ("", ["empty"]),
        ('{"modelArtifact": {"path": "churn.skops"}, "modelArtifact": {}}', ["twice"]),
        ("modelArtifact: {path: gone.skops}\nservingRequirements: {}\n", ["gone.skops", "no such file"]),
    ],
)
def test_a_bad_document(text: str, said: list[str], model: Path, home: Path) -> None:
    document = model.parent / "request.yaml"
    document.write_text(text)
    assert_refused(run(home, "deploy", "-f", str(document)), home, *said)


def test_a_bad_document_on_standard_input(home: Path) -> None:
    assert_refused(run(home, "deploy", "-f", "-", text="name: a/b"), home, "name: expected", "required, and missing")


def test_a_missing_model(home: Path, model: Path) -> None:
    wrong = str(model).replace("churn", "chrun")
    assert_refused(run(home, "deploy", wrong), home, "MODEL: There is no such file", wrong, f"Did you mean {model}?")


def test_nothing_to_deploy(home: Path) -> None:
    assert_refused(run(home, "deploy"), home, "Nothing to deploy", "tidegate deploy MODEL")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["stauts", "churn"], ["stauts", "Did you mean", "status"]),
        (["status"], ["Missing argument 'NAME'"]),
        (["status", "churn", "more"], ["more"]),
        (["rollback", "churn", "--to", "first"], ["--to"]),
        (["logs", "churn", "--lines", "0"], ["--lines"]),
        (["report", "churn", "--format", "pdf"], ["--format", "markdown"]),
        (["up", "--port", "http"], ["--port"]),
    ],
)
def test_a_bad_command_line(args: list[str], said: list[str], home: Path) -> None:
    assert_refused(run(home, *args), home, *said)


def test_json_carries_the_error_on_stdout_too(home: Path, model: Path) -> None:
    result = run(home, "deploy", str(model), "--p99", "fast", "--output", "json")
    assert_refused(result, home)
    told = json.loads(result.stdout)["error"]
    assert told["code"] == "invalid_input"
    assert told["got"] == '"fast"'
    assert told["message"].startswith("--p99")


def test_a_command_line_that_does_not_parse_is_told_in_json_too(home: Path) -> None:
    result = run(home, "list", "--colour", "--output", "json")
    assert_refused(result, home)
    assert json.loads(result.stdout)["error"]["hint"] == "See: tidegate list --help"


def test_a_real_process_ends_with_2_and_says_it_on_stderr(home: Path, model: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tidegate.cli.main", "--home", str(home), "deploy", str(model), "--p99", "fast"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.splitlines()[0] == (
        'error: --p99 (servingRequirements.latencyP99): expected a duration such as "50ms" or "0.2s", got "fast"'
    )
    assert "\x1b" not in result.stderr
    assert not home.exists()


@pytest.mark.parametrize("command", ["status", "watch", "history", "promote", "pause", "resume", "abort", "logs"])
def test_without_a_controller_commands_say_how_to_start_it(command: str, home: Path) -> None:
    result = run(home, command, "churn")
    assert result.exit_code == 6
    assert "tidegate up" in result.stderr
    assert not home.exists()


def test_down_without_anything_running_changes_nothing(home: Path) -> None:
    result = run(home, "down")
    assert (result.exit_code, result.stdout) == (0, "Nothing was running.\n")
    assert not home.exists()
