"""Commands by which a person decides: promote, pause, resume, abort, rollback, delete."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from tidegate.cli.options import By, Name, OutputOption, Reason
from tidegate.cli.output import Output, print_json, say
from tidegate.cli.session import connect, login_name
from tidegate.contract.errors import InvalidInput


def promote(
    ctx: typer.Context, name: Name, reason: Reason = None, by: By = None, output: OutputOption = Output.TEXT
) -> None:
    """Finish the rollout now: the candidate becomes stable.

    $ tidegate promote churn --reason "checked by hand"
    """
    with connect(ctx) as client:
        answer = client.promote(name, reason=reason, by=by or login_name())
    _told(output, answer, f"{name}: the candidate is being promoted. Watch it with: tidegate watch {name}")


def pause(
    ctx: typer.Context, name: Name, reason: Reason = None, by: By = None, output: OutputOption = Output.TEXT
) -> None:
    """Hold the rollout at its present split until somebody decides.

    A candidate that does harm is rolled back even while the rollout is paused.

    $ tidegate pause churn --reason "campaign until noon"
    """
    with connect(ctx) as client:
        answer = client.pause(name, reason=reason, by=by or login_name())
    _told(output, answer, f"{name}: the rollout is paused. Go on with: tidegate resume {name}")


def resume(
    ctx: typer.Context, name: Name, reason: Reason = None, by: By = None, output: OutputOption = Output.TEXT
) -> None:
    """Let a paused rollout go on.

    $ tidegate resume churn
    """
    with connect(ctx) as client:
        answer = client.resume(name, reason=reason, by=by or login_name())
    _told(output, answer, f"{name}: the rollout goes on. Watch it with: tidegate watch {name}")


def abort(
    ctx: typer.Context, name: Name, reason: Reason = None, by: By = None, output: OutputOption = Output.TEXT
) -> None:
    """End the rollout and give all traffic back to the stable revision.

    $ tidegate abort churn --reason "wrong file"
    """
    with connect(ctx) as client:
        answer = client.abort(name, reason=reason, by=by or login_name())
    _told(output, answer, f"{name}: the rollout is being aborted; stable gets all traffic.")


def rollback(  # noqa: PLR0917 - Typer calls commands by name
    ctx: typer.Context,
    name: Name,
    to: Annotated[
        int | None,
        typer.Option("--to", metavar="REVISION", help="Which one.", show_default="the stable one before this", min=1),
    ] = None,
    reason: Reason = None,
    by: By = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Go back to a revision that was stable before.

    $ tidegate rollback churn
    $ tidegate rollback churn --to 3 --reason "4 misjudges new customers"
    """
    with connect(ctx) as client:
        answer = client.rollback(name, to=to, reason=reason, by=by or login_name())
    revision = answer.get("revision", to)
    _told(output, answer, f"{name}: going back to revision {revision}. Watch it with: tidegate watch {name}")


def delete(  # noqa: PLR0917 - Typer calls commands by name
    ctx: typer.Context,
    name: Name,
    reason: Reason = None,
    by: By = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", metavar="", help="Do not ask.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Take a deployment out of production.

    Its users get 404 from then on; its replicas end; its reports and events are kept.

    $ tidegate delete churn
    $ tidegate delete churn --yes
    """
    with connect(ctx) as client:
        client.status(name)
        if not yes:
            _confirm(name)
        answer = client.delete(name, reason=reason, by=by or login_name())
    _told(output, answer, f"{name}: deleted.")


def _confirm(name: str) -> None:
    if not sys.stdin.isatty():
        raise InvalidInput(
            f"Deleting {name} ends its service, and there is nobody to ask.",
            hint=f"If that is what you want: tidegate delete {name} --yes",
        )
    if not typer.confirm(f"Delete {name}? Its users get 404 from then on.", err=True):
        raise typer.Abort


def _told(output: Output, answer: Mapping[str, Any], sentence: str) -> None:
    if output is Output.JSON:
        print_json(answer)
    else:
        say(sentence)
