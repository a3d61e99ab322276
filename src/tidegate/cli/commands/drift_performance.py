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
    str,
    typer.Option(
        "--score", metavar="COLUMN", help="The model's probability of the positive answer.", show_default=False
    ),
]
Outcome = Annotated[
    str,
    typer.Option(
        "--outcome", metavar="COLUMN", help="What came of it: 1 or 0; empty where not known.", show_default=False
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
    """Estimate how well a classifier of two classes does, before outcomes are known.

    Calibrated scores tell how many answers are right. The outcomes of the reference say whether scores are calibrated,
    and calibrate them where they are not. Shown are accuracy, precision, recall, F1 and ROC AUC of the reference, what
    is expected now with a 95 % interval, and what is known where outcomes are. Exit code 9 when one has dropped.

    Rows that are harder than those of the reference are seen; that equal rows turn out otherwise is not.

    $ tidegate drift performance april.parquet july.parquet --score score --outcome late
    """
    from tidegate.drift.columns import column_of
    from tidegate.drift.files import read_columns
    from tidegate.drift.performance import Estimator
    from tidegate.drift.wording import performance_sentences

    known = read_columns(reference, [score, outcome])
    asked = read_columns(current)
    if score not in asked:
        raise InvalidInput(f"{current} has no column {score!r}", subject=str(current), expected=", ".join(asked))
    estimator = Estimator.of(column_of(known[score], score), column_of(known[outcome], outcome), threshold=threshold)
    came = column_of(asked[outcome], outcome) if outcome in asked else None
    found = estimator.estimate(column_of(asked[score], score), came, drop=drop)
    if output is Output.JSON:
        print_json(found.as_dict())
    else:
        console().print(_table(found))
        say("", *performance_sentences(found))
    return ExitCode.HAS_DRIFTED if found.state == "dropped" else ExitCode.OK


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
