"""What goes where: documents to stdout, words about them to stderr, colour only for a terminal.

`--output json` promises one JSON document on stdout: what was asked for when the exit code is 0, else
`{"error": {code, message, subject?, expected?, got?, hint?}}`. People still read the error on stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tidegate.contract.errors import TidegateError

if TYPE_CHECKING:
    from rich.console import Console

#: Width in a log or a pipe: wide enough that a row stays one line, for grep and awk.
PLAIN_WIDTH = 400


class Output(StrEnum):
    """The form of a command's answer."""

    TEXT = "text"
    JSON = "json"


def console(*, stderr: bool = False) -> Console:
    """Return a console on stdout or stderr as they are now; Rich heeds NO_COLOR, COLUMNS and TERM by itself."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else PLAIN_WIDTH, highlight=False, emoji=False)


def print_json(document: Any) -> None:
    """Write one JSON document to stdout."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def say(*lines: str) -> None:
    """Write plain lines to stdout, with no markup and no wrapping."""
    for line in lines:
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


def note(*lines: str) -> None:
    """Write plain lines to stderr: about the work, not the answer."""
    for line in lines:
        sys.stderr.write(line + "\n")
    sys.stderr.flush()


def error_lines(error: TidegateError) -> list[str]:
    """Return what a person reads of an error: message, what was expected, what was there, what to do."""
    lines = error.message.splitlines() or [""]
    told = error.message
    if error.subject is not None and error.subject not in told:
        lines.append(f"  at:       {error.subject}")
    if error.expected is not None and error.expected not in told:
        lines.append(f"  expected: {error.expected}")
    if error.got is not None and error.got not in told:
        lines.append(f"  got:      {error.got}")
    if error.hint is not None and error.hint not in told:
        lines.extend(f"  {line}" for line in error.hint.splitlines())
    return lines


def print_error(error: TidegateError, output: Output) -> None:
    """Write the error to stderr for a person and, when JSON was asked for, to stdout as well."""
    from rich.text import Text

    first, *others = error_lines(error)
    out = console(stderr=True)
    out.print(Text.assemble(("error: ", "bold red"), first), soft_wrap=True)
    for line in others:
        out.print(Text(line), soft_wrap=True)
    if output is Output.JSON:
        print_json({"error": error.as_dict()})


def wanted_output(args: Sequence[str]) -> Output:
    """Return the form asked for on a command line that may not even parse."""
    words = list(args)
    if "--" in words:
        words = words[: words.index("--")]
    asked = [words[at + 1] for at, word in enumerate(words[:-1]) if word == "--output"]
    asked += [word.removeprefix("--output=") for word in words if word.startswith("--output=")]
    return Output.JSON if "json" in asked else Output.TEXT


def is_terminal(*, stderr: bool = False) -> bool:
    """True when the stream is a terminal that can redraw."""
    return console(stderr=stderr).is_terminal and not console(stderr=stderr).is_dumb_terminal


def compact(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that have a value."""
    return {key: value for key, value in fields.items() if value is not None}
