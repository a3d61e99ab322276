"""The command that shows who was told what: notifications."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from tidegate.cli.exits import ExitCode
from tidegate.cli.options import Name, OutputOption
from tidegate.cli.output import Output, console, is_terminal, print_json, say
from tidegate.cli.session import connect, login_name


def notifications(
    ctx: typer.Context,
    name: Name,
    *,
    test: Annotated[
        bool, typer.Option("--test", metavar="", help="Send a test to everybody whom the request names, now.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> int:
    """Show who was told of a deployment's rollouts, and how the delivery went.

    With --test send a message to each of `notifications` in the request and say how that went; the exit code is 6 when
    one did not arrive.

    $ tidegate notifications churn
    $ tidegate notifications churn --test
    """
    from tidegate.cli.render import notifications_table, tests_table

    with connect(ctx) as client:
        if not test:
            found = client.notifications(name)
            if output is Output.JSON:
                print_json({"notifications": found})
            elif not found:
                say(f"Nobody was told anything of {name}: no request of it names `notifications`, or none was due yet.")
            else:
                console().print(notifications_table(found, datetime.now(UTC), boxed=is_terminal()))
            return ExitCode.OK
        tests = client.test_notifications(name, by=login_name())
    if output is Output.JSON:
        print_json({"tests": tests})
    else:
        console().print(tests_table(tests, boxed=is_terminal()))
    return ExitCode.OK if all(one["delivered"] for one in tests) else ExitCode.UNAVAILABLE
