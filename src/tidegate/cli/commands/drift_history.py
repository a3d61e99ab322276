"""`tidegate drift history` and `drift sensor`: the readings that the controller made, and whether to retrain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from tidegate.cli.commands.drift import column_names
from tidegate.cli.exits import ExitCode
from tidegate.cli.moments import moment_or_ago, parsed_moment
from tidegate.cli.options import Name, OutputOption
from tidegate.cli.output import Output, console, is_terminal, print_json, say
from tidegate.cli.session import connect
from tidegate.contract.errors import InvalidInput

if TYPE_CHECKING:
    from rich.table import Table

    from tidegate.client.sensing import Reason

_MOST_READINGS = 1000


class AtLeast(StrEnum):
    """How far a column must have drifted."""

    MODERATE = "moderate"
    LARGE = "large"


def history(
    ctx: typer.Context,
    name: Name,
    *,
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="From when on: how long ago, or a date or time.")
    ] = "24h",
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="TIME", help="Until when, in the same forms.", show_default="now"),
    ] = None,
    total: Annotated[
        bool, typer.Option("--total", help="Add up what was counted in that time, and compare it as a whole.")
    ] = False,
    column: Annotated[
        str | None,
        typer.Option("--column", metavar="COLUMN", help="Of this one alone.", show_default="all together"),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", help="How many readings at most; the newest.", min=1, max=_MOST_READINGS)
    ] = 300,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write a page with a plot of each column here.", show_default=False),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show the readings of drift that the controller made of a deployment, oldest first.

    It makes them where the request has a `drift`, of what the stable revision is asked and answers. JSON has every
    measure of every column. `standing` is how the data stands: drifted from the first reading that is drift, until none
    was for a whole period. Below stands what the log of predictions says, where it is in the store: how right answers
    are (quality), how right their scores let expect them to be (performance), and all inputs together; or why nothing
    is known of it.

    With --total there is one answer for the whole time: each reading keeps what was counted since the one before, each
    request once, and the sum is compared with the reference as `drift check` compares rows, with all of the request's
    `alpha`. It is one for each revision, since each has a reference of its own. Intervals that reach over an end of the
    time are left out, and told.

    $ tidegate drift history churn
    $ tidegate drift history churn --column age --since 7d
    $ tidegate drift history churn --since 7d --limit 1000 --out drift.html
    $ tidegate drift history churn --since 2026-11-01 --output json
    $ tidegate drift history churn --since 2026-11-01 --until 2026-12-01 --total
    """
    now = datetime.now(UTC)
    begins, ends = moment_or_ago(since, "--since", now), None if until is None else moment_or_ago(until, "--until", now)
    if ends is not None and begins >= ends:
        raise InvalidInput(
            "--until: the time ends before it begins",
            subject="--until",
            expected=f"a moment after {begins:%Y-%m-%d %H:%M:%S} UTC",
            got=f"{ends:%Y-%m-%d %H:%M:%S} UTC",
        )
    if total:
        if out is not None:
            raise InvalidInput(
                "--out: a page is of readings, and --total is one answer",
                subject="--out",
                expected="one of --out and --total",
            )
        _total(ctx, name, (begins, ends), column, output)
        return
    with connect(ctx) as client:
        told = client.drift(name, since=begins, until=ends, column=column, limit=limit)
        found, aspects = told["readings"], told.get("aspects", [])
        is_watched = bool(found) or client.status(name).get("drift") is not None
    if found and out is not None:
        _write(out, name, found, aspects)
    if output is Output.JSON:
        print_json(told)
    elif found:
        console().print(_table(found) if column is None else _of_column(found))
        say(*(["", f"Written: {out}"] if out is not None else []))
    else:
        what = name if column is None else f"{name} with {column}"
        why = "" if is_watched else ": its request asks for none (drift)"
        until_when = "" if ends is None else f" until {ends:%Y-%m-%d %H:%M} UTC"
        say(f"No readings of {what} since {begins:%Y-%m-%d %H:%M} UTC{until_when}{why}.")
    if output is Output.TEXT:
        _say_aspects(aspects, told.get("watched", []))


def _total(
    ctx: typer.Context, name: str, span: tuple[datetime, datetime | None], column: str | None, output: Output
) -> None:
    from tidegate.cli.drift_total import heading, left_out, sentences, table, when

    with connect(ctx) as client:
        found = client.drift_total(name, since=span[0], until=span[1], column=column)
        is_watched = bool(found["totals"]) or client.status(name).get("drift") is not None
    if output is Output.JSON:
        print_json(found)
        return
    for one in found["totals"]:
        say(heading(one), "")
        console().print(table(one, boxed=is_terminal()))
        say("", *sentences(one), "")
    if not found["totals"]:
        why = "" if is_watched else ": its request asks for no watch (drift)"
        say(f"No interval of {name} lies wholly in {when(found['since'])} to {when(found['until'])} UTC{why}.")
    say(*left_out(found))


def sensor(
    ctx: typer.Context,
    name: Name,
    *,
    at_least: Annotated[
        AtLeast, typer.Option("--at-least", help="How far a column, or all inputs together, must have drifted.")
    ] = AtLeast.MODERATE,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="REASONS",
            help="What may be a reason, with commas: columns, quality, performance, together.",
            show_default="all",
        ),
    ] = None,
    min_requests: Annotated[int, typer.Option("--min-requests", help="That the last reading must be of.", min=0)] = 0,
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="NAMES", help="That count, with commas.", show_default="all")
    ] = None,
    retrained_at: Annotated[
        str | None,
        typer.Option("--retrained-at", metavar="TIME", help="When you retrained last.", show_default="never"),
    ] = None,
    cool_down: Annotated[
        str, typer.Option("--cool-down", metavar="TIME", help="After --retrained-at, until anything is due again.")
    ] = "0s",
    max_age: Annotated[
        str | None, typer.Option("--max-age", metavar="TIME", help="Of the last reading.", show_default="any")
    ] = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Say whether the last readings of drift are a reason to retrain; exit code 9 when one is, else 0.

    A reason is a column that has drifted; answers that are less right by what really was (quality), or are expected to
    be by their scores (performance); all inputs together. Of what nothing is known it is said why. For a pipeline: the
    same as `Client.drift_sensor` in Python. When to retrain again is the caller's to remember.

    $ tidegate drift sensor churn --at-least large --min-requests 1000
    $ tidegate drift sensor churn --by quality,performance
    $ tidegate drift sensor churn --retrained-at 2026-11-20T04:00 --cool-down 24h || test $? = 9
    """
    span = None if max_age is None else _span(max_age, "--max-age")
    trained = None if retrained_at is None else parsed_moment(retrained_at, "--retrained-at")
    with connect(ctx) as client:
        found = client.drift_sensor(
            name,
            at_least=at_least.value,
            min_requests=min_requests,
            columns=column_names(columns),
            retrained_at=trained,
            cool_down=_span(cool_down, "--cool-down"),
            max_age=span,
            by=cast("list[Reason]", column_names(by)),
        )
    if output is Output.JSON:
        print_json({"deployment": name, **found.as_dict()})
    else:
        say(f"{'Due' if found.is_due else 'Not due'}: {found.why}.")
    return ExitCode.HAS_DRIFTED if found.is_due else ExitCode.OK


def _say_aspects(readings: Sequence[Mapping[str, Any]], watched: Sequence[Mapping[str, Any]]) -> None:
    from tidegate.cli.drift_lines import aspects_table, unread_lines

    if readings:
        say("")
        console().print(aspects_table(readings))
    lines = unread_lines(watched)
    if lines:
        say("", *lines)


def _write(out: Path, name: str, readings: Sequence[Mapping[str, Any]], aspects: Sequence[Mapping[str, Any]]) -> None:
    from tidegate.drift.timeline import html

    try:
        out.write_text(html(name, readings, at=datetime.now(UTC), aspects=aspects), encoding="utf-8")
    except OSError as wrong:
        raise InvalidInput(f"{out} cannot be written: {wrong.strerror}", subject=str(out)) from wrong


def _span(text: str, flag: str) -> timedelta:
    from tidegate.contract.quantities import Duration

    return timedelta(seconds=Duration.parse(text, field=flag).seconds)


def _table(readings: Sequence[Mapping[str, Any]]) -> Table:
    """Return a line for each reading: the worst of its columns, and those that have drifted."""
    from tidegate.cli.drift_lines import columns_text, standing_text, state_text
    from tidegate.cli.humanize import clock, count
    from tidegate.cli.render import listing

    table = listing(is_terminal(), "AT", "REVISION", "REQUESTS", "STANDING", "DRIFT", "COLUMNS")
    for one in readings:
        table.add_row(
            clock(one["at"]),
            str(one["revision"]),
            count(one["requests"]),
            standing_text(one["drifted"]),
            state_text(one["state"]),
            columns_text(one["columns"]),
        )
    return table


def _of_column(readings: Sequence[Mapping[str, Any]]) -> Table:
    from tidegate.cli.drift_lines import state_text
    from tidegate.cli.humanize import clock, count
    from tidegate.cli.render import listing
    from tidegate.drift.wording import chance, change

    table = listing(is_terminal(), "AT", "REVISION", "ROWS", "DRIFT", "PSI", "CHANCE", "MISSING", "UNSEEN")
    for one in readings:
        (found,) = one["columns"]
        table.add_row(
            clock(one["at"]),
            str(one["revision"]),
            count(found["rows"]),
            state_text(found["state"]),
            f"{found['psi']:.3f}",
            chance(found["chance"]),
            *(change(found[what]["reference"], found[what]["current"]) for what in ("missing", "unseen")),
        )
    return table
