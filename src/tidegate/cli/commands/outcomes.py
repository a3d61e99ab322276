"""`tidegate outcomes`: what came of requests later."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from tidegate.cli.exits import ExitCode
from tidegate.cli.options import Name, OutputOption
from tidegate.cli.output import Output, console, is_terminal, note, print_json, say
from tidegate.cli.session import connect
from tidegate.contract.errors import InvalidInput

if TYPE_CHECKING:
    from tidegate.cli.outcome_files import Line
    from tidegate.client import Client

#: What became of outcomes, in the order in which it is said.
_WORDS = ("joined", "waiting", "corrected", "duplicate", "late", "ambiguous", "unknown", "unjudged")
_MOST_REFUSALS = 20


def send(
    ctx: typer.Context,
    name: Name,
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="CSV or JSON lines; - for standard input.", show_default=False),
    ],
    *,
    output: OutputOption = Output.TEXT,
) -> int:
    """Tell what came of requests, by their ids.

    CSV has the columns request_id and bad (true or false), or outcome (a label or a number that
    analysis.outcomes.badWhen judges), and actual, what the model should have answered: a number, a text, or JSON. One
    of them is enough. Add at, a time, if you know it. JSON lines have the same as fields.

    All are kept, whether or not a rollout is on: see `tidegate predictions`. To send a file again changes nothing; of
    what is told otherwise the later `at` holds, and of the same time what was told last. A line that is refused costs
    the others nothing; the exit code is then 2.

    $ tidegate outcomes send churn outcomes.csv
    $ tidegate outcomes send churn - --output json
    """
    from tidegate.cli.outcome_files import batches, read

    total: Counter[str] = Counter()
    errors: list[dict[str, Any]] = []
    noting = True
    with connect(ctx) as client, _opened(file) as stream:
        for part in batches(read(stream, "standard input" if file == "-" else file)):
            answer = _told(client, name, part)
            total.update({word: answer[word] for word in ("received", *_WORDS, "refused")})
            errors += answer["errors"]
            noting = answer["noting"]
            if is_terminal(stderr=True):
                sys.stderr.write(f"\r{total['received']:,} outcomes sent")
                sys.stderr.flush()
    if is_terminal(stderr=True):
        sys.stderr.write("\r\033[K")
    counts = {word: total[word] for word in ("received", *_WORDS, "refused")}
    if output is Output.JSON:
        print_json({"deployment": name, **counts, "errors": errors, "noting": noting})
    else:
        said = ", ".join(f"{total[word]:,} {word}" for word in (*_WORDS, "refused") if total[word])
        say(f"{total['received']:,} outcomes of {name} told: {said}.")
    for error in errors[:_MOST_REFUSALS]:
        note(f"line {error['line']}: {error['message']}")
    if total["unknown"] and not noting:
        note(
            f"No requests of {name} are noted now, which takes a rollout with analysis.outcomes in its request: what "
            f"was told is kept, and no judge counts it. See it with: tidegate predictions {name}"
        )
    return ExitCode.BAD_INPUT if total["refused"] else ExitCode.OK


def show(ctx: typer.Context, name: Name, *, output: OutputOption = Output.TEXT) -> None:
    """Show what came of the requests of the latest rollout so far, by revision.

    $ tidegate outcomes show churn
    """
    with connect(ctx) as client:
        found = client.outcomes(name)
    if output is Output.JSON:
        print_json(found)
        return
    if found["rollout"] is None:
        say(f"The latest rollout of {name} was not judged by outcomes.")
    else:
        from tidegate.cli.render import outcomes_table

        say(f"Rollout {found['rollout']} of {name}, {found['window']} for each outcome to be told:", "")
        console().print(outcomes_table(found["revisions"]))
    if found["waiting"]:
        say(f"{found['waiting']:,} outcomes wait for a request that is not known.")


@contextmanager
def _opened(file: str) -> Iterator[TextIO]:
    path = Path(file).expanduser()
    try:
        stream = sys.stdin if file == "-" else path.open(encoding="utf-8", newline="")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", subject=str(path)) from error
    try:
        yield stream
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file} is not text in UTF-8: {error.reason}", subject=file) from error
    finally:
        if stream is not sys.stdin:
            stream.close()


def _told(client: Client, name: str, part: list[Line]) -> dict[str, Any]:
    """Send one part and return what became of it; refusals name the line of the file."""
    sent = [line for line in part if line.entry is not None]
    errors = [{"line": line.number, "message": line.wrong} for line in part if line.entry is None]
    answer: dict[str, Any] = dict.fromkeys((*_WORDS, "refused"), 0) | {"noting": True}
    if sent:
        answer = client.tell_outcomes(name, [line.entry for line in sent if line.entry is not None])
        errors += [{"line": sent[one["index"]].number, "message": one["message"]} for one in answer["errors"]]
    local = sum(line.entry is None for line in part)
    return {
        **answer,
        "received": len(part),
        "refused": answer["refused"] + local,
        "errors": sorted(errors, key=lambda error: error["line"]),
    }
