"""`tidegate predictions`: the prediction log, read back from the store; no controller is needed."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.commands.db import StoreOption, address_of_store
from tidegate.cli.moments import moment_or_ago
from tidegate.cli.options import Name
from tidegate.cli.output import console, is_terminal, print_json, say

if TYPE_CHECKING:
    from tidegate.store.predictions import Prediction

_SHOWN = 60


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
        str, typer.Option("--since", metavar="TIME", help="From when on: how long ago, or a date or time.")
    ] = "1h",
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Until when, likewise.", show_default="now")
    ] = None,
    revision: Annotated[
        int | None, typer.Option("--revision", help="Whose predictions.", show_default="all of them", min=1)
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
    send` told, by request id. What was dropped or hashed stays so. CSV has the inputs and outputs as columns, ready for
    the next training.

    $ tidegate predictions churn
    $ tidegate predictions churn --since 2026-11-01 --until 2026-12-01 --limit 100000 --output csv > november.csv
    $ tidegate predictions churn --since 24h --revision 3 --output json
    """
    from tidegate.store.administration import opened_as_is
    from tidegate.store.predictions import logged

    now = datetime.now(UTC)
    begins = moment_or_ago(since, "--since", now)
    ends = now if until is None else moment_or_ago(until, "--until", now)
    with opened_as_is(address_of_store(ctx, store)) as database:
        found = logged(database, name, since=begins, until=ends, revision=revision, limit=limit)
    if output is Form.JSON:
        print_json({"deployment": name, "predictions": [_as_document(one) for one in found]})
    elif output is Form.CSV:
        _write_csv(found)
    elif not found:
        say(f"No predictions of {name} were logged from {begins:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M} UTC.")
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
        "outcome_at": None if one.outcome_at is None else one.outcome_at.isoformat(),
        "observations": list(one.observations),
    }


def _write_csv(found: Sequence[Prediction]) -> None:
    """Write one line per row; a value that is no scalar is JSON, and one that is missing is empty."""
    columns = [
        *sorted({("inputs", name) for one in found for name in one.inputs}),
        *sorted({("outputs", name) for one in found for name in one.outputs}),
    ]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    head = ["at", "request_id", "revision", "row", "outcome", "outcome_at"]
    writer.writerow([*head, *(f"{side}.{name}" for side, name in columns)])
    for one in found:
        happened = "" if one.outcome_at is None else one.outcome_at.isoformat()
        for row, values in enumerate(_rows(one, columns)):
            facts = [one.at.isoformat(), one.request_id, one.revision, row, _outcome(one) or "", happened]
            writer.writerow([*facts, *values])
    sys.stdout.flush()


def _rows(one: Prediction, columns: Sequence[tuple[str, str]]) -> Iterator[list[Any]]:
    sides = {"inputs": one.inputs, "outputs": one.outputs}
    lists = [sides[side].get(name) for side, name in columns]
    logged = max((len(values) for values in lists if isinstance(values, list)), default=0)
    for row in range(logged):
        yield [_cell(values[row]) if isinstance(values, list) and row < len(values) else "" for values in lists]


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _print_table(found: Sequence[Prediction]) -> None:
    from rich.text import Text

    from tidegate.cli.render import listing

    table = listing(is_terminal(), "AT", "REQUEST", "REVISION", "ROWS", "OUTCOME", "OUTPUTS")
    for one in found:
        outputs = json.dumps(one.outputs, ensure_ascii=False)
        shown = outputs if len(outputs) <= _SHOWN else f"{outputs[: _SHOWN - 1]}…"
        outcome = Text(_outcome(one) or "", style="red" if one.is_bad else "green")
        at = one.at.astimezone().isoformat(sep=" ", timespec="milliseconds")
        table.add_row(at, Text(one.request_id), str(one.revision), str(one.rows), outcome, Text(shown))
    console().print(table)
