"""`tidegate drift watch`: is what a deployment is asked and answers still like its reference?"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from tidegate.cli.commands.drift import (
    Alpha,
    Columns,
    Large,
    Moderate,
    ReferenceFile,
    column_names,
    policy_of,
    readings_table,
)
from tidegate.cli.exits import ExitCode
from tidegate.cli.options import Name, OutputOption
from tidegate.cli.output import Output, console, note, print_json, say
from tidegate.cli.session import connect
from tidegate.contract.errors import Conflict, InvalidInput

if TYPE_CHECKING:
    from tidegate.client import Client
    from tidegate.drift import ColumnReading, Reading
    from tidegate.drift.watch import Watch

#: Between two questions to the controller: replicas count for ten seconds after each.
_ASK_SECONDS = 2.0

Interval = Annotated[str, typer.Option("--interval", metavar="TIME", help="Between two readings.")]
Period = Annotated[str, typer.Option("--period", metavar="TIME", help="A reading is of what was counted in so long.")]
Once = Annotated[
    bool, typer.Option("--once", metavar="", help="Count for one interval, tell one reading, and end with its code.")
]


def watch(
    ctx: typer.Context,
    name: Name,
    reference: ReferenceFile,
    *,
    once: Once = False,
    interval: Interval = "10s",
    period: Period = "1h",
    columns: Columns = None,
    moderate: Moderate = 0.1,
    large: Large = 0.25,
    alpha: Alpha = "1%",
    output: OutputOption = Output.TEXT,
) -> int:
    """Compare what a deployment is asked and answers with a reference, again and again.

    The replicas of the stable revision count one row of each of some 200 requests a second, in the background; counts
    of all of them, over the --period, are put into the bins of the reference. Inputs go by their names, outputs as
    `tidegate report` calls them. The first reading is told whole, later ones where something changed, until Ctrl-C.
    All readings together raise a false alarm with a chance of --alpha at most, however many there are.

    With --once the exit code is that of `drift check`: 9 when there is drift.

    $ tidegate drift watch churn reference.json
    $ tidegate drift watch churn reference.json --once --interval 1m --output json
    """
    from tidegate.contract.quantities import Duration
    from tidegate.drift.files import read_reference
    from tidegate.drift.watch import Watch

    if output is Output.JSON and not once:
        raise InvalidInput("a watch has no end, and --output json is one document", hint="give --once, too")
    seconds = Duration.parse(interval, field="--interval").seconds
    watched = read_reference(reference, column_names(columns))
    started = Watch(watched, Duration.parse(period, field="--period").seconds, policy_of(moderate, large, alpha))
    with connect(ctx) as client:
        readings = _readings(client, name, started, seconds, once=once)
        if once:
            return _told(next(readings), name, seconds, output)
        last: dict[str, ColumnReading] = {}
        for reading in readings:
            last = _tell(reading, last)
    return ExitCode.OK


def _readings(client: Client, name: str, started: Watch, seconds: float, *, once: bool) -> Iterator[Reading | None]:
    """Yield a reading every so many seconds, None while nothing was counted."""
    reader, revision = f"drift-{uuid4().hex}", None
    due = time.monotonic() + seconds
    while True:
        told = client.counts(name, reader)
        if revision is not None and told["revision"] != revision:
            note(f"revision {told['revision']} serves now: counting begins anew")
            started.clear()
        revision = told["revision"]
        for one in told["counted"]:
            started.add(time.monotonic(), int(one["requests"]), _sketches(one))
        now = time.monotonic()
        if now < due:
            time.sleep(min(_ASK_SECONDS, due - now))
            continue
        due = now + seconds
        yield started.whole() if once else started.reading()


def _sketches(counted: Mapping[str, Any]) -> dict[str, Any]:
    from tidegate.contract.sketch import Sketch

    columns = {**counted["outputs"], **counted["inputs"]}
    return {name: Sketch.from_plain(plain) for name, plain in columns.items()}


def _told(reading: Reading | None, name: str, seconds: float, output: Output) -> int:
    if reading is None:
        raise Conflict(
            f"nothing that the reference knows was counted of {name!r} within {seconds:g} s",
            subject=name,
            expected="requests, and columns of the reference among what the model takes or answers",
            hint=f"tidegate status {name} tells whether it is asked; --interval gives it more time",
        )
    if output is Output.JSON:
        print_json(reading.as_dict())
    else:
        _show(reading)
    return ExitCode.HAS_DRIFTED if reading.state in ("moderate", "large") else ExitCode.OK


def _tell(reading: Reading | None, last: dict[str, ColumnReading]) -> dict[str, ColumnReading]:
    """Tell the first reading, and of later ones what changed; return it by column."""
    from tidegate.drift.wording import chance

    if reading is None:
        if not last:
            note("nothing was counted yet")
        return last
    if not last:
        _show(reading)
    for column in reading.columns if last else ():
        before = last.get(column.name)
        if before is None or before.state != column.state:
            say(
                f"{datetime.now().astimezone():%H:%M:%S}  {reading.rows:,} requests  {column.name}: "
                f"{'not counted' if before is None else before.state} → {column.state} "
                f"(PSI {column.psi:.3f}, chance {chance(column.chance)})"
            )
    return {column.name: column for column in reading.columns}


def _show(reading: Reading) -> None:
    from tidegate.drift.wording import sentences

    console().print(readings_table(reading))
    say("", *sentences(reading))
