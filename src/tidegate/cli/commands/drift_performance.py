"""`tidegate drift performance`: does a classifier still answer as well, as far as its scores tell?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.commands.drift import DATA
from tidegate.cli.exits import ExitCode
from tidegate.cli.options import OutputOption
from tidegate.cli.output import Output, console, print_json, say
from tidegate.contract.errors import InvalidInput

if TYPE_CHECKING:
    from rich.table import Table

    from tidegate.drift.performance import Performance

_STYLES = {"dropped": "bold red", "inconclusive": "dim", "kept": "green"}

Reference = Annotated[
    Path,
    typer.Argument(
        metavar="REFERENCE",
        help=f"Rows that the model was not trained on, with scores and outcomes: {DATA}",
        show_default=False,
    ),
]
Current = Annotated[
    Path,
    typer.Argument(
        metavar="CURRENT", help=f"Rows with scores, and with outcomes where they are known: {DATA}", show_default=False
    ),
]
Score = Annotated[
    list[str],
    typer.Option(
        "--score",
        metavar="COLUMN",
        help="The model's probability of the positive answer; or CLASS=COLUMN for each class.",
        show_default=False,
    ),
]
Outcome = Annotated[
    str,
    typer.Option(
        "--outcome",
        metavar="COLUMN",
        help="What came of it: 1 or 0, or the class; empty where not known.",
        show_default=False,
    ),
]
Threshold = Annotated[float, typer.Option("--threshold", metavar="SCORE", help="From here on the answer is positive.")]
Drop = Annotated[float, typer.Option("--drop", metavar="NUMBER", help="What a figure may lose.")]


def performance(
    reference: Reference,
    current: Current,
    score: Score,
    outcome: Outcome,
    *,
    threshold: Threshold = 0.5,
    drop: Drop = 0.05,
    output: OutputOption = Output.TEXT,
) -> int:
    """Estimate how well a classifier does, before outcomes are known.

    Calibrated scores tell how many answers are right. The outcomes of the reference say whether scores are calibrated,
    and calibrate them where they are not. Shown are accuracy, precision, recall, F1 and ROC AUC of the reference, what
    is expected now with a 95 % interval, and what is known where outcomes are. Exit code 9 when one has dropped.

    Rows that are harder than those of the reference are seen; that equal rows turn out otherwise is not.

    With several classes the answer is the one with the highest score, and precision, recall, F1 and ROC AUC are means
    over the classes. With two the second is the positive one.

    $ tidegate drift performance april.parquet july.parquet --score score --outcome late
    $ tidegate drift performance april.csv july.csv --score car=p0 --score bus=p1 --score bike=p2 --outcome was
    """
    from tidegate.drift.columns import column_of
    from tidegate.drift.files import read_columns
    from tidegate.drift.multiclass import estimate_classes
    from tidegate.drift.performance import Estimator
    from tidegate.drift.wording import performance_sentences

    columns = _columns(score)
    known = read_columns(reference, [*dict.fromkeys(columns.values()), outcome])
    asked = read_columns(current)
    for column in columns.values():
        if column not in asked:
            raise InvalidInput(f"{current} has no column {column!r}", subject=str(current), expected=", ".join(asked))
    before, now = (
        {name: column_of(table[column], column) for name, column in columns.items()} for table in (known, asked)
    )
    came = column_of(asked[outcome], outcome) if outcome in asked else None
    learnt = column_of(known[outcome], outcome)
    if len(columns) == 1:
        (one,) = columns
        found = Estimator.of(before[one], learnt, threshold=threshold).estimate(now[one], came, drop=drop)
    else:
        found = estimate_classes((before, learnt), (now, came), drop=drop)
    if output is Output.JSON:
        print_json(found.as_dict())
    else:
        console().print(_table(found))
        say("", *performance_sentences(found))
    return ExitCode.HAS_DRIFTED if found.state == "dropped" else ExitCode.OK


def _columns(scores: list[str]) -> dict[str, str]:
    """Return the columns of the scores by class; of the positive answer alone under no name."""
    if len(scores) == 1:
        return {"": scores[0]}
    pairs = [one.partition("=") for one in scores]
    columns = {name: column for name, sign, column in pairs if sign and name and column}
    if len(columns) < len(scores):
        raise InvalidInput(
            "--score: expected CLASS=COLUMN for each class, and each class once",
            subject="--score",
            expected="one COLUMN, or CLASS=COLUMN several times",
            got=", ".join(scores)[:200],
        )
    return columns


def _table(found: Performance) -> Table:
    from rich.table import Table
    from rich.text import Text

    from tidegate.drift.wording import FIGURE_NAMES, share, span

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("figure")
    table.add_column("drop")
    for name in ("reference", "expected", "95 %", "known"):
        table.add_column(name, justify="right")
    for figure in found.figures:
        table.add_row(
            FIGURE_NAMES[figure.name],
            Text(figure.state, style=_STYLES[figure.state]),
            share(figure.reference),
            share(figure.estimate),
            span(figure.interval),
            share(figure.realised),
        )
    return table
