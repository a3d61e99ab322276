"""Foreign errors in few words."""

from __future__ import annotations

from tidegate.contract.errors import TidegateError

_LONGEST_REASON = 300


def one_line(error: BaseException) -> str:
    """Return an exception as one short line: its class and the first line of its text."""
    if isinstance(error, TidegateError):
        return error.message
    text = str(error).strip().partition("\n")[0].strip()
    line = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return line if len(line) <= _LONGEST_REASON else line[: _LONGEST_REASON - 1] + "…"
