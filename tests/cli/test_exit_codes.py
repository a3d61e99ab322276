"""One table of exit codes, for errors and for rollouts."""

from __future__ import annotations

import pytest

from tidegate.cli.exits import ExitCode, exit_code_of, exit_code_of_rollout
from tidegate.client import TERMINAL_PHASES
from tidegate.contract.errors import Conflict, InvalidInput, NotFound, NotTrusted, TidegateError, Unavailable


@pytest.mark.parametrize(
    ("error", "code"),
    [(TidegateError, 1), (InvalidInput, 2), (NotTrusted, 2), (Conflict, 4), (NotFound, 5), (Unavailable, 6)],
)
def test_each_error_has_its_code(error: type[TidegateError], code: int) -> None:
    assert exit_code_of(error("said")) == code


@pytest.mark.parametrize(
    ("phase", "code"), [("promoted", 0), ("rolled_back", 3), ("aborted", 3), ("failed", 3), ("paused", 7)]
)
def test_each_end_of_a_rollout_has_its_code(phase: str, code: int) -> None:
    assert exit_code_of_rollout({"phase": phase}) == code


def test_every_terminal_phase_has_a_code() -> None:
    for phase in TERMINAL_PHASES:
        assert exit_code_of_rollout({"phase": phase}) in ExitCode


def test_every_code_says_what_it_means() -> None:
    assert {code.value for code in ExitCode} == {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 130}
    assert all(code.meaning for code in ExitCode)
