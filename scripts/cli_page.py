"""The reference page of the command line, made from the very commands that run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from tidegate.cli.helptext import EXAMPLE
from tidegate.cli.main import COMMANDS, GROUPS, app

_NOTE = "<!-- Written by `python -m scripts.generate` from the code; change the code, not this page. -->"

_INTRODUCTION = """\
Every command speaks to the controller over HTTP and waits for no more than it says. Answers go to stdout; progress,
warnings and errors go to stderr. In a terminal a rollout is redrawn in place; in a log each event is a line that begins
with an ISO 8601 time. Colour is used in a terminal only, and not when `NO_COLOR` is set.

`--output json` promises exactly one JSON document on stdout: what was asked for when the exit code is 0, else
`{"error": {"code", "message", …}}` (see [errors and exit codes](errors.md)); people still read the error on stderr. A
rollout that was waited for and not promoted has the code `rollout_not_promoted`, one that waits for a person
`rollout_waits_for_person`.

Complete commands, options and the names of deployments with the tab key after `tidegate --install-completion`."""


def cli_page() -> str:
    root: Any = get_command(app)
    parts = [_NOTE, "# The command line", _INTRODUCTION, "## Options of every command", _options(root, skip=("help",))]
    for panel in dict.fromkeys(panel for _, panel, *_ in (*COMMANDS, *GROUPS)):
        parts.append(f"## {panel}")
        for name, where, _ in COMMANDS:
            if where == panel:
                parts += _command(name, root.commands[name])
        for noun, where, _, verbs in GROUPS:
            if where == panel:
                for verb, _ in verbs:
                    parts += _command(f"{noun} {verb}", root.commands[noun].commands[verb])
    return "\n\n".join(part for part in parts if part) + "\n"


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    usage = " ".join(_usage(argument) for argument in arguments)
    yield f"### tidegate {name}"
    examples = []
    for paragraph in command.help.split("\n\n"):
        if paragraph.startswith(EXAMPLE):
            examples.append(paragraph)
        else:
            yield paragraph
    yield f"```text\ntidegate {name} [OPTIONS] {usage}".rstrip() + "\n```"
    yield "```console\n" + "\n".join(examples) + "\n```"
    yield _options(command, skip=("help",))


def _usage(argument: Any) -> str:
    word = argument.metavar or argument.name.upper()
    return word if argument.required else f"[{word}]"


def _options(command: Any, skip: tuple[str, ...]) -> str:
    rows = ["| Option | Default | Meaning |", "| --- | --- | --- |"]
    for parameter in command.params:
        if parameter.name not in skip:
            rows.append(f"| {_names(parameter)} | {_default(parameter)} | {_meaning(parameter)} |")
    return "\n".join(rows)


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`"
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    if parameter.is_flag:
        return names
    word = parameter.metavar or "|".join(map(str, parameter.type_descriptor.choices or ())) or parameter.name.upper()
    return f"{names} `{word}`".replace("|", "\\|")


def _default(parameter: Any) -> str:
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    if parameter.default is None or parameter.is_flag:
        return ""
    return str(parameter.default)


def _meaning(parameter: Any) -> str:
    variable = f" Variable `{parameter.envvar}`." if getattr(parameter, "envvar", None) else ""
    return f"{parameter.help}{variable}".replace("|", "\\|")
