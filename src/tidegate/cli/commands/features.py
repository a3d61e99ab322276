"""`tidegate features`: the feature store, from the shell; it asks the database itself and needs no controller."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.exits import ExitCode
from tidegate.cli.options import By, OutputOption
from tidegate.cli.output import Output, console, is_terminal, note, print_json, say
from tidegate.cli.session import home_of, login_name
from tidegate.contract.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from tidegate.features import FeatureStore, Found

#: How often a log is told how far a load is.
_SECONDS_BETWEEN_LINES = 30.0
_LARGEST_SCHEMA_FILE = 1024 * 1024
_SHOWN_OF_A_VECTOR = 160


class Form(StrEnum):
    """The form of a file of rows."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


ViewName = Annotated[str, typer.Argument(metavar="VIEW", help="The feature view.", show_default=False)]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="STORE",
        help="A SQLite file, or postgresql://USER@HOST/DATABASE without a password.",
        show_default="TIDEGATE_STORE, else tidegate.db in the home",
    ),
]
EntityColumn = Annotated[
    str | None,
    typer.Option(
        "--entity-column", metavar="NAME", help="The column with the entity.", show_default="the view's entity"
    ),
]
TimeColumn = Annotated[
    str, typer.Option("--time-column", metavar="NAME", help="The column with the time; without a zone it is UTC.")
]
KnownAt = Annotated[
    str | None,
    typer.Option(
        "--known-at",
        metavar="TIME",
        help="Leave out what was written later, so that the answer is the one of that time; without a zone it is UTC.",
        show_default=False,
    ),
]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most this many.")]


def create(
    ctx: typer.Context,
    name: ViewName,
    *,
    entity: Annotated[
        str,
        typer.Option(
            "--entity",
            metavar="COLUMN",
            help="What its entities are, such as customer: the column that holds their keys.",
            show_default=False,
        ),
    ],
    schema: Annotated[
        Path | None,
        typer.Option(
            "--schema",
            metavar="FILE",
            help="A JSON Schema that each vector is to match; it may refer to no other file.",
            show_default="any object will do",
        ),
    ] = None,
    by: By = None,
    store: StoreOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make a feature view: a name for vectors of one kind of entity.

    A vector is a JSON object, true of its entity from some time on. Without a schema any object is taken, and what the
    vectors hold is seen when they are read.

    $ tidegate features create customers --entity customer
    $ tidegate features create customers --entity customer --schema customers.schema.json
    """
    from tidegate.features import FeatureStore

    document = None if schema is None else _schema_in(schema)
    with FeatureStore.at(store, home_of(ctx), make=True) as opened:
        made = opened.create(name, entity, document, by=by or login_name() or "")
    if output is Output.JSON:
        print_json(_plain(made))
        return
    say(f"The feature view {made.name} is there, of {made.entity}.")
    say(f"Next: tidegate features load {made.name} FILE, with the columns {made.entity}, at, and one for each feature")


def list_(ctx: typer.Context, *, store: StoreOption = None, output: OutputOption = Output.TEXT) -> None:
    """Show the feature views.

    $ tidegate features list
    $ tidegate features list --output json | jq '.views[].name'
    """
    with _opened(ctx, store) as opened:
        found = opened.views()
    if output is Output.JSON:
        print_json({"views": [_plain(one) for one in found]})
        return
    if not found:
        say("There are no feature views. Make one: tidegate features create NAME --entity COLUMN")
        return
    rows = [
        (one.name, one.entity, "any object" if one.schema is None else "checked", _time(one.loaded_at)) for one in found
    ]
    _print_table(("view", "entity", "schema", "loaded"), rows)


def show(ctx: typer.Context, name: ViewName, *, store: StoreOption = None, output: OutputOption = Output.TEXT) -> None:
    """Show a feature view, and how much it holds. It counts, which takes a while for millions of vectors.

    $ tidegate features show customers
    """
    with _opened(ctx, store) as opened:
        view, held = opened.view(name), opened.holdings(name)
    if output is Output.JSON:
        print_json({**_plain(view), "holdings": _plain(held)})
        return
    _print_facts(
        ("view", view.name),
        ("entity", view.entity),
        ("created", f"{_time(view.created_at)} by {view.created_by or 'somebody'}"),
        ("loaded", _time(view.loaded_at)),
        ("entities", f"{held.entities:,}"),
        ("vectors", f"{held.vectors:,}" + (f", of {_time(held.first)} to {_time(held.last)}" if held.vectors else "")),
        ("quarantined", _many(held.quarantined, "row")),
        ("schema", "any object" if view.schema is None else ""),
    )
    if view.schema is not None:
        say(json.dumps(view.schema, indent=2, ensure_ascii=False))


def load(
    ctx: typer.Context,
    name: ViewName,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="JSON lines, CSV or Parquet; - for standard input, with --format.", show_default=False
        ),
    ],
    *,
    form: Annotated[
        Form | None, typer.Option("--format", help="The form of the file.", show_default="by its name")
    ] = None,
    entity_column: EntityColumn = None,
    time_column: TimeColumn = "at",
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help="The time of rows that hold none; without a zone it is UTC.",
            show_default="each row must hold its own",
        ),
    ] = None,
    most_refused: Annotated[
        int, typer.Option("--most-refused", metavar="N", min=0, help="With more bad rows nothing is loaded.")
    ] = 10_000,
    store: StoreOption = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Load vectors into a view: all good rows of a file, or, where anything goes wrong, none.

    A row holds the entity, the time from which on it is true, and features. Rows may come in any order: the newest
    vector of an entity is the one that is looked up. A row for a time that is on record corrects it; to load a file
    again changes no vector. A bad row goes to the quarantine with the reason; the exit code is then 2.

    $ tidegate features load customers customers.parquet
    $ tidegate features load customers today.csv --time-column day
    $ tidegate features load customers - --format jsonl
    """
    source = _standard_input(form) if file == "-" else Path(file)
    moment = None if at is None else _moment(at, "--at")
    progress = _Progress()
    with _opened(ctx, store) as opened:
        done = opened.load(
            name,
            source,
            form=None if form is None else form.value,
            entity_column=entity_column,
            time_column=time_column,
            at=moment,
            most_refused=most_refused,
            progress=progress.of_load,
        )
    progress.over()
    if output is Output.JSON:
        reasons = [{"position": position, "reason": reason} for position, reason in done.reasons]
        print_json({"view": name, **_plain(done), "reasons": reasons})
    else:
        say(
            f"{_many(done.read, 'row')} read: {_many(done.written, 'vector')} written, {done.unchanged:,} unchanged, "
            f"{done.quarantined:,} in quarantine.",
            f"Entities with another newest vector now: {done.newest:,}.",
        )
    for position, reason in done.reasons:
        note(f"row {position}: {reason}")
    if done.quarantined > len(done.reasons):
        note(f"… and {done.quarantined - len(done.reasons):,} more: tidegate features quarantine {name}")
    return ExitCode.BAD_INPUT if done.quarantined else ExitCode.OK


def get(
    ctx: typer.Context,
    name: ViewName,
    entities: Annotated[list[str], typer.Argument(metavar="ENTITY...", help="Keys of entities.", show_default=False)],
    *,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            metavar="TIME",
            help="What was true then; without a zone it is UTC.",
            show_default="the newest",
        ),
    ] = None,
    known_at: KnownAt = None,
    store: StoreOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Look up vectors by entity, in one question to the database: the newest, or those of a time.

    --as-of asks what was true at a time, by all that is known today; --known-at what was known at a time, before later
    corrections. Both may be given.

    $ tidegate features get customers 42
    $ tidegate features get customers 42 43 --as-of 2026-06-30 --output json
    """
    true_at = None if as_of is None else _moment(as_of, "--as-of")
    known = None if known_at is None else _moment(known_at, "--known-at")
    with _opened(ctx, store) as opened:
        found = opened.get(name, entities, true_at=true_at, known_at=known)
    if not found:
        raise NotFound(
            f"{name!r} has no vector of {', '.join(map(repr, entities[:5]))}"
            + ("" if true_at is None and known is None else " at that time"),
            subject=name,
            hint=f"all that was loaded of one: tidegate features history {name} ENTITY",
        )
    if output is Output.JSON:
        vectors = {key: None if (one := found.get(key)) is None else _vector(one) for key in entities}
        print_json({"view": name, "entities": vectors})
        return
    for key in entities:
        one = found.get(key)
        say(f"{key}  (no vector)" if one is None else f"{key}  {_time(one.at)}  {_text(one.vector)}")


def history(
    ctx: typer.Context,
    name: ViewName,
    entity: Annotated[str, typer.Argument(metavar="ENTITY", help="Key of an entity.", show_default=False)],
    *,
    limit: Limit = 100,
    store: StoreOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show all vectors of an entity, the latest first: from when on each is true, and when it was written.

    Of several for one time the first is the one that holds; the others are what it corrected.

    $ tidegate features history customers 42
    """
    with _opened(ctx, store) as opened:
        found = opened.history(name, entity, limit)
    if not found:
        raise NotFound(f"{name!r} has no vector of {entity!r}", subject=entity)
    if output is Output.JSON:
        print_json({"view": name, "entity": entity, "vectors": [_vector(one) for one in found]})
        return
    rows = [(_time(one.at), _time(one.written_at), _text(one.vector)) for one in found]
    _print_table(("true from", "written", "vector"), rows)


def training_set(
    ctx: typer.Context,
    name: ViewName,
    labels: Annotated[
        Path,
        typer.Argument(
            metavar="LABELS", help="CSV or Parquet, each row with an entity and a time.", show_default=False
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Where to write it: CSV or Parquet.", show_default=False)
    ],
    *,
    entity_column: EntityColumn = None,
    time_column: TimeColumn = "at",
    features: Annotated[
        str | None,
        typer.Option("--features", metavar="NAMES", help="Only these, with commas.", show_default="all of the vectors"),
    ] = None,
    prefix: Annotated[
        str, typer.Option("--prefix", metavar="TEXT", help="What the columns of features begin with.")
    ] = "",
    known_at: KnownAt = None,
    known_then: Annotated[
        bool,
        typer.Option(
            "--known-then",
            metavar="",
            help="Leave out what was written later than the label's own time, too.",
            show_default=False,
        ),
    ] = False,
    store: StoreOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Join labels with features as they were at each label's time: never one that became true later.

    A model that is trained with what it could not know yet looks better than it is. For each label this takes the
    newest vector at or before its time; where there is none, its features are empty. To add features of another view,
    give the result as LABELS.

    $ tidegate features training-set customers churned.csv --out training.parquet
    $ tidegate features training-set customers churned.csv --out training.csv --known-at 2026-06-30
    """
    known = None if known_at is None else _moment(known_at, "--known-at")
    progress = _Progress()
    with _opened(ctx, store) as opened:
        made = opened.training_set(
            name,
            labels,
            out,
            entity_column=entity_column,
            time_column=time_column,
            features=None if features is None else [one.strip() for one in features.split(",") if one.strip()],
            prefix=prefix,
            known_at=known,
            known_then=known_then,
            progress=progress.of_rows,
        )
    progress.over()
    if output is Output.JSON:
        print_json({"file": str(out), **_plain(made)})
        return
    say(f"{out}: {_many(made.rows, 'row')}, {made.matched:,} with a vector, {_many(len(made.features), 'feature')}.")
    if made.matched < made.rows:
        note(f"Without features, since there was no vector at that time: {_many(made.rows - made.matched, 'label')}.")


def quarantine(
    ctx: typer.Context,
    name: ViewName,
    *,
    limit: Limit = 100,
    store: StoreOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show rows that were refused when they were loaded, and why; those that came last first.

    $ tidegate features quarantine customers
    $ tidegate features quarantine customers --output json | jq -r '.rows[].reason' | sort | uniq -c
    """
    with _opened(ctx, store) as opened:
        found = opened.quarantine(name, limit)
    if output is Output.JSON:
        print_json({"view": name, "rows": [_plain(one) for one in found]})
        return
    if not found:
        say(f"No row of {name} is in quarantine.")
        return
    rows = [(_time(one.received_at), one.source, str(one.position), one.entity, one.reason) for one in found]
    _print_table(("received", "source", "row", "entity", "reason"), rows)


class _Progress:
    """Tells how far it is: in a terminal in place, in a log by a line now and then."""

    def __init__(self) -> None:
        self._in_place = is_terminal(stderr=True)
        self._next = 0.0 if self._in_place else time.monotonic() + _SECONDS_BETWEEN_LINES

    def of_load(self, read: int | None, refused: int) -> None:
        if read is not None:
            self._tell(f"{read:,} rows read, {refused:,} refused")
        elif self._in_place:
            self._next = 0.0
            self._tell("all rows read; merging them …")

    def of_rows(self, rows: int) -> None:
        self._tell(f"{rows:,} rows written")

    def over(self) -> None:
        if self._in_place:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()

    def _tell(self, words: str) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        if self._in_place:
            self._next = now + 0.1
            sys.stderr.write(f"\r\033[K{words}")
            sys.stderr.flush()
        else:
            self._next = now + _SECONDS_BETWEEN_LINES
            note(words)


def _opened(ctx: typer.Context, store: str | None) -> FeatureStore:
    from tidegate.features import FeatureStore

    return FeatureStore.at(store, home_of(ctx))


def _standard_input(form: Form | None) -> Any:
    if form not in (Form.JSONL, Form.CSV):
        raise InvalidInput(
            "the form of standard input must be told", subject="--format", expected="--format jsonl or --format csv"
        )
    return sys.stdin.buffer


def _schema_in(path: Path) -> dict[str, Any]:
    expected = "a JSON Schema, as a JSON object"
    try:
        if path.stat().st_size > _LARGEST_SCHEMA_FILE:
            raise InvalidInput(f"{path} is too large for a schema", subject=str(path), expected="at most 1 MiB")
        document = json.loads(path.read_bytes())
    except OSError as wrong:
        raise InvalidInput(f"{path} cannot be read: {wrong.strerror}", subject=str(path), expected=expected) from wrong
    except (ValueError, RecursionError) as wrong:
        raise InvalidInput(f"{path} is not JSON: {wrong}", subject=str(path), expected=expected) from wrong
    if not isinstance(document, dict):
        raise InvalidInput(f"{path} holds no schema", subject=str(path), expected=expected)
    return document


def _moment(text: str, flag: str) -> datetime:
    """Read a time as those of rows are read: in UTC where it says no zone."""
    from tidegate.cli.moments import parsed_moment

    return parsed_moment(text, flag, UTC)


def _plain(record: Any) -> dict[str, Any]:
    """Return a record as JSON has it, without the numbers of rows of the database."""
    fields = dataclasses.asdict(record)
    fields.pop("id", None)
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in fields.items()}


def _vector(found: Found) -> dict[str, Any]:
    return {"at": found.at.isoformat(), "written_at": found.written_at.isoformat(), "vector": dict(found.vector)}


def _text(vector: Any) -> str:
    text = json.dumps(dict(vector), ensure_ascii=False)
    return text if len(text) <= _SHOWN_OF_A_VECTOR else f"{text[:_SHOWN_OF_A_VECTOR]}…"


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _time(moment: datetime | None) -> str:
    return "never" if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _print_facts(*facts: tuple[str, str]) -> None:
    width = max(len(name) for name, _ in facts)
    say(*(f"{name:<{width}}  {value}".rstrip() for name, value in facts))


def _print_table(names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console().print(table)
