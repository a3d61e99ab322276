"""`tidegate doctor versions`: whether the versions that a project names go together, before they meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.exits import ExitCode
from tidegate.cli.options import OutputOption
from tidegate.cli.output import Output, console, is_terminal, print_json, say
from tidegate.contract.errors import InvalidInput

if TYPE_CHECKING:
    from tidegate.components import Row


def versions(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH...",
            help="Dockerfiles, requirements, pyproject.toml, lock files, Compose files, MOJO files; folders of them.",
            show_default=False,
        ),
    ] = None,
    *,
    cluster: Annotated[
        list[str] | None,
        typer.Option(
            "--cluster",
            metavar="URL",
            help="A running H2O, such as http://127.0.0.1:54321; may be given several times.",
            show_default=False,
        ),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Say whether the versions of H2O, Java, Python and MOJO files go together.

    H2O's client and server must be equal, and older than 3.46.0.12, which exports no MOJO. H2O's cluster takes Java 8
    to 17. A MOJO must be of a version that Tidegate reads, and a POJO is refused. This environment is looked at, too.

    Exit code 1 if something does not fit; what cannot be told is a warning.

    $ tidegate doctor versions .
    $ tidegate doctor versions docker/Dockerfile requirements.txt models/churn.zip
    $ tidegate doctor versions --cluster http://127.0.0.1:54321 requirements.txt --output json
    """
    from tidegate.components import examine, formats
    from tidegate.contract.findings import Level

    if not paths and not cluster:
        raise InvalidInput(
            "Name files or folders, or a cluster.", hint="For all that is here: tidegate doctor versions ."
        )
    rows = examine(paths or [], cluster or [])
    fits = all(row.level is not Level.FAIL for row in rows)
    if output is Output.JSON:
        print_json({"healthy": fits, "reader": formats(), "checks": [row.as_dict() for row in rows]})
    else:
        console().print(_table(rows))
        say("", *_lines(rows))
    return ExitCode.OK if fits else ExitCode.UNEXPECTED


def _table(rows: list[Row]) -> Any:
    from rich.text import Text

    from tidegate.cli.render import listing

    table = listing(is_terminal(), "COMPONENT", "PLACE", "FOUND", "WANTED", "VERDICT")
    for row in rows:
        # What is in brackets would be markup: an extra of a package, say.
        table.add_row(*map(Text, (row.component.value, row.place, row.found, row.wanted, row.level.value)))
    return table


def _lines(rows: list[Row]) -> list[str]:
    """Return what is wrong, a line each, and a last one that sums up."""
    from tidegate.contract.findings import Level

    told = [f"{row.level.value:<5}{row.place}: {row.message}" for row in rows if row.level is not Level.PASS]
    failed = sum(row.level is Level.FAIL for row in rows)
    return [*told, f"{failed} of {len(rows)} checks failed." if failed else "All well."]
