"""The errors that users meet: one base, classes named by what the caller can do about them.

A message answers five questions: what went wrong, with which object, what was expected, what was found, and what
to type next. HTTP statuses and exit codes are mapped at the edges (`api.errors`, `cli.exits`), one table each.
"""

# These are words that users read ("conflict", "not found"); a suffix on each would say nothing more.
# ruff: noqa: N818

from __future__ import annotations

from typing import Any


class TidegateError(Exception):
    """Base of every error that reaches a user.

    Attributes:
        message: one sentence or two, complete by itself.
        subject: the object concerned (a path, a deployment, a field such as `servingRequirements.latencyP99`), or None.
        expected, got: what would have been right and what was there, or None where that says nothing.
        hint: what to do or type next, or None.
    """

    code = "error"

    def __init__(
        self,
        message: str,
        *,
        subject: str | None = None,
        expected: str | None = None,
        got: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.subject = subject
        self.expected = expected
        self.got = got
        self.hint = hint

    def __str__(self) -> str:
        parts = [self.message]
        # Many a message states these two itself, in a sentence that reads better than a list.
        if self.expected is not None and self.expected not in self.message:
            parts.append(f"expected: {self.expected}")
        if self.got is not None and self.got not in self.message:
            parts.append(f"got: {self.got}")
        if self.hint is not None:
            parts.append(self.hint)
        return "\n".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form of the error; keys without a value are left out."""
        fields = {
            "code": self.code,
            "message": self.message,
            "subject": self.subject,
            "expected": self.expected,
            "got": self.got,
            "hint": self.hint,
        }
        return {key: value for key, value in fields.items() if value is not None}


class InvalidInput(TidegateError):
    """What was handed over is wrong; nothing was changed; the caller can mend it."""

    code = "invalid_input"


class ValueRefused(InvalidInput):
    """A value is of the right kind, and this very model does not take it; another revision may."""

    code = "value_refused"


class NotTrusted(InvalidInput):
    """The artifact would run code of its own when loaded, and the caller did not say that they trust it."""

    code = "not_trusted"


class BreakingChange(InvalidInput):
    """Clients of stable could not go on with the candidate, and the caller did not say that this is meant."""

    code = "breaking_change"


class ReasonRequired(InvalidInput):
    """More users may meet the candidate by this decision, and its request demands a reason for such ones."""

    code = "reason_required"


class NotFound(TidegateError):
    """The named object does not exist."""

    code = "not_found"


class Conflict(TidegateError):
    """The object's state does not allow this now; waiting or ending what runs may help."""

    code = "conflict"


class NotReady(Conflict):
    """The machine, the gateway or the deployment is not in a state in which a rollout could end well."""

    code = "not_ready"


class Frozen(Conflict):
    """A freeze holds, and nobody said why this deployment is to go on in spite of it."""

    code = "frozen"


class Unavailable(TidegateError):
    """Something that Tidegate needs (controller, gateway, port, disk) is missing or does not answer."""

    code = "unavailable"
