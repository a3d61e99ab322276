"""`tidegate drift quality`: how right were a deployment's answers, by what really was, and are they less right now?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.commands.db import StoreOption, address_of_store
from tidegate.cli.commands.drift_performance import Drop
from tidegate.cli.exits import ExitCode
from tidegate.cli.moments import moment_or_ago, parsed_time
from tidegate.cli.options import Name, OutputOption
from tidegate.cli.output import Output, console, note, print_json, say
from tidegate.cli.quality_tables import Period, periods_table, quality_table
from tidegate.contract.errors import InvalidInput

if TYPE_CHECKING:
    from tidegate.drift.labelled import Labelled
    from tidegate.drift.sums import Rows
    from tidegate.store.predictions import Wanted

#: Requests of a window; of more the last are taken.
_MOST_REQUESTS = 200_000
_MOST_PERIODS = 400

Since = Annotated[str, typer.Option("--since", metavar="TIME", help="From when on: how long ago, or a date or time.")]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Until when.", show_default="now")]
Before = Annotated[
    str | None,
    typer.Option(
        "--reference",
        metavar="FROM..TO",
        help="What is compared with: two times, such as 37d..7d or 2026-10-01..2026-11-01.",
        show_default="as long a time right before",
    ),
]
Every = Annotated[
    str | None,
    typer.Option("--every", metavar="TIME", help="Also show each such part of the time, e.g. 1d.", show_default=False),
]
Revision = Annotated[int | None, typer.Option("--revision", help="Whose answers.", show_default="all of them", min=1)]
Answer = Annotated[
    str | None,
    typer.Option("--answer", metavar="OUTPUT", help="The output that is the answer.", show_default="prediction"),
]
Scores = Annotated[
    str | None,
    typer.Option(
        "--scores", metavar="OUTPUT", help="Probabilities of the classes.", show_default="probabilities, if there"
    ),
]
Classes = Annotated[
    str | None,
    typer.Option("--classes", metavar="NAMES", help="Of the scores, in order.", show_default="told by the answers"),
]
Positive = Annotated[
    str | None,
    typer.Option("--positive", metavar="CLASS", help="What precision and recall are of.", show_default="last of two"),
]
KindOption = Annotated[
    str | None,
    typer.Option("--kind", metavar="KIND", help="classes or numbers.", show_default="what answers look like"),
]
Rise = Annotated[str, typer.Option("--rise", metavar="SHARE", help="What an error may grow, of what it was.")]
Alpha = Annotated[
    str, typer.Option("--alpha", metavar="SHARE", help="The chance that anything is called worse where nothing is.")
]


def quality(
    ctx: typer.Context,
    name: Name,
    *,
    since: Since = "7d",
    until: Until = None,
    reference: Before = None,
    every: Every = None,
    revision: Revision = None,
    answer: Answer = None,
    scores: Scores = None,
    classes: Classes = None,
    positive: Positive = None,
    kind: KindOption = None,
    drop: Drop = 0.05,
    rise: Rise = "10%",
    alpha: Alpha = "1%",
    store: StoreOption = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Say how right logged answers were, by what really was, and whether they are less right than before.

    It takes predictions in the store (predictionLog.sink: store:), and what really was of their requests, told with
    `tidegate outcomes send` as `actual`. Shown are accuracy, precision, recall, F1, ROC AUC and log loss of classes
    (with more than two the means over classes), or MAE, RMSE and bias (answer less actual) of numbers, with 95 %
    intervals, of a reference and of now. Exit code 9 when one is worse by more than --drop or --rise, beyond chance.

    With fewer than 100 requests in either time, or ten rows of a class, nothing is said of it but how many would do.

    $ tidegate drift quality churn --since 7d
    $ tidegate drift quality churn --since 7d --reference 37d..7d --every 1d
    $ tidegate drift quality churn --since 2026-11-01 --until 2026-12-01 --reference 2026-10-01..2026-11-01
    """
    from tidegate.contract.quantities import Share
    from tidegate.drift.classes import rows_of
    from tidegate.drift.labelled import Choice, Kind, labelled, part
    from tidegate.drift.quality import Limits, compare, values_of
    from tidegate.drift.wording import quality_sentences
    from tidegate.store.predictions import Wanted

    now = datetime.now(UTC)
    begins, ends = moment_or_ago(since, "--since", now), now if until is None else moment_or_ago(until, "--until", now)
    _require_span(begins, ends, "--since, --until")
    before = (begins - (ends - begins), begins) if reference is None else _span(reference, now)
    edges = [] if every is None else _edges(begins, ends, every)
    limits = Limits(drop, Share.parse(rise, field="--rise").ratio, Share.parse(alpha, field="--alpha").ratio)
    if kind is not None and kind not in list(Kind):
        raise InvalidInput(f"there is no kind {kind!r}", subject="--kind", expected=" or ".join(Kind))
    named = tuple(one.strip() for one in classes.split(",")) if classes else ()
    choice = Choice(answer, scores, named, positive, None if kind is None else Kind(kind))
    wanted = [Wanted(name, *span, revision=revision) for span in (before, (begins, ends))]
    logged, found = _read(ctx, store, wanted)
    sides = [labelled(cases, choice) for cases in found]
    for side, words in zip(sides, ("the reference", "the time"), strict=True):
        _require_rows(side, words)
    rows = rows_of(sides, choice)
    told = compare(rows[0], rows[1], limits)
    parts = [(start, end, part(rows[1], sides[1].moments, start, end)) for start, end in pairwise(edges)]
    periods = [
        Period(start, end, 0, {}) if of is None else Period(start, end, len(of.requests), values_of(of))
        for start, end, of in parts
    ]
    misfits, twice = sum(side.misfits for side in sides), sum(side.twice for side in sides)
    if output is Output.JSON:
        times = {side: (one.since, one.until) for side, one in zip(("reference", "current"), wanted, strict=True)}
        print_json(
            {
                "deployment": name,
                **told.as_dict(),
                **_classes_of(rows[0]),
                "logged": {"reference": logged[0], "current": logged[1]},
                "times": {side: [moment.isoformat() for moment in span] for side, span in times.items()},
                "leftOut": {"misfits": misfits, "ambiguous": twice},
                "periods": [one.as_dict() for one in periods],
            }
        )
    else:
        console().print(quality_table(told))
        if periods:
            say("")
            console().print(periods_table([figure.name for figure in told.figures], periods))
        say("", *quality_sentences(told, logged, _classes_of(rows[0])["positive"]))
    if misfits:
        note(f"{misfits:,} actuals do not fit the answers of their requests and are left out.")
    if twice:
        note(f"{twice:,} ids were answered several times, each otherwise, and are left out.")
    return ExitCode.HAS_DRIFTED if told.state == "worse" else ExitCode.OK


def _read(ctx: typer.Context, store: str | None, wanted: Sequence[Wanted]) -> tuple[list[int], list[list[Any]]]:
    """Return for each time how many predictions were logged, and those of which what really was is known."""
    from tidegate.drift.labelled import Case
    from tidegate.store.administration import opened_as_is
    from tidegate.store.predictions import count, with_actual

    with opened_as_is(address_of_store(ctx, store)) as database:
        logged = [count(database, one) for one in wanted]
        found = [with_actual(database, one, _MOST_REQUESTS) for one in wanted]
    for one, number, known in zip(wanted, logged, found, strict=True):
        if len(known) == _MOST_REQUESTS:
            note(f"Of the requests from {_day(one.since)} on the last {_MOST_REQUESTS:,} with an actual are taken.")
        if not known:
            raise InvalidInput(
                f"nothing is known of what really was of requests from {_day(one.since)} to {_day(one.until)} UTC",
                subject=one.deployment,
                expected="logged predictions whose actual was told",
                got=f"{number:,} logged predictions",
                hint="log to the store (predictionLog), tell actuals with: tidegate outcomes send; see both with: "
                f"tidegate predictions {one.deployment} --outcome actual",
            )
    cases = [
        [Case(one.at, one.request_id, one.revision, one.rows, one.outputs, one.actual) for one in known]
        for known in found
    ]
    return logged, cases


def _require_rows(side: Labelled, words: str) -> None:
    if not side.answers:
        raise InvalidInput(
            f"no actual of {words} fits the answer of its request",
            subject=side.answer,
            expected="one value for each row of the request, or an object by the name of the output",
            hint="name the answer with --answer; see both with: tidegate predictions NAME --outcome actual",
        )


def _span(text: str, now: datetime) -> tuple[datetime, datetime]:
    first, dots, last = text.partition("..")
    if not dots:
        expected = "two times, such as 37d..7d or 2026-10-01..2026-11-01"
        raise InvalidInput(f'--reference: expected {expected}, got "{text}"', subject="--reference", expected=expected)
    span = moment_or_ago(first, "--reference", now), moment_or_ago(last, "--reference", now)
    _require_span(*span, "--reference")
    return span


def _require_span(begins: datetime, ends: datetime, flag: str) -> None:
    if not begins < ends:
        raise InvalidInput(
            f"{flag}: the time ends before it begins", subject=flag, got=f"{_day(begins)} to {_day(ends)} UTC"
        )


def _edges(begins: datetime, ends: datetime, every: str) -> list[datetime]:
    step = parsed_time(every, "--every")
    if (ends - begins) / step > _MOST_PERIODS:
        raise InvalidInput(
            "--every: too many parts", subject="--every", expected=f"at most {_MOST_PERIODS} of them", got=every
        )
    edges = [begins]
    while edges[-1] < ends:
        edges.append(min(ends, edges[-1] + step))
    return edges


def _classes_of(rows: Rows) -> dict[str, Any]:
    """Return the classes, and which one precision, recall and F1 are of; nothing for numbers."""
    from tidegate.drift.sums import NumberRows

    if isinstance(rows, NumberRows):
        return {"classes": [], "positive": None}
    return {"classes": list(rows.classes), "positive": None if rows.positive is None else rows.classes[rows.positive]}


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
