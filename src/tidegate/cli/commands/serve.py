"""Commands about Tidegate itself: up, down, doctor, version."""

from __future__ import annotations

import typer

from tidegate.cli.exits import ExitCode
from tidegate.cli.options import Envoys, GatewayPort, OutputOption, Port, Standby, StoreOption
from tidegate.cli.output import Output, console, print_json, say
from tidegate.cli.session import home_of


def up(  # noqa: PLR0917 -- as options
    ctx: typer.Context,
    port: Port = None,
    gateway_port: GatewayPort = None,
    envoys: Envoys = None,
    store: StoreOption = None,
    standby: Standby = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Start the controller and the gateway in the background.

    `deploy` does it by itself when it is needed. Revisions that served when Tidegate went down serve again.

    $ tidegate up
    $ tidegate up --port 9081 --gateway-port 9080
    $ tidegate up --envoys 3
    $ tidegate up --store postgresql://tidegate@db.example.com/tidegate
    $ tidegate up --standby
    """
    from tidegate.controller import launch

    home = home_of(ctx)
    if standby:
        pid = launch.stand_by(home, store)
        if output is Output.JSON:
            print_json({"standby_pid": pid, "home": str(home)})
        else:
            say(f"A controller stands by (pid {pid}): it takes over when the one that leads dies.")
        return
    info = launch.ensure_running(home, port, gateway_port, envoys=envoys, store=store)
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


def doctor(ctx: typer.Context, output: OutputOption = Output.TEXT) -> int:
    """Say what is wrong and what to type.

    Exit code 1 if a check fails; a warning is no failure.

    $ tidegate doctor
    """
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
