"""The root of the command line: global options anywhere, and one place where every failure becomes an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from tidegate.cli.exits import ExitCode, exit_code_of
from tidegate.cli.output import print_error, wanted_output
from tidegate.contract.errors import InvalidInput, TidegateError

_GLOBAL = "--home"


def globals_first(args: Sequence[str]) -> list[str]:
    """Move `--home DIR` to the front, so that it may stand after the command as well; `--` ends the search."""
    front: list[str] = []
    rest: list[str] = []
    words = iter(args)
    for word in words:
        if word == "--":
            return [*front, *rest, word, *words]
        if word == _GLOBAL:
            front += [word, *([value] if (value := next(words, None)) is not None else [])]
        elif word.startswith(f"{_GLOBAL}="):
            front.append(word)
        else:
            rest.append(word)
    return front + rest


class TidegateGroup(TyperGroup):
    """Commands return an exit code or None, or raise; this turns all of it into the process's exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, globals_first(args))

    def main(self, args: Sequence[str] | None = None, *others: Any, **extra: Any) -> Any:
        given = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        try:
            code = super().main(given, *others, **extra)
        except TidegateError as error:
            print_error(error, wanted_output(given))
            code = exit_code_of(error)
        except typer.TyperException as error:
            print_error(_usage_error(error), wanted_output(given))
            code = ExitCode.BAD_INPUT
        except typer.Abort:
            code = ExitCode.INTERRUPTED
        sys.exit(int(code or 0))


def _usage_error(error: typer.TyperException) -> InvalidInput:
    """Return a wrong command line as the same kind of error that a wrong document is."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "tidegate"
    return InvalidInput(error.format_message(), hint=f"See: {path} --help")
