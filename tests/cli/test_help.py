"""Help teaches: every command has examples that parse, every option a sentence; and it comes at once."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from scripts.cli_page import command_named
from tests.support.commands import commands
from tidegate import __version__
from tidegate.cli.document import FIELD_OF_FLAG
from tidegate.cli.exits import ExitCode
from tidegate.cli.helptext import EXAMPLE
from tidegate.cli.main import COMMANDS, app
from tidegate.contract.request import parse_request

NAMES = [name for name, _, _ in COMMANDS]
#: Whatever of these is loaded to print help makes every command slow.
HEAVY = ("httpx", "pydantic", "numpy", "rich.console", "psutil", "fastapi", "sqlalchemy", "yaml", "tidegate.controller")


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_the_command_alone_shows_what_there_is() -> None:
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 0
    for name in NAMES:
        assert name.split()[0] in result.stdout


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_lists_every_exit_code(option: str) -> None:
    result = CliRunner().invoke(app, [option])
    assert result.exit_code == 0
    for code in ExitCode:
        assert code.meaning in result.stdout


@pytest.mark.parametrize("name", NAMES)
def test_each_command_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(app, [*name.split(), "--help"])
    assert result.exit_code == 0, result.output
    assert f"{EXAMPLE}tidegate {name}" in result.stdout


@pytest.mark.parametrize("name", NAMES)
def test_each_example_parses_as_it_stands(name: str) -> None:
    root = commands()
    command = command_named(root, name)
    examples = [line.removeprefix(EXAMPLE) for line in command.help.splitlines() if line.startswith(EXAMPLE)]
    assert examples
    for example in examples:
        words = shlex.split(example.split("|")[0].split(">")[0])
        assert words[: 1 + len(name.split())] == ["tidegate", *name.split()]
        command.make_context(name, words[1 + len(name.split()) :])


@pytest.mark.parametrize("name", NAMES)
def test_each_option_says_what_it_does(name: str) -> None:
    root = commands()
    for parameter in command_named(root, name).params:
        assert parameter.help, f"{name} {parameter.name}"


@pytest.mark.parametrize(
    "name",
    [
        "status",
        "list",
        "history",
        "logs",
        "report",
        "deploy",
        "up",
        "down",
        "doctor",
        "version",
        "freeze list",
        "steps explain",
    ],
)
def test_each_command_that_returns_data_can_return_json(name: str) -> None:
    root = commands()
    assert "output" in {parameter.name for parameter in command_named(root, name).params}


def test_the_defaults_in_the_help_are_those_of_the_request_document() -> None:
    root = commands()
    request = parse_request({"modelArtifact": {"path": "m"}, "servingRequirements": {}}).as_document()
    for parameter in root.commands["deploy"].params:
        flag = parameter.opts[0]
        said = parameter.show_default
        if not isinstance(said, str) or flag not in FIELD_OF_FLAG or " " in said:
            continue
        value: Any = request
        for part in FIELD_OF_FLAG[flag].split("."):
            value = value[part]
        assert said == (",".join(map(str, value)) if isinstance(value, list) else str(value)), flag


def test_loading_the_command_line_loads_nothing_heavy() -> None:
    program = f"import sys, tidegate.cli.main; print([m for m in {HEAVY!r} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_printing_help_loads_only_what_draws_it() -> None:
    """Time would be the better measure, but not on a machine that does other things: 350 modules take 0.2 s."""
    program = "import sys; from tidegate.cli.main import main\ntry: main()\nexcept SystemExit: print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", program, "--help"], capture_output=True, text=True, check=True)
    loaded = result.stdout.splitlines()[-1].split()
    assert "rich.console" in loaded
    assert not {module for module in HEAVY if module != "rich.console"} & set(loaded)
    assert len(loaded) < 450


def test_the_version_is_told_by_the_option_that_people_try_first() -> None:
    asked = CliRunner().invoke(app, ["--version"])
    assert (asked.exit_code, asked.stdout) == (0, f"tidegate {__version__}\n")
    assert CliRunner().invoke(app, ["version"]).stdout == asked.stdout
