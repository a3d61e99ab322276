"""`tidegate scan`: what goes where, and with which exit code the command ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tidegate.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
PINNED = "FROM debian:12@sha256:" + "e" * 64 + "\n"
TEXTS = {
    "error": PINNED + "USER root\n",
    "warning": PINNED + "EXPOSE 80\nUSER a\n",
    "info": "FROM debian:12\nUSER a\n",
    "nothing": PINNED + "USER a\n",
}


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def written(severity: str) -> None:
        Path("Dockerfile").write_text(TEXTS[severity], encoding="utf-8")

    return written


def run(*args: str) -> Any:
    return CliRunner().invoke(app, ["scan", *args])


@pytest.mark.parametrize(
    ("found", "fail_on", "code"),
    [
        *(("error", limit, 10) for limit in ("error", "warning", "info")),
        ("error", "never", 0),
        ("warning", "error", 0),
        ("warning", "warning", 10),
        ("warning", None, 10),
        ("info", None, 0),
        ("info", "info", 10),
        ("nothing", "info", 0),
    ],
)
def test_the_exit_code_says_whether_something_was_found(write: Any, found: str, fail_on: str | None, code: int) -> None:
    write(found)
    options = [] if fail_on is None else ["--fail-on", fail_on]
    for output in ("text", "json", "sarif"):
        assert run(".", "--hadolint", "off", "--output", output, *options).exit_code == code


def test_the_text_has_a_line_for_each_finding_and_why_it_matters(write: Any) -> None:
    write("error")
    told = run("Dockerfile", "--hadolint", "off").stdout.splitlines()
    assert told[0] == "Dockerfile:2: error root-user: the final stage ends as root; end with a USER that is not root"
    assert told[2].startswith("root-user: Who breaks into the process")
    assert told[-2:] == ["1 file: 1 error", "hadolint's rules were not applied: it was switched off."]


def test_json_is_one_document_with_all_of_it(write: Any) -> None:
    write("error")
    told = json.loads(run(".", "--hadolint", "require", "--output", "json").stdout)
    assert told["files"] == ["Dockerfile"]
    assert told["counts"] == {"error": 1, "warning": 0, "info": 0}
    (finding,) = told["findings"]
    assert finding.pop("message")
    assert finding == {"path": "Dockerfile", "line": 2, "severity": "error", "rule": "root-user", "tool": "tidegate"}
    assert told["ignored"] == []
    assert told["hadolint"]["ran"]


def test_sarif_names_the_version_of_the_command(write: Any) -> None:
    from tidegate import __version__

    write("nothing")
    (own, other) = json.loads(run(".", "--hadolint", "require", "--output", "sarif").stdout)["runs"]
    assert own["tool"]["driver"]["version"] == __version__
    assert other["tool"]["driver"]["name"] == "hadolint"


@pytest.mark.parametrize("args", [["nowhere"], ["."], []])
def test_nothing_to_scan_is_a_mistake_of_the_caller(args: list[str], write: Any) -> None:
    assert run(*args).exit_code == 2
    told = run(*args, "--output", "json")
    assert told.exit_code == 2
    assert json.loads(told.stdout)["error"]["code"] == "invalid_input"


def test_hadolint_that_is_required_and_missing_is_an_error(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write("nothing")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", str(Path("python").resolve()))
    assert run(".", "--hadolint", "require").exit_code == 6
    told = run(".")
    assert told.exit_code == 0
    assert "pip install 'tidegate[scan]'" in told.stdout


def test_the_script_of_the_stack_is_the_same_command(write: Any) -> None:
    write("error")
    script = [sys.executable, str(ROOT / "stack/scan_dockerfile.py"), "Dockerfile", "--hadolint", "off"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (10, run("Dockerfile", "--hadolint", "off").stdout)
