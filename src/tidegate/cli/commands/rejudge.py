"""`tidegate judge replay`: a recorded rollout, judged again with other settings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.commands.observe import rollout_named
from tidegate.cli.options import OutputOption
from tidegate.cli.output import Output, console, is_terminal, print_json
from tidegate.cli.session import connect
from tidegate.contract.errors import InvalidInput

#: How the file of a recording ends, so that one that is missing is not taken for a deployment.
SUFFIX = ".jsonl"


def replay(
    ctx: typer.Context,
    events: Annotated[
        str,
        typer.Argument(
            metavar="EVENTS",
            help="A recording (ROLLOUT.looks.jsonl; - reads stdin), a deployment, for its latest rollout, or the id of "
            "a rollout.",
            show_default=False,
        ),
    ],
    *,
    alpha: Annotated[
        str | None,
        typer.Option(
            "--alpha", metavar="SHARE", help="The chance of taking back a healthy candidate.", show_default=False
        ),
    ] = None,
    margin: Annotated[
        str | None,
        typer.Option("--margin", metavar="SHARE", help="How much worse still passes.", show_default=False),
    ] = None,
    min_requests: Annotated[
        int | None,
        typer.Option("--min-requests", help="Requests in a step before it passes.", show_default=False),
    ] = None,
    availability: Annotated[
        str | None,
        typer.Option(
            "--availability", metavar="SHARE", help="The share of requests without a 5xx.", show_default=False
        ),
    ] = None,
    p99: Annotated[
        str | None,
        typer.Option(
            "--p99",
            metavar="DURATION",
            help="From when a request is slow: a quarter of the objective of the time to four times it.",
            show_default=False,
        ),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Judge a recorded rollout again, with other settings.

    Shows what the judge would have said over time and what that changes. What is not given stays as it was; without
    any setting the verdicts are those of the rollout. Slow requests are recorded at some durations around the objective
    of the time; --p99 takes the nearest that is not shorter, and says which.

    $ tidegate judge replay churn --alpha 0.1%
    $ tidegate judge replay 17 --min-requests 500 --margin 1%
    $ tidegate judge replay churn --p99 80ms
    $ tidegate judge replay reports/churn/17.looks.jsonl --availability 99.5% --output json
    """
    from tidegate.trial.recording import read
    from tidegate.trial.replay import replay as judged_again

    text, source = _text_of(ctx, events)
    settings = {
        "alpha": alpha,
        "margin": margin,
        "min_requests": min_requests,
        "availability": availability,
        "p99": p99,
    }
    told = judged_again(read(text.splitlines(), source), settings)
    if output is Output.JSON:
        print_json(told)
        return
    from tidegate.cli.outlook import replay_view

    console().print(replay_view(told, boxed=is_terminal()))


def _text_of(ctx: typer.Context, events: str) -> tuple[str, str]:
    """Return the lines of a recording and what to call it."""
    if events == "-":
        return sys.stdin.read(), "standard input"
    file = Path(events).expanduser()
    if file.is_file() or file.suffix == SUFFIX or len(file.parts) > 1:
        try:
            return file.read_text(encoding="utf-8"), events
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not a text file"
            raise InvalidInput(
                f"The recording {events} cannot be read: {reason.lower()}.",
                subject=events,
                expected="a recording such as reports/churn/17.looks.jsonl",
            ) from error
    with connect(ctx) as client:
        rollout_id = rollout_named(client, events)
        return client.recording(rollout_id), f"rollout {rollout_id}"
