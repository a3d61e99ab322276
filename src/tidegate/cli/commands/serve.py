"""Commands about Tidegate itself: up, down, doctor, version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import typer

from tidegate.cli.exits import ExitCode
from tidegate.cli.options import (
    Envoys,
    Foreground,
    GatewayHost,
    GatewayPort,
    Host,
    OutputOption,
    Port,
    Standby,
    StoreOption,
)
from tidegate.cli.output import Output, console, print_json, say
from tidegate.cli.session import home_of
from tidegate.contract.errors import InvalidInput


def up(  # noqa: PLR0917 -- as options
    ctx: typer.Context,
    port: Port = None,
    gateway_port: GatewayPort = None,
    host: Host = None,
    gateway_host: GatewayHost = None,
    envoys: Envoys = None,
    store: StoreOption = None,
    standby: Standby = False,
    foreground: Foreground = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Start the controller and the gateway in the background.

    `deploy` does it by itself when it is needed. Revisions that served when Tidegate went down serve again.

    $ tidegate up
    $ tidegate up --port 9081 --gateway-port 9080
    $ tidegate up --envoys 3
    $ tidegate up --store postgresql://tidegate@db.example.com/tidegate
    $ tidegate up --standby
    $ tidegate up --foreground --gateway-host 0.0.0.0
    """
    from tidegate.controller import launch

    home = home_of(ctx)
    if standby and foreground:
        raise InvalidInput(
            "--standby and --foreground exclude each other",
            subject="--foreground",
            hint="what stays in the foreground starts its controller again by itself",
        )
    if standby:
        pid = launch.stand_by(home, store)
        if output is Output.JSON:
            print_json({"standby_pid": pid, "home": str(home)})
        else:
            say(f"A controller stands by (pid {pid}): it takes over when the one that leads dies.")
        return
    start = partial(
        launch.ensure_running,
        home,
        port,
        gateway_port,
        host=host,
        gateway_host=gateway_host,
        envoys=envoys,
        store=store,
    )
    if foreground:
        from tidegate.controller.foreground import stay

        stay(home, start, _print_event if output is Output.JSON else _tell)
        return
    info = start()
    if output is Output.JSON:
        print_json({"controller_url": info.url, "gateway_url": info.gateway_url, "pid": info.pid, "home": str(home)})
        return
    say(
        f"Tidegate is up (pid {info.pid}).",
        f"  gateway     {info.gateway_url}",
        f"  controller  {info.url}",
        f"  home        {home}",
        "Next: tidegate deploy MODEL --p99 50ms",
    )


def _print_event(event: Mapping[str, Any]) -> None:
    say(json.dumps(event, ensure_ascii=False))


def _tell(event: Mapping[str, Any]) -> None:
    """Say in words what happened to the controller of `up --foreground`."""
    match event["event"]:
        case "up":
            where = f"gateway {event['gateway_url']}, controller {event['controller_url']}"
            say(f"Tidegate is up (pid {event['pid']}): {where}")
        case "log":
            say(event["line"])
        case "gone":
            say("The controller is gone; what serves goes on. Starting another.")
        case "failed":
            say(f"The controller could not be started: {event['message']}", f"again in {event['again_seconds']:.0f} s")
        case "stopped":
            say(*(f"stopped {what}" for what in event["stopped"]))


def down(ctx: typer.Context, output: OutputOption = Output.TEXT) -> None:
    """Stop the controller, the gateway and all replicas.

    Nothing is forgotten: what was deployed comes back with `up`.

    $ tidegate down
    """
    from tidegate.controller import launch

    stopped = launch.stop(home_of(ctx))
    if output is Output.JSON:
        print_json({"stopped": stopped})
    else:
        say(*([f"stopped {what}" for what in stopped] or ["Nothing was running."]))


def doctor(ctx: typer.Context, output: OutputOption = Output.TEXT) -> int | None:
    """Say what is wrong and what to type.

    Exit code 1 if a check fails; a warning is no failure.

    $ tidegate doctor
    """
    if ctx.invoked_subcommand is not None:
        return None
    from tidegate.cli.doctor import examine, findings_lines
    from tidegate.contract.findings import Level

    findings = examine(home_of(ctx))
    healthy = all(finding.level is not Level.FAIL for finding in findings)
    if output is Output.JSON:
        print_json({"healthy": healthy, "checks": [finding.as_dict() for finding in findings]})
    else:
        out = console()
        for line in findings_lines(findings):
            out.print(line, soft_wrap=True)
    return ExitCode.OK if healthy else ExitCode.UNEXPECTED


def version(output: OutputOption = Output.TEXT) -> None:
    """Print the version.

    $ tidegate version
    """
    from tidegate import __version__

    if output is Output.JSON:
        print_json({"version": __version__})
    else:
        say(f"tidegate {__version__}")
