"""What each exit code says: the one table, and how errors and ended rollouts map to it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from tidegate.contract.errors import Conflict, InvalidInput, NotFound, TidegateError, Unavailable


class ExitCode(IntEnum):
    """A member's sentence is what the documentation and `tidegate --help` print."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> ExitCode:
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    OK = 0, "done; a rollout that was waited for was promoted"
    UNEXPECTED = 1, "a failure of Tidegate itself, or a check of `doctor` or `db check` that failed"
    BAD_INPUT = (
        2,
        "what you handed over is wrong; nothing was changed (commands that send or load many take what is right)",
    )
    TAKEN_BACK = (
        3,
        "the rollout was rolled back, aborted or failed, or a retrained model was not better; stable serves as before",
    )
    CONFLICT = 4, "the deployment's state does not allow this now"
    NOT_FOUND = (
        5,
        "what was named does not exist: a deployment, rollout, model, version, feature view, entity, store",
    )
    UNAVAILABLE = 6, "the controller, the gateway or something they need does not answer; `pack`: Docker did not build"
    WAITS_FOR_PERSON = 7, "the rollout is paused until you promote, resume or abort it"
    HAS_A_HOLE = 8, "a rehearsal found a fault that was not taken back, or that harmed stable"
    HAS_DRIFTED = 9, "`drift` found that data has drifted from its reference, or that a figure of quality has dropped"
    HAS_FINDINGS = 10, "`scan` found something as severe as --fail-on says"
    INTERRUPTED = 130, "interrupted from the keyboard; what was begun goes on"


# From the special to the general: the first class that fits decides.
_BY_ERROR: tuple[tuple[type[TidegateError], ExitCode], ...] = (
    (InvalidInput, ExitCode.BAD_INPUT),
    (NotFound, ExitCode.NOT_FOUND),
    (Conflict, ExitCode.CONFLICT),
    (Unavailable, ExitCode.UNAVAILABLE),
)

_BY_PHASE = {
    "promoted": ExitCode.OK,
    "rolled_back": ExitCode.TAKEN_BACK,
    "aborted": ExitCode.TAKEN_BACK,
    "failed": ExitCode.TAKEN_BACK,
    "paused": ExitCode.WAITS_FOR_PERSON,
}


def exit_code_of(error: TidegateError) -> ExitCode:
    """Return the code with which the command ends because of `error`."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), ExitCode.UNEXPECTED)


def exit_code_of_rollout(rollout: Mapping[str, Any]) -> ExitCode:
    """Return the code for a rollout that has ended or waits for a person.

    Raises:
        KeyError: the rollout is still on its way.
    """
    return _BY_PHASE[rollout["phase"]]
