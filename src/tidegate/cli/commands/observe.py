"""Commands that look and change nothing: status, list, watch, history, logs, report."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from tidegate.cli.complete import deployment_names
from tidegate.cli.options import Name, OutputOption
from tidegate.cli.output import Output, console, is_terminal, print_json, say
from tidegate.cli.session import connect
from tidegate.contract.errors import InvalidInput, NotFound

#: How often `logs --follow` looks for new lines.
FOLLOW_SECONDS = 0.5


class ReportFormat(StrEnum):
    """The form of a report."""

    MARKDOWN = "markdown"
    HTML = "html"
    JSON = "json"


def status(ctx: typer.Context, name: Name, output: OutputOption = Output.TEXT) -> None:
    """Show what a deployment is doing now.

    Revisions, the split asked for and the one observed, replicas, the rollout and what the judge says.

    $ tidegate status churn
    $ tidegate status churn --output json | jq .split_observed
    """
    with connect(ctx) as client:
        found = client.status(name)
    if output is Output.JSON:
        print_json(found)
        return
    from tidegate.cli.render import status_view

    console().print(status_view(found, datetime.now(UTC)))


def list_(ctx: typer.Context, output: OutputOption = Output.TEXT) -> None:
    """List the deployments.

    $ tidegate list
    """
    with connect(ctx) as client:
        found = client.list()
    if output is Output.JSON:
        print_json({"deployments": found})
        return
    if not found:
        say("No deployments yet. Make one with: tidegate deploy MODEL --p99 50ms")
        return
    from tidegate.cli.render import deployments_table

    console().print(deployments_table(found, datetime.now(UTC), boxed=is_terminal()))


def watch(ctx: typer.Context, name: Name) -> int:
    """Follow a rollout until it ends or waits for you.

    Without one, follow the deployment until Ctrl-C. In a terminal the view is redrawn in place; elsewhere each
    event is a line. The exit code is that of `deploy`.

    $ tidegate watch churn
    """
    from tidegate.cli.progress import follow_deployment

    with connect(ctx) as client:
        return follow_deployment(client, name)


def history(ctx: typer.Context, name: Name, output: OutputOption = Output.TEXT) -> None:
    """Show every revision and rollout of a deployment.

    $ tidegate history churn
    """
    with connect(ctx) as client:
        found = client.history(name)
    if output is Output.JSON:
        print_json(found)
        return
    from tidegate.cli.render import revisions_table, rollouts_table

    out, now, boxed = console(), datetime.now(UTC), is_terminal()
    out.print(revisions_table(found, now, boxed=boxed))
    out.print()
    out.print(rollouts_table(found, now, boxed=boxed))


def logs(
    ctx: typer.Context,
    name: Name,
    *,
    revision: Annotated[
        int | None,
        typer.Option("--revision", help="Whose replicas.", show_default="the one on trial, else the stable one", min=1),
    ] = None,
    replica: Annotated[
        int | None, typer.Option("--replica", help="Which replica, from 0.", show_default="all of them", min=0)
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many lines, from the end.", min=1)] = 100,
    follow: Annotated[bool, typer.Option("--follow", metavar="", help="Go on with new lines until Ctrl-C.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show what the replicas of a deployment wrote.

    $ tidegate logs churn --lines 20
    $ tidegate logs churn --revision 3 --replica 1 --follow
    """
    if follow and output is Output.JSON:
        raise InvalidInput("--follow has no end, and --output json is one document.", hint="Leave one of the two out.")
    with connect(ctx) as client:
        page = client.logs(name, revision=revision, replica=replica, lines=lines)
        if output is Output.JSON:
            print_json({"lines": page})
            return
        say(*page)
        while follow:
            time.sleep(FOLLOW_SECONDS)
            newer = client.logs(name, revision=revision, replica=replica, lines=max(lines, 1000))
            say(*new_lines(page, newer))
            page = newer


def new_lines(before: list[str], after: list[str]) -> list[str]:
    """Return the lines of `after`, the end of a growing log, that come behind those of `before`, its earlier end."""
    if not before:
        return after
    # The newest place at which all of `before` that `after` still holds fits.
    for end in range(len(after), 0, -1):
        overlap = min(end, len(before))
        if after[end - overlap : end] == before[-overlap:]:
            return after[end:]
    return after


def report(
    ctx: typer.Context,
    which: Annotated[
        str,
        typer.Argument(
            metavar="NAME|ROLLOUT",
            help="A deployment, for its latest rollout, or the id of a rollout.",
            autocompletion=deployment_names,
            show_default=False,
        ),
    ],
    form: Annotated[
        ReportFormat, typer.Option("--format", help="markdown to read, html with plots, json to compute with.")
    ] = (ReportFormat.MARKDOWN),
    output: OutputOption = Output.TEXT,
) -> None:
    """Tell what happened in a rollout.

    Steps, splits asked and observed, counts, verdicts, who decided, timings.

    $ tidegate report churn
    $ tidegate report churn --format html > report.html
    $ tidegate report 17 --format json > rollout-17.json
    """
    with connect(ctx) as client:
        rollout_id = rollout_named(client, which)
        if form is ReportFormat.JSON or output is Output.JSON:
            print_json(client.report(rollout_id))
        elif form is ReportFormat.HTML:
            say(client.report_html(rollout_id).rstrip("\n"))
        else:
            say(client.report_markdown(rollout_id).rstrip("\n"))


def rollout_named(client: Any, which: str) -> str:
    """Return the rollout meant: the latest of a deployment, or the one with this id."""
    if not which[:1].isalpha():
        return which
    rollouts = client.history(which).get("rollouts") or []
    if not rollouts:
        raise NotFound(f"{which} has had no rollout.", subject=which, hint=f"See: tidegate history {which}")
    return str(rollouts[-1]["id"])
