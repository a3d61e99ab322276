"""Options and arguments that several commands share, so that they read the same everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

from tidegate.cli.complete import deployment_names
from tidegate.cli.output import Output

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The deployment.", autocompletion=deployment_names, show_default=False)
]
OutputOption = Annotated[
    Output,
    typer.Option("--output", help="text for people; json for one document on stdout, errors included."),
]
Reason = Annotated[
    str | None, typer.Option("--reason", help="Why, for the event log and the report.", show_default=False)
]
By = Annotated[str | None, typer.Option("--by", help="Who decided.", show_default="your login name", metavar="WHO")]
Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", metavar="", help="Return only when the rollout has ended or is paused.")
]
Port = Annotated[
    int | None,
    typer.Option(
        "--port", envvar="TIDEGATE_PORT", help="Port of the controller's API.", show_default="8081", metavar="PORT"
    ),
]
GatewayPort = Annotated[
    int | None,
    typer.Option(
        "--gateway-port",
        envvar="TIDEGATE_GATEWAY_PORT",
        help="Port at which users reach the models.",
        show_default="8080",
        metavar="PORT",
    ),
]
