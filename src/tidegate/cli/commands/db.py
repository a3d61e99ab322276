"""`tidegate db`: the database that the store is in. What an administrator asks for; no controller is needed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.exits import ExitCode
from tidegate.cli.options import OutputOption
from tidegate.cli.output import Output, console, print_json, say
from tidegate.cli.session import home_of
from tidegate.contract.errors import InvalidInput

if TYPE_CHECKING:
    from tidegate.store.address import Address
    from tidegate.store.maintenance import Maintained

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="STORE",
        help="A PostgreSQL database by its URL, without a password, or a SQLite file.",
        show_default="TIDEGATE_STORE, else the file in the home",
    ),
]


def init(
    ctx: typer.Context,
    *,
    store: StoreOption = None,
    only_print: Annotated[
        bool, typer.Option("--print", metavar="", help="Write the SQL for psql, and touch no database.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make Tidegate's tables in an empty database.

    In PostgreSQL it makes roles and, where the server has it, the extension pg_partman, so it is for a superuser. It is
    all done or nothing. Afterwards make who logs in a member of a role: tidegate_controller for the controller,
    tidegate_serving for replicas that log predictions, tidegate_analyst for people who read, tidegate_owner for who
    maintains. The password stays in TIDEGATE_STORE or in PGPASSFILE: arguments can be read by others.

    $ tidegate db init --store postgresql://postgres@db.example.com/tidegate
    $ tidegate db init --print > init.sql
    """
    if only_print:
        from tidegate.store.script import sql

        say(sql().rstrip("\n"))
        return
    from tidegate.store.address import shown
    from tidegate.store.administration import initialise

    address = address_of_store(ctx, store)
    made = initialise(address)
    if output is Output.JSON:
        print_json({"store": shown(address), "version": made.version})
        return
    say(f"{shown(address)} has the tables of schema version {made.version}.")
    if isinstance(address, Path):
        say("Next: tidegate db check")
    else:
        say("Next: tidegate db maintain, which makes the first partitions, and tidegate db check")


def upgrade(ctx: typer.Context, *, store: StoreOption = None, output: OutputOption = Output.TEXT) -> None:
    """Bring the tables of an older Tidegate to this one's.

    It is all done or nothing, and nothing where there is nothing to do. Make a copy before (pg_dump): there is no way
    back. A SQLite file is brought to date by `tidegate up` as well. Run it also after an update of pg_partman from
    version 4 to 5, which takes from tidegate_owner what this gives back.

    $ tidegate db upgrade --store postgresql://postgres@db.example.com/tidegate
    """
    from tidegate.store.address import shown
    from tidegate.store.administration import upgrade as brought

    address = address_of_store(ctx, store)
    changed = brought(address)
    if output is Output.JSON:
        given_back = list(changed.given_back)
        print_json(
            {"store": shown(address), "found": changed.found, "version": changed.version, "given_back": given_back}
        )
        return
    if changed.found == changed.version:
        say(f"{shown(address)} is of schema version {changed.version} already.")
    else:
        say(f"{shown(address)} was brought from schema version {changed.found} to {changed.version}.")
    if changed.given_back:
        say(f"The owner of its tables may use pg_partman again: {', '.join(changed.given_back)}.")


def check(ctx: typer.Context, *, store: StoreOption = None, output: OutputOption = Output.TEXT) -> int:
    """Say whether the database is as this Tidegate makes it, and what to do when it is not.

    Compared are tables, columns, keys, constraints, indexes, triggers, owners and privileges. Told are also the
    version, the role that you are, who makes partitions, and rows that lie in no partition of their own. Nothing is
    changed. Exit code 1 if a check fails; a warning is no failure.

    $ tidegate db check
    $ tidegate db check --store postgresql://me@db.example.com/tidegate --output json
    """
    from tidegate.cli.doctor import findings_lines
    from tidegate.contract.findings import Level
    from tidegate.store.address import shown
    from tidegate.store.administration import check as checked

    address = address_of_store(ctx, store)
    findings = checked(address)
    healthy = all(finding.level is not Level.FAIL for finding in findings)
    if output is Output.JSON:
        checks = [finding.as_dict() for finding in findings]
        print_json({"store": shown(address), "healthy": healthy, "checks": checks})
    else:
        out = console()
        for line in findings_lines(findings):
            out.print(line, soft_wrap=True)
    return ExitCode.OK if healthy else ExitCode.UNEXPECTED


def maintain(
    ctx: typer.Context,
    *,
    store: StoreOption = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep",
            metavar="TABLE=TIME",
            help="From now on keep the rows of a table for so many days (30d), or forever; may come again.",
            show_default=False,
        ),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make the partitions of the next days, and drop what is older than it is kept.

    The tables are predictions, outcomes, drift_readings, feature_history and feature_quarantine. The controller that
    leads does it by itself once a day, with its own store, so it is for changes of --keep, and for what does not wait.
    Run it once a day, e.g. by cron, for a database of predictions that no controller has, and where the controller's
    role in PostgreSQL is no member of tidegate_owner and pg_partman's background worker does not run. It may run twice
    at once and while rows are written. A table that somebody reads for long is left for the next run, which is said.
    Rows in SQLite are deleted some at a time.

    $ tidegate db maintain
    $ tidegate db maintain --keep predictions=30d --keep drift_readings=forever
    """
    from tidegate.store.address import shown
    from tidegate.store.administration import opened_as_is
    from tidegate.store.maintenance import maintain as maintained

    days = dict(_kept(one) for one in keep or [])
    address = address_of_store(ctx, store)
    with opened_as_is(address) as database:
        reports = maintained(database, datetime.now(UTC), days)
    if output is Output.JSON:
        print_json({"store": shown(address), "tables": [_as_document(one) for one in reports]})
        return
    for one in reports:
        say(_sentence(one), *(f"  not done: {what}" for what in one.left))


def address_of_store(ctx: typer.Context, store: str | None) -> Address:
    """Return where the store is: as --store says, else the environment, else in the home."""
    from tidegate.store.place import place_of

    return place_of(home_of(ctx), store)


def _kept(text: str) -> tuple[str, int | None]:
    """Read `predictions=30d` or `predictions=forever`."""
    table, _, time = text.partition("=")
    if time == "forever":
        return table, None
    days = time.removesuffix("d")
    if not (time.endswith("d") and days.isascii() and days.isdigit() and 1 <= int(days[:6]) <= 36_500):
        expected = "a table and how many days its rows are kept, such as predictions=30d, or predictions=forever"
        raise InvalidInput(f'--keep: expected {expected}, got "{text}"', subject="--keep", expected=expected, got=text)
    return table, int(days)


def _as_document(one: Maintained) -> dict[str, Any]:
    return {
        "table": one.table,
        "manager": one.manager,
        "days": one.days,
        "made": list(one.made),
        "dropped": list(one.dropped),
        "moved_rows": one.moved,
        "deleted_rows": one.deleted,
        "left": list(one.left),
    }


def _sentence(one: Maintained) -> str:
    kept = "for ever" if one.days is None else f"for {one.days} days"
    done = [
        f"{number:,} {what}"
        for number, what in (
            (len(one.made), "partitions made"),
            (len(one.dropped), "partitions dropped"),
            (one.moved, "rows moved into their partition"),
            (one.deleted, "rows deleted"),
        )
        if number
    ]
    return f"{one.table}: kept {kept}; {', '.join(done) or 'nothing to do'}."
