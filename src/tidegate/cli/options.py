"""Options and arguments that several commands share, so that they read the same everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

from tidegate.cli.complete import deployment_names
from tidegate.cli.output import Output

#: Panel of the help with what is to be known of a model.
MODEL = "Model"

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The deployment.", autocompletion=deployment_names, show_default=False)
]
OutputOption = Annotated[
    Output,
    typer.Option("--output", help="text for people; json for one document on stdout, errors included."),
]
File = Annotated[
    str | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        help="A request document, YAML or JSON; - reads it from stdin.",
        show_default=False,
    ),
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
Host = Annotated[
    str | None,
    typer.Option(
        "--host",
        envvar="TIDEGATE_HOST",
        help="Address of the controller's API; 0.0.0.0 for all of this machine. The token is not encrypted and metrics "
        "need none: beyond loopback it is for a network of your own.",
        show_default="127.0.0.1",
        metavar="ADDRESS",
    ),
]
GatewayHost = Annotated[
    str | None,
    typer.Option(
        "--gateway-host",
        envvar="TIDEGATE_GATEWAY_HOST",
        help="Address at which users reach the models; 0.0.0.0 for all of this machine. Put a proxy with TLS before "
        "it.",
        show_default="127.0.0.1",
        metavar="ADDRESS",
    ),
]
Envoys = Annotated[
    int | None,
    typer.Option(
        "--envoys",
        envvar="TIDEGATE_ENVOYS",
        min=1,
        max=8,
        help="Envoys that share the gateway's port: as long as one lives, requests get through.",
        show_default="2",
        metavar="N",
    ),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="Where everything is remembered: a SQLite file, or a PostgreSQL database made with `tidegate db init`. A "
        "password belongs into TIDEGATE_STORE or PGPASSFILE.",
        show_default="TIDEGATE_STORE, else where it was, else a file in the home",
        metavar="URL",
    ),
]
Standby = Annotated[
    bool,
    typer.Option("--standby", help="Start a further controller, which takes over when the one that leads dies."),
]
Foreground = Annotated[
    bool,
    typer.Option(
        "--foreground",
        help="Stay, for a container or a service manager: show the controller's log, start it again when it dies, and "
        "stop everything on SIGTERM.",
    ),
]
Framework = Annotated[
    str | None,
    typer.Option(
        "--framework",
        help="The runtime that serves it.",
        show_default="recognised from the content",
        rich_help_panel=MODEL,
    ),
]
Sample = Annotated[
    str | None,
    typer.Option(
        "--sample",
        metavar="FILE",
        help="Rows of typical input, JSON or CSV, for a model that does not say what it takes.",
        show_default=False,
        rich_help_panel=MODEL,
    ),
]
Settings = Annotated[
    str | None,
    typer.Option(
        "--settings",
        metavar="FILE",
        help="A JSON object with what its runtime alone needs to know, such as labels.",
        show_default=False,
        rich_help_panel=MODEL,
    ),
]
#: An option alone: to leave it out means no to `serve`, and what the request document says to `deploy`.
TRUST = typer.Option(
    "--trust",
    metavar="",
    help="Load it although that runs code of its own, as a pickle does.",
    show_default=False,
    rich_help_panel=MODEL,
)
