"""The command `tidegate`. Importing this loads Typer and nothing heavier; commands import what they need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from tidegate.cli.commands import decide, deploy, notify, observe, serve, standalone
from tidegate.cli.exits import ExitCode
from tidegate.cli.group import TidegateGroup
from tidegate.cli.helptext import help_of

DAILY = "Deploy and look"
DECIDING = "Decide"
ALONE = "Without a controller"
ITSELF = "Tidegate itself"

EXIT_CODES = "\n".join(["Exit codes:", *(f"{code.value:>4}  {code.meaning}" for code in ExitCode)])

#: Every command, in the order of the help.
COMMANDS: tuple[tuple[str, str, Callable[..., int | None]], ...] = (
    ("deploy", DAILY, deploy.deploy),
    ("status", DAILY, observe.status),
    ("list", DAILY, observe.list_),
    ("watch", DAILY, observe.watch),
    ("history", DAILY, observe.history),
    ("logs", DAILY, observe.logs),
    ("report", DAILY, observe.report),
    ("notifications", DAILY, notify.notifications),
    ("promote", DECIDING, decide.promote),
    ("pause", DECIDING, decide.pause),
    ("resume", DECIDING, decide.resume),
    ("abort", DECIDING, decide.abort),
    ("rollback", DECIDING, decide.rollback),
    ("delete", DECIDING, decide.delete),
    ("serve", ALONE, standalone.serve),
    ("up", ITSELF, serve.up),
    ("down", ITSELF, serve.down),
    ("doctor", ITSELF, serve.doctor),
    ("version", ITSELF, serve.version),
)

app = typer.Typer(
    name="tidegate",
    cls=TidegateGroup,
    invoke_without_command=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    epilog=EXIT_CODES,
)


@app.callback()
def root(
    ctx: typer.Context,
    home: Annotated[
        str | None,
        typer.Option(
            "--home",
            envvar="TIDEGATE_HOME",
            metavar="DIR",
            help="Where Tidegate keeps its state; may stand after the command as well.",
            show_default="the user's data folder",
        ),
    ] = None,
) -> None:
    """Put a trained model into production step by step, and take it back by itself when it misbehaves.

    $ tidegate deploy churn.skops --p99 50ms --throughput 200rps
    $ tidegate deploy churn-v2.skops --name churn
    $ tidegate watch churn
    """
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


for _name, _panel, _command in COMMANDS:
    app.command(_name, rich_help_panel=_panel, help=help_of(_command))(_command)


def main() -> None:
    """Entry point of the script `tidegate`."""
    app(prog_name="tidegate")


if __name__ == "__main__":
    main()
