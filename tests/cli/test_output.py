"""Errors for people and for programs, and options that may stand anywhere."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.cli.commands.observe import new_lines
from tidegate.cli.group import globals_first
from tidegate.cli.output import Output, error_lines, print_error, wanted_output
from tidegate.contract.errors import InvalidInput


def test_an_error_is_said_once_even_if_its_message_holds_the_details() -> None:
    error = InvalidInput("--p99: expected a time, got fast", expected="a time", got="fast", hint="Try 50ms")
    assert error_lines(error) == ["--p99: expected a time, got fast", "  Try 50ms"]


def test_what_the_message_leaves_out_is_added() -> None:
    error = InvalidInput("The port is taken.", subject="127.0.0.1:8080", expected="a free port", got="in use")
    assert error_lines(error)[1:] == [
        "  at:       127.0.0.1:8080",
        "  expected: a free port",
        "  got:      in use",
    ]


def test_json_goes_to_stdout_and_words_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(InvalidInput("Wrong [x].", hint="Mend it"), Output.JSON)
    written = capsys.readouterr()
    assert json.loads(written.out) == {"error": {"code": "invalid_input", "message": "Wrong [x].", "hint": "Mend it"}}
    assert written.err == "error: Wrong [x].\n  Mend it\n"


def test_text_leaves_stdout_empty(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(InvalidInput("Wrong."), Output.TEXT)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["list", "--output", "json"], Output.JSON),
        (["--output=json", "list"], Output.JSON),
        (["list", "--output"], Output.TEXT),
        (["list", "--", "--output", "json"], Output.TEXT),
        (["list", "json"], Output.TEXT),
    ],
)
def test_the_wanted_form_is_known_even_if_the_line_does_not_parse(args: list[str], expected: Output) -> None:
    assert wanted_output(args) is expected


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["status", "x", "--home", "/h"], ["--home", "/h", "status", "x"]),
        (["status", "--home=/h", "x"], ["--home=/h", "status", "x"]),
        (["status", "--home"], ["--home", "status"]),
        (["a", "--", "--home", "/h"], ["a", "--", "--home", "/h"]),
    ],
)
def test_home_may_stand_after_the_command(args: list[str], expected: list[str]) -> None:
    assert globals_first(args) == expected


@given(st.lists(st.sampled_from(["a", "--x", "--home", "--home=/h", "--"])))
def test_moving_global_options_loses_no_word(args: list[str]) -> None:
    assert sorted(globals_first(args)) == sorted(args)


@pytest.mark.parametrize(
    ("before", "after", "new"),
    [
        ([], ["a"], ["a"]),
        (["a", "b"], ["a", "b"], []),
        (["a", "b"], ["a", "b", "c"], ["c"]),
        (["b", "c"], ["a", "b", "c", "d"], ["d"]),
        (["a", "b", "c"], ["c", "d"], ["d"]),
        (["a"], ["x", "y"], ["x", "y"]),
    ],
)
def test_following_a_log_writes_each_line_once(before: list[str], after: list[str], new: list[str]) -> None:
    assert new_lines(before, after) == new
