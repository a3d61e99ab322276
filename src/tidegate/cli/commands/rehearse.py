"""`tidegate rehearse`: would the safety net of a deployment hold? Faults in copies of its model, away from users."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.complete import deployment_names
from tidegate.cli.exits import ExitCode
from tidegate.cli.options import OutputOption
from tidegate.cli.output import Output, console, is_terminal, note, print_json, say
from tidegate.cli.session import home_of
from tidegate.contract.errors import InvalidInput

if TYPE_CHECKING:
    from rich.table import Table


def rehearse(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="The deployment.", autocompletion=deployment_names, show_default=False),
    ] = None,
    *,
    file: Annotated[
        str | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="The request document of the next candidate, YAML or JSON; its model need not exist.",
            show_default="the one that the stable revision was deployed with",
        ),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            "--fault",
            metavar="FAULT[=AMOUNT]",
            help="errors=20%, latency=+200ms, crash=20 (dies at its 20th request), wrong-answers=100% or "
            "memory-leak=4Mi (for each request). May be given several times.",
            show_default="each of them once",
        ),
    ] = None,
    traffic: Annotated[
        str | None,
        typer.Option(
            "--traffic",
            metavar="RATE",
            help="Requests to send.",
            show_default="the deployment's throughput, up to a quarter of what the machine bears",
        ),
    ] = None,
    inputs: Annotated[
        str | None,
        typer.Option(
            "--inputs",
            metavar="FILE",
            help="What to send: JSON lines, records of a prediction log or bodies for /predict.",
            show_default="the deployment's prediction log, else golden requests and sample",
        ),
    ] = None,
    time_limit: Annotated[
        str, typer.Option("--time-limit", metavar="TIME", help="For each fault, from its deployment on.")
    ] = "10m",
    clear: Annotated[
        bool,
        typer.Option("--clear", metavar="", help="End what a killed rehearsal left, and do nothing else."),
    ] = False,
    output: OutputOption = Output.TEXT,
) -> int:
    """Prove on copies of a deployment that its faulty successor would be taken back.

    A copy of the stable revision is deployed beside the users' own, with a gateway and ports of its own, and then once
    more for each fault: as a candidate with the fault in it, through the same steps, gates and analysis, on generated
    traffic. No user's request reaches it. Exit code 8 when a fault was not taken back, or stable failed a request.

    $ tidegate rehearse churn
    $ tidegate rehearse churn --fault errors=5% --fault wrong-answers --traffic 50rps
    $ tidegate rehearse churn -f next.yaml
    $ tidegate rehearse churn --time-limit 3m --output json > rehearsal.json
    """
    from tidegate.cli.document import planned_request_from
    from tidegate.contract.quantities import Duration, Throughput
    from tidegate.rehearsal import Progress, Settings
    from tidegate.rehearsal import rehearse as play
    from tidegate.rehearsal.play import clear as cleared

    home = home_of(ctx)
    if clear:
        return _clear(cleared(home), output)
    if name is None:
        raise InvalidInput("NAME is missing: which deployment is to be rehearsed?", hint="See: tidegate list")
    settings = Settings(
        faults=tuple(fault or ()),
        traffic=Throughput.parse(traffic, field="--traffic") if traffic is not None else None,
        time_limit=Duration.parse(time_limit, field="--time-limit"),
        request=planned_request_from({}, file, Path.cwd()) if file is not None else None,
        inputs=Path(inputs) if inputs is not None else None,
    )

    def tell(progress: Progress) -> None:
        place = f"[{progress.number}/{progress.faults}] " if progress.number else ""
        note(place + progress.message)

    try:
        told = play(home, name, settings, tell)
    except KeyboardInterrupt:
        note("The rehearsal was ended; nothing of it runs on.")
        raise
    if output is Output.JSON:
        print_json(told)
    else:
        _show(told)
    return ExitCode.OK if told["holds"] else ExitCode.HAS_A_HOLE


def _clear(ended: list[str], output: Output) -> int:
    if output is Output.JSON:
        print_json({"stopped": ended})
    else:
        say(*([f"stopped {what}" for what in ended] or ["No rehearsal was left behind."]))
    return ExitCode.OK


def _show(told: dict[str, Any]) -> None:
    from tidegate.rehearsal import pages

    console().print(_table(told))
    say("", pages.verdict(told), *pages.sentences(told))
    if advice := pages.advice(told):
        say("", "What would mend it:", *(f"- {sentence}" for sentence in advice))
    say(f"Report: {told['reports']['html']}")


def _table(told: dict[str, Any]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from tidegate.rehearsal import pages

    table = Table(
        title=f"Rehearsal of {told['deployment']}, revision {told['revision']}",
        title_justify="left",
        title_style="bold",
        box=box.ROUNDED if is_terminal() else None,
        pad_edge=False,
    )
    for heading in pages.HEADINGS:
        table.add_column(heading.upper())
    for found in told["faults"]:
        first, detected, *rest = pages.row(found)
        table.add_row(first, Text(detected, style="green" if found["detected"] else "red"), *rest)
    return table
