"""`tidegate freeze`: spans of time in which nothing is deployed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.complete import deployment_names
from tidegate.cli.options import By, OutputOption
from tidegate.cli.output import Output, console, is_terminal, note, print_json, say
from tidegate.cli.session import connect, login_name

if TYPE_CHECKING:
    from tidegate.client import Client, Freeze


def add(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="The deployment; every one when it is left out.",
            autocompletion=deployment_names,
            show_default=False,
        ),
    ] = None,
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why; who is refused reads it.", show_default=False)],
    start: Annotated[
        str | None,
        typer.Option(
            "--start",
            metavar="TIME",
            help="From when on; without a zone, this machine's.",
            show_default="now",
        ),
    ] = None,
    end: Annotated[str | None, typer.Option("--end", metavar="TIME", help="Until when.", show_default=False)] = None,
    duration: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="How long, instead of --end.", show_default=False)
    ] = None,
    by: By = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Let nothing be deployed for a while.

    A `deploy` is refused with exit code 4 unless it says --override-freeze. A rollout that is under way goes on;
    abort and rollback are never refused.

    $ tidegate freeze add --reason "year-end closing" --start 2026-12-24 --end 2027-01-02T08:00
    $ tidegate freeze add churn --reason "audit" --for 4h
    """
    from tidegate.cli.moments import parsed_span

    begins, ends = parsed_span(start, end, duration, datetime.now(UTC))
    with connect(ctx) as client:
        freeze = client.add_freeze(
            name,
            reason=reason,
            starts_at=None if start is None else begins,
            ends_at=ends,
            by=by or login_name(),
        )
        _note_unknown(client, name)
    if output is Output.JSON:
        print_json(freeze)
        return
    say(f"Freeze {freeze['id']}: nothing is deployed to {_whom(freeze)} from {_when(freeze)}.")


def list_(
    ctx: typer.Context,
    *,
    every: Annotated[bool, typer.Option("--all", metavar="", help="Also those that are over or removed.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """List the freezes that hold now or will.

    $ tidegate freeze list
    $ tidegate freeze list --all
    """
    with connect(ctx) as client:
        freezes = client.freezes(every=every)
    if output is Output.JSON:
        print_json({"freezes": freezes})
        return
    if not freezes:
        say("No freezes.")
        return
    from tidegate.cli.render import freezes_table

    console().print(freezes_table(freezes, datetime.now(UTC), boxed=is_terminal()))


def remove(
    ctx: typer.Context,
    freeze: Annotated[int, typer.Argument(metavar="FREEZE", help="Its number.", show_default=False, min=1)],
    *,
    by: By = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """End a freeze, or call off one to come.

    $ tidegate freeze remove 3
    """
    with connect(ctx) as client:
        removed = client.remove_freeze(freeze, by=by or login_name())
    if output is Output.JSON:
        print_json(removed)
    else:
        say(f"Freeze {freeze} of {_whom(removed)} is removed.")


def _note_unknown(client: Client, name: str | None) -> None:
    if name is not None and name not in [status["name"] for status in client.list()]:
        note(f"warning: there is no deployment {name} yet; the freeze holds for its first model, too")


def _whom(freeze: Freeze) -> str:
    return freeze["deployment"] or "any deployment"


def _when(freeze: Freeze) -> str:
    from tidegate.cli.humanize import clock

    return f"{clock(freeze['starts_at'])} to {clock(freeze['ends_at'])}"
