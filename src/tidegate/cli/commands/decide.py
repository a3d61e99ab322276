"""Commands by which a person decides: promote, pause, resume, abort, rollback, delete."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.exits import ExitCode
from tidegate.cli.options import By, Name, OutputOption, Reason, Wait
from tidegate.cli.output import Output, print_json, say
from tidegate.cli.reasons import reason_asked
from tidegate.cli.session import connect, login_name
from tidegate.contract.errors import InvalidInput

if TYPE_CHECKING:
    from tidegate.client import Client


def promote(
    ctx: typer.Context,
    name: Name,
    *,
    arm: Annotated[
        str | None,
        typer.Option("--arm", metavar="ARM", help="Which challenger of an A/B test.", show_default="the only one"),
    ] = None,
    reason: Reason = None,
    by: By = None,
    wait: Wait = False,
    output: OutputOption = Output.TEXT,
) -> int:
    """Finish the rollout now: the candidate becomes stable.

    $ tidegate promote churn --reason "checked by hand"
    $ tidegate promote churn --arm b --reason "more of its users came back"
    $ tidegate promote churn --wait
    """
    with connect(ctx) as client:
        answer = client.promote(name, arm=arm, reason=reason, by=by or login_name())
        who = "the candidate" if arm is None else f"arm {arm}"
        said = f"{name}: {who} is being promoted{_once_ready(answer)}. Watch it with: tidegate watch {name}"
        return _done(client, name, answer, said, wait=wait, output=output)


def pause(
    ctx: typer.Context, name: Name, *, reason: Reason = None, by: By = None, output: OutputOption = Output.TEXT
) -> None:
    """Hold the rollout at its present split until somebody decides.

    A candidate that does harm is rolled back even while the rollout is paused.

    $ tidegate pause churn --reason "campaign until noon"
    """
    with connect(ctx) as client:
        answer = client.pause(name, reason=reason, by=by or login_name())
    _told(output, answer, f"{name}: the rollout is paused. Go on with: tidegate resume {name}{reason_asked(answer)}")


def resume(
    ctx: typer.Context,
    name: Name,
    *,
    reason: Reason = None,
    by: By = None,
    wait: Wait = False,
    output: OutputOption = Output.TEXT,
) -> int:
    """Let a paused rollout go on.

    $ tidegate resume churn
    $ tidegate resume churn --reason "the preview looks right" --wait
    """
    with connect(ctx) as client:
        answer = client.resume(name, reason=reason, by=by or login_name())
        said = f"{name}: the rollout goes on{_once_ready(answer)}. Watch it with: tidegate watch {name}"
        return _done(client, name, answer, said, wait=wait, output=output)


def abort(
    ctx: typer.Context,
    name: Name,
    *,
    reason: Reason = None,
    by: By = None,
    wait: Wait = False,
    output: OutputOption = Output.TEXT,
) -> int:
    """End the rollout and give all traffic back to the stable revision.

    $ tidegate abort churn --reason "wrong file"
    $ tidegate abort churn --wait
    """
    with connect(ctx) as client:
        answer = client.abort(name, reason=reason, by=by or login_name())
        said = f"{name}: the rollout is being aborted; stable gets all traffic."
        return _done(client, name, answer, said, wait=wait, output=output, wished="aborted")


def weights(
    ctx: typer.Context,
    name: Name,
    shares: Annotated[
        list[str],
        typer.Argument(metavar="ARM=PERCENT...", help="The new weights; 0 takes an arm out.", show_default=False),
    ],
    *,
    reason: Reason = None,
    by: By = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Give the arms of a running A/B test other weights.

    Arms that are not named keep theirs, and stable gets the rest of 100. A user keeps the arm that they have unless
    its weight falls: no more of them move than must.

    $ tidegate weights churn b=30 c=10
    $ tidegate weights churn c=0 --reason "nobody wants it"
    """
    asked = weights_from(shares)
    with connect(ctx) as client:
        answer = client.set_weights(name, asked, reason=reason, by=by or login_name())
    _told(output, answer, f"{name}: {answer['reason']}{_once_ready(answer)}.")


def weights_from(shares: list[str]) -> dict[str, float]:
    """Read weights as they are typed: b=30 c=10, or b=30%."""
    found: dict[str, float] = {}
    for share in shares:
        arm, sign, text = share.partition("=")
        try:
            percent = float(text.removesuffix("%"))
        except ValueError:
            percent = -1.0
        if not arm or not sign or not 0 <= percent <= 100 or arm in found:
            raise InvalidInput(
                f'"{share}" is no weight of an arm.',
                subject=share,
                expected="each arm once with its percent, such as b=30 c=10",
                got=share,
            )
        found[arm] = percent
    return found


def rollback(
    ctx: typer.Context,
    name: Name,
    *,
    to: Annotated[
        int | None,
        typer.Option("--to", metavar="REVISION", help="Which one.", show_default="the stable one before this", min=1),
    ] = None,
    reason: Reason = None,
    by: By = None,
    wait: Wait = False,
    output: OutputOption = Output.TEXT,
) -> int:
    """Go back to a revision that was stable before.

    $ tidegate rollback churn --wait
    $ tidegate rollback churn --to 3 --reason "4 misjudges new customers"
    """
    with connect(ctx) as client:
        answer = client.rollback(name, to=to, reason=reason, by=by or login_name())
        said = f"{name}: going back to revision {answer['revision']}. Watch it with: tidegate watch {name}"
        return _done(client, name, answer, said, wait=wait, output=output)


def delete(
    ctx: typer.Context,
    name: Name,
    *,
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


def _done(
    client: Client,
    name: str,
    answer: Mapping[str, Any],
    said: str,
    *,
    wait: bool,
    output: Output,
    wished: str = "promoted",
) -> int:
    """Say that a decision was taken, or wait for what comes of it."""
    if not wait:
        _told(output, answer, said)
        return ExitCode.OK
    from tidegate.cli.progress import finish, follow_rollout

    rollout_id = answer["rollout"] if "rollout" in answer else answer["id"]
    return finish(client, name, follow_rollout(client, name, rollout_id, output), output, wished=wished)


def _once_ready(answer: Mapping[str, Any]) -> str:
    """Say that more traffic waits for replicas, where it does."""
    return " once all the replicas for it are ready" if answer.get("phase") == "scaling" else ""


def _told(output: Output, answer: Mapping[str, Any], sentence: str) -> None:
    if output is Output.JSON:
        print_json(answer)
    else:
        say(sentence)
