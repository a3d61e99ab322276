"""`tidegate drift`: has data drifted from what a model was trained on?"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.exits import ExitCode
from tidegate.cli.options import OutputOption
from tidegate.cli.output import Output, console, print_json, say
from tidegate.contract.errors import InvalidInput

if TYPE_CHECKING:
    from rich.table import Table

    from tidegate.drift import Policy, Reading

DATA = "CSV, JSON lines or Parquet, with named columns."

Columns = Annotated[
    str | None,
    typer.Option("--columns", metavar="NAMES", help="Only these, with commas.", show_default="all of the reference"),
]
ReferenceFile = Annotated[
    Path,
    typer.Argument(
        metavar="REFERENCE",
        help=f"What is compared with: {DATA} Or what `drift reference` wrote.",
        show_default=False,
    ),
]
CurrentFile = Annotated[Path, typer.Argument(metavar="CURRENT", help=DATA, show_default=False)]
Together = Annotated[
    bool,
    typer.Option("--together", help="Also compare all columns at once. REFERENCE is data then; takes scikit-learn."),
]
Moderate = Annotated[float, typer.Option("--moderate", metavar="PSI", help="From here on a change is drift.")]
Large = Annotated[float, typer.Option("--large", metavar="PSI", help="From here on it is large.")]
Alpha = Annotated[
    str, typer.Option("--alpha", metavar="SHARE", help="The chance that anything is called drift where there is none.")
]


def check(
    reference: ReferenceFile,
    current: CurrentFile,
    *,
    columns: Columns = None,
    together: Together = False,
    moderate: Moderate = 0.1,
    large: Large = 0.25,
    alpha: Alpha = "1%",
    output: OutputOption = Output.TEXT,
) -> int:
    """Compare data with its reference, column by column.

    The measure is the population stability index (PSI) over bins that the reference fixes: as many rows in each of ten,
    or one for each level, and bins for what is missing and what is new. A change is drift when its PSI reaches the
    threshold and is more than chance does with so few rows and so many columns. Exit code 9 when there is drift.

    With --together a classifier tries to tell current rows from those of the reference, by all columns at once: it
    sees columns that go together in another way, each being as before. Half of --alpha is for it, then.

    $ tidegate drift check january.parquet july.parquet
    $ tidegate drift check january.parquet july.parquet --together
    $ tidegate drift check reference.json today.csv --output json
    """
    from tidegate.drift.wording import sentences

    reading = _compared(reference, current, columns, (moderate, large, alpha), together=together)
    if output is Output.JSON:
        print_json(reading.as_dict())
    else:
        console().print(readings_table(reading))
        say("", *sentences(reading))
    return ExitCode.HAS_DRIFTED if reading.state in ("moderate", "large") else ExitCode.OK


def report(
    reference: ReferenceFile,
    current: CurrentFile,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write the page.", show_default=False)],
    *,
    columns: Columns = None,
    together: Together = False,
    moderate: Moderate = 0.1,
    large: Large = 0.25,
    alpha: Alpha = "1%",
    output: OutputOption = Output.TEXT,
) -> None:
    """Compare data with its reference, and write a page with a plot of each column.

    The page is one HTML file that loads nothing. Exit code 0, drift or none.

    $ tidegate drift report january.parquet july.parquet --out drift.html
    """
    from tidegate.drift.page import html
    from tidegate.drift.wording import sentences

    reading = _compared(reference, current, columns, (moderate, large, alpha), together=together)
    page = html(reading, reference=reference.name, current=current.name, at=datetime.now(UTC))
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as wrong:
        raise InvalidInput(f"{out} cannot be written: {wrong.strerror}", subject=str(out)) from wrong
    if output is Output.JSON:
        print_json({"file": str(out), "state": str(reading.state)})
    else:
        say(*sentences(reading), f"Written: {out}")


def reference(
    data: Annotated[Path, typer.Argument(metavar="DATA", help=DATA, show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write it, as JSON.", show_default=False)],
    *,
    columns: Columns = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Write down what later data is compared with, so that the data itself is not needed again.

    It holds bins and counts, and of each column of numbers at most 10,000 of them.

    $ tidegate drift reference january.parquet --out reference.json
    """
    from tidegate.drift import Reference
    from tidegate.drift.files import read_columns, write_reference

    made = Reference.of(read_columns(data, column_names(columns)))
    write_reference(made, out)
    if output is Output.JSON:
        print_json(
            {"file": str(out), "rows": made.rows, "columns": sorted(made.columns), "skipped": dict(made.skipped)}
        )
        return
    say(f"{out}: {len(made.columns)} columns of {made.rows:,} rows.")
    say(*(f"  without {name}: {why}" for name, why in made.skipped.items()))
    say(f"Next: tidegate drift check {out} DATA")


def _compared(
    reference: Path, current: Path, columns: str | None, limits: tuple[float, float, str], *, together: bool
) -> Reading:
    from tidegate.drift import Reference, compare_together
    from tidegate.drift.files import read_columns, read_reference

    policy = policy_of(*limits)
    if not together:
        return read_reference(reference, column_names(columns)).compare(read_columns(current), policy)
    if reference.suffix.lower() == ".json":
        raise InvalidInput(
            "columns are compared together with data, and a written reference holds none",
            subject=str(reference),
            expected=f"the data that it was made of: {DATA}",
        )
    # Either comparison alone may take its half of the chance of a false alarm.
    policy = replace(policy, alpha=policy.alpha / 2)
    before, now = read_columns(reference, column_names(columns)), read_columns(current)
    known = Reference.of(before)
    both = compare_together({name: before[name] for name in known.columns}, now, policy)
    return replace(known.compare(now, policy), together=both)


def policy_of(moderate: float, large: float, alpha: str) -> Policy:
    """Return from when a change is drift. Raises InvalidInput for limits that make no sense."""
    from tidegate.contract.problems import shown
    from tidegate.contract.quantities import Share
    from tidegate.drift import Policy

    try:
        chance = Share.parse(alpha).ratio
    except InvalidInput:
        chance = 0.0
    if not 0 < chance < 1:
        expected = 'a share above 0% and below 100%, such as "1%"'
        got = shown(alpha)
        raise InvalidInput(f"--alpha: expected {expected}, got {got}", subject="--alpha", expected=expected, got=got)
    return Policy(moderate, large, chance)


def column_names(columns: str | None) -> list[str]:
    """Return the names between commas; none for all."""
    return [] if columns is None else [name.strip() for name in columns.split(",") if name.strip()]


def readings_table(reading: Reading) -> Table:
    """Return a line for each column."""
    from rich.table import Table

    from tidegate.cli.drift_lines import state_text
    from tidegate.drift.wording import chance, change

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, right in (
        ("column", False),
        ("drift", False),
        ("PSI", True),
        ("chance", True),
        ("KS", True),
        ("missing", True),
        ("unseen", True),
    ):
        table.add_column(name, justify="right" if right else "left")
    for column in reading.columns:
        table.add_row(
            column.name,
            state_text(column.state),
            f"{column.psi:.3f}",
            chance(column.chance),
            "" if column.kolmogorov_smirnov is None else f"{column.kolmogorov_smirnov:.3f}",
            change(*column.missing),
            change(*column.unseen),
        )
    return table
