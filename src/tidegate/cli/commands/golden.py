"""`tidegate golden`: files of golden requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tidegate.cli.options import Name
from tidegate.cli.output import note, print_json
from tidegate.cli.session import connect
from tidegate.contract.errors import InvalidInput

_MOST_BYTES = 16 * 1024 * 1024


def record(
    ctx: typer.Context,
    name: Name,
    *,
    rows: Annotated[
        str | None,
        typer.Option(
            "--rows",
            metavar="FILE",
            help="A JSON list of records, as /predict takes it.",
            show_default="the model's own sample",
        ),
    ] = None,
    absolute: Annotated[
        float | None,
        typer.Option("--absolute", help="How far numbers may differ.", show_default="1e-6", min=0.0, metavar="AMOUNT"),
    ] = None,
    relative: Annotated[
        float | None,
        typer.Option("--relative", help="By which share of them.", show_default="1e-6", min=0.0, metavar="SHARE"),
    ] = None,
) -> None:
    """Ask a deployment and print the answers as golden requests, in JSON.

    Read what it printed before you hold candidates to it: it says what the model answers, not what is right.

    $ tidegate golden record churn > golden.json
    $ tidegate golden record churn --rows rows.json --absolute 0.05 > golden.json
    """
    from tidegate.cli.recording import golden_document
    from tidegate.contract.golden import MOST_REQUESTS

    given = None if rows is None else read_rows(Path(rows).expanduser())
    with connect(ctx) as client:
        asked = given if given is not None else client.sample(name)
        if not 1 <= len(asked) <= MOST_REQUESTS:
            raise InvalidInput(
                f"{rows or 'the sample'} holds {len(asked)} rows", expected=f"1 to {MOST_REQUESTS}", got=str(len(asked))
            )
        answers = [client.predict(name, [row])[0] for row in asked]
    print_json(golden_document(asked, answers, absolute, relative))
    note(f"{len(answers)} answers of {name} recorded.")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read a JSON list of records, alone or under `records`.

    Raises:
        InvalidInput: it cannot be read, or is something else.
    """
    expected = 'a JSON list of records, such as [{"a": 1, "b": "x"}]'
    try:
        with path.open(encoding="utf-8") as stream:
            found = json.loads(stream.read(_MOST_BYTES))
    except OSError as error:
        raise InvalidInput(f"--rows: {path} cannot be read: {error.strerror}", subject=str(path)) from error
    except ValueError as error:
        raise InvalidInput(f"--rows: {path} is not JSON: {error}", subject=str(path), expected=expected) from error
    listed = found.get("records") if isinstance(found, dict) else found
    if not isinstance(listed, list) or not all(isinstance(row, dict) for row in listed):
        raise InvalidInput(f"--rows: {path} does not hold rows", subject=str(path), expected=expected)
    return listed
