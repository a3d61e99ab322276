"""`tidegate steps explain` as a person types it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from tidegate.cli.main import app
from tidegate.contract.errors import InvalidInput


def explained(*words: str) -> str:
    result = CliRunner().invoke(app, ["steps", "explain", *words])
    if isinstance(result.exception, InvalidInput):
        raise result.exception
    return result.output


def test_every_named_list_is_explained() -> None:
    told = explained()
    for name in ("cautious:", "standard:", "fast:"):
        assert name in told
    assert "stable stays ready beside it" in told


def test_each_kind_of_step_says_what_happens_and_what_ends_it() -> None:
    lines = explained("shadow:20:10m,0.5,pause,pause:10m,100,bake:1h").splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["1", "2", "3", "4", "5", "6"]
    assert "20 % of the requests are copied to it" in lines[1]
    assert "at most 10m" in lines[1]
    assert "0.5 %" in lines[2]
    assert "tidegate resume" in lines[3]
    assert ("0.5 %" in lines[4], "10m" in lines[4]) == (True, True)
    assert ("100 %" in lines[6], "1h" in lines[6]) == (True, True)


def test_a_list_without_users_is_a_shadow() -> None:
    assert "none" in explained("shadow:100,pause")


def test_programs_get_the_steps_of_a_document() -> None:
    told = json.loads(explained("5,pause:1m,100", "--output", "json"))
    assert told == {"5,pause:1m,100": [5, {"pause": "1m"}, 100]}


@pytest.mark.parametrize(
    ("steps", "expected"),
    [("5,quick", "percents with commas"), ("50,5,100", "weights that rise"), ("5,100,shadow:5", "shadow before")],
)
def test_steps_that_make_no_sense_are_refused_as_deploy_refuses_them(steps: str, expected: str) -> None:
    result = CliRunner().invoke(app, ["steps", "explain", steps])
    assert result.exit_code == 2
    assert expected in result.output
