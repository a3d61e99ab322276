"""`tidegate predictions`: the prediction log, read back from the store; no controller is needed."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.commands.db import StoreOption, address_of_store
from tidegate.cli.moments import moment_or_ago
from tidegate.cli.options import Name
from tidegate.cli.output import console, is_terminal, note, print_json, say
from tidegate.contract.actuals import UNNAMED, Came, by_row

if TYPE_CHECKING:
    from tidegate.store.predictions import Prediction

_SHOWN = 60
_SHORT = 24
_LONG_AGO = datetime(1970, 1, 2, tzinfo=UTC)


class Form(StrEnum):
    """The form of the answer."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


def predictions(
    ctx: typer.Context,
    name: Name,
    *,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME",
            help="From when on: how long ago, or a date or time.",
            show_default="1h; with --request, all that is kept",
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Until when, likewise.", show_default="now")
    ] = None,
    revision: Annotated[
        int | None, typer.Option("--revision", help="Whose predictions.", show_default="all of them", min=1)
    ] = None,
    request: Annotated[
        str | None,
        typer.Option("--request", metavar="ID", help="Only of this x-request-id.", show_default="all of them"),
    ] = None,
    outcome: Annotated[
        Came | None,
        typer.Option(
            "--outcome",
            help="Only those that came to a good or a bad outcome, of which the actual is known, or nothing is.",
            show_default="all of them",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", help="How many requests at most; the oldest.", min=1, max=100_000)
    ] = (1000),
    store: StoreOption = None,
    output: Annotated[
        Form,
        typer.Option(
            "--output", help="text for people; json for one document; csv for one line per row, with its outcome."
        ),
    ] = Form.TEXT,
) -> None:
    """Show logged predictions with what came of them.

    They are there when the deployment logs to the store (predictionLog.sink: store:). Outcomes are those that `outcomes
    send` told, by request id, whenever they were told. What was dropped or hashed stays so. CSV has inputs, outputs and
    what really was as columns, ready for the next training.

    $ tidegate predictions churn
    $ tidegate predictions churn --since 2026-11-01 --until 2026-12-01 --limit 100000 --output csv > november.csv
    $ tidegate predictions churn --since 24h --revision 3 --outcome bad --output json
    $ tidegate predictions churn --request 6f1c2f0e-7a54-4c9b-8b6e-0d3b1f8f3c55
    """
    from tidegate.store.administration import opened_as_is
    from tidegate.store.predictions import Wanted, logged

    now = datetime.now(UTC)
    if since is None:
        begins = now - timedelta(hours=1) if request is None else _LONG_AGO
    else:
        begins = moment_or_ago(since, "--since", now)
    ends = now if until is None else moment_or_ago(until, "--until", now)
    wanted = Wanted(name, begins, ends, revision, request, outcome)
    with opened_as_is(address_of_store(ctx, store)) as database:
        found = logged(database, wanted, limit)
    if output is Form.JSON:
        print_json({"deployment": name, "predictions": [_as_document(one) for one in found]})
    elif output is Form.CSV:
        _write_csv(found)
    elif not found:
        said = "" if begins == _LONG_AGO else f" from {begins:%Y-%m-%d %H:%M}"
        like = " that is like this" if request or revision or outcome else ""
        say(f"No prediction of {name}{like} was logged{said} to {ends:%Y-%m-%d %H:%M} UTC.")
    else:
        _print_table(found)


def _outcome(one: Prediction) -> str | None:
    return None if one.is_bad is None else "bad" if one.is_bad else "good"


def _as_document(one: Prediction) -> dict[str, Any]:
    return {
        "at": one.at.isoformat(),
        "request_id": one.request_id,
        "revision": one.revision,
        "rows": one.rows,
        "inputs": one.inputs,
        "outputs": one.outputs,
        "outcome": _outcome(one),
        "actual": one.actual,
        "outcome_at": None if one.outcome_at is None else one.outcome_at.isoformat(),
    }


def _write_csv(found: Sequence[Prediction]) -> None:
    """Write one line per row; a value that is no scalar is JSON, and one that is missing is empty."""
    actuals = [by_row(one.actual, one.rows) or {} if one.actual is not None else {} for one in found]
    columns = [
        *sorted({("inputs", name) for one in found for name in one.inputs}),
        *sorted({("outputs", name) for one in found for name in one.outputs}),
        *sorted({("actual", name) for actual in actuals for name in actual}),
    ]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    head = ["at", "request_id", "revision", "row", "outcome", "outcome_at"]
    writer.writerow([*head, *(side if name == UNNAMED else f"{side}.{name}" for side, name in columns)])
    for one, actual in zip(found, actuals, strict=True):
        happened = "" if one.outcome_at is None else one.outcome_at.isoformat()
        for row, values in enumerate(_rows(one, actual, columns)):
            facts = [one.at.isoformat(), one.request_id, one.revision, row, _outcome(one) or "", happened]
            writer.writerow([*facts, *values])
    sys.stdout.flush()
    misfits = sum(one.actual is not None and not actual for one, actual in zip(found, actuals, strict=True))
    if misfits:
        note(f"{misfits:,} actuals do not fit the rows of their requests and are left out; --output json has them.")


def _rows(one: Prediction, actual: Mapping[str, list[Any]], columns: Sequence[tuple[str, str]]) -> Iterator[list[Any]]:
    sides = {"inputs": one.inputs, "outputs": one.outputs, "actual": actual}
    lists = [sides[side].get(name) for side, name in columns]
    # What really was is known of every row, and of very many not all are logged.
    given = [*one.inputs.values(), *one.outputs.values()]
    logged = max((len(values) for values in given if isinstance(values, list)), default=0)
    for row in range(logged):
        yield [_cell(values[row]) if isinstance(values, list) and row < len(values) else "" for values in lists]


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _print_table(found: Sequence[Prediction]) -> None:
    from rich.text import Text

    from tidegate.cli.render import listing

    table = listing(is_terminal(), "AT", "REQUEST", "REVISION", "ROWS", "OUTCOME", "ACTUAL", "OUTPUTS")
    for one in found:
        outcome = Text(_outcome(one) or "", style="red" if one.is_bad else "green")
        actual = "" if one.actual is None else _short(one.actual, _SHORT)
        at = one.at.astimezone().isoformat(sep=" ", timespec="milliseconds")
        outputs = Text(_short(one.outputs, _SHOWN))
        table.add_row(at, Text(one.request_id), str(one.revision), str(one.rows), outcome, Text(actual), outputs)
    console().print(table)


def _short(value: Any, most: int) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= most else f"{text[: most - 1]}…"
