"""Waiting for a rollout: choosing the view, following to the end, and what is said at the end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tidegate.cli.exits import ExitCode, exit_code_of_rollout
from tidegate.cli.output import Output, console, error_lines, is_terminal, note, print_json, say
from tidegate.cli.reasons import reason_asked
from tidegate.cli.render import elapsed_text
from tidegate.cli.views import LineView, LiveView, View
from tidegate.client import Client, Rollout, Status, follow, is_waiting_for_person
from tidegate.client import is_terminal as has_ended
from tidegate.contract.errors import TidegateError

#: A longer body is no longer something to paste.
LONGEST_EXAMPLE = 1500


class RolloutNotPromotedError(TidegateError):
    """The rollout that was waited for did not end with the candidate in production."""

    code = "rollout_not_promoted"


class RolloutWaitsError(TidegateError):
    """The rollout that was waited for is paused until a person decides."""

    code = "rollout_waits_for_person"


def view_for(output: Output) -> View:
    """Return the view for where the words go: JSON keeps stdout for its document."""
    if output is Output.JSON:
        return LineView(note)
    return LiveView(console()) if is_terminal() else LineView(say)


def follow_rollout(client: Client, name: str, rollout_id: int | str, output: Output) -> Rollout:
    """Show a rollout until it has ended or waits for a person; return it as it is then.

    Raises:
        KeyboardInterrupt: the user has seen enough; what to type next was said.
    """
    try:
        with view_for(output) as view:
            for look in follow(client, name, rollout_id):
                view.show(look)
                if look.rollout is not None and (has_ended(look.rollout) or is_waiting_for_person(look.rollout)):
                    return look.rollout
    except KeyboardInterrupt:
        note(
            f"No longer watching; the rollout of {name} goes on.",
            f"  watch it:  tidegate watch {name}",
            f"  end it:    tidegate abort {name}",
        )
        raise
    raise AssertionError("follow ends only by an exception")


def follow_deployment(client: Client, name: str) -> int:
    """Show the active rollout of a deployment to its end; without one, show the deployment until Ctrl-C."""
    status = client.status(name)
    active = status.get("rollout")
    if active is not None and not has_ended(active):
        return finish(client, name, follow_rollout(client, name, active["id"], Output.TEXT), Output.TEXT)
    after = 0
    for event in client.events(name):
        after = event["seq"]
    if not is_terminal():
        note(f"No rollout of {name} is under way; its events follow as they happen (Ctrl-C ends).")
    with view_for(Output.TEXT) as view:
        for look in follow(client, name, None, after=after):
            view.show(look)
    return ExitCode.OK


def finish(client: Client, name: str, rollout: Rollout, output: Output, *, wished: str = "promoted") -> int:
    """Say how a rollout ended and return the exit code for it.

    Args:
        wished: the phase that the caller asked for; it is a success even if it is "aborted".
    """
    code = ExitCode.OK if rollout["phase"] == wished else exit_code_of_rollout(rollout)
    if code is ExitCode.OK:
        if output is Output.JSON:
            print_json(client.result(name))
        elif rollout["phase"] == "promoted":
            say(*promoted_lines(client.status(name), rollout, example_request(client, name)))
        else:
            say(outcome_error(name, rollout).message)
        return code
    error = outcome_error(name, rollout)
    if output is Output.JSON:
        note(*error_lines(error))
        print_json({"error": error.as_dict()})
    else:
        say(*error_lines(error))
    return code


def promoted_lines(status: Status, rollout: Mapping[str, Any], example: str | None) -> list[str]:
    """Return what is said when a candidate has become stable: where it is reached, and what to type."""
    name, url = status["name"], status["url"].rstrip("/")
    took = elapsed_text(rollout, datetime.now(UTC))
    lines = [
        f"{name}: revision {rollout['to_revision']} is in production after {took}.",
        f"  predict   {url}/predict",
        f"  infer     {url}/v2/models/{name}/infer   (Open Inference Protocol)",
        f"  health    {url}/v2/health/ready",
        f"  docs      {url}/docs",
        f"  report    tidegate report {rollout['id']}",
    ]
    if example is not None:
        lines += ["Try it:", f"  curl -s {url}/predict -H 'content-type: application/json' -d {shell_quoted(example)}"]
    return lines


def shell_quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def example_request(client: Client, name: str) -> str | None:
    """Return a body for `/predict` that the model takes, on one line; None when it is too long or not to be had."""
    try:
        rows = client.sample(name)
    except (TidegateError, KeyError):
        return None
    body = json.dumps(rows[:1], separators=(",", ":"), ensure_ascii=False)
    return body if rows and len(body) <= LONGEST_EXAMPLE else None


def outcome_error(name: str, rollout: Mapping[str, Any]) -> TidegateError:
    """Return what became of a rollout that was not promoted, and what to do about it."""
    reason = str(rollout.get("reason") or "no reason was recorded").rstrip(".")
    revision, before = rollout["to_revision"], rollout.get("from_revision")
    arms = [arm for arm in rollout.get("arms") or [] if not arm["out"] and arm["revision"] != before]
    why = reason_asked(rollout)
    if is_waiting_for_person(rollout) and len(arms) > 1:
        named = "\n".join(
            f"tidegate promote {name} --arm {arm['name']}{why}   takes revision {arm['revision']} into production now"
            for arm in arms
        )
        return RolloutWaitsError(
            f"{name}: the A/B test waits for you: {reason}.",
            subject=name,
            hint=f"tidegate status {name}   shows how the arms compare\n{named}\n"
            f"tidegate abort {name}   gives all traffic back to revision {before}",
        )
    if is_waiting_for_person(rollout):
        return RolloutWaitsError(
            f"{name}: the rollout of revision {revision} waits for you at {rollout.get('weight', 0)} %: {reason}.",
            subject=name,
            hint=f"tidegate promote {name}{why}   takes revision {revision} into production now\n"
            f"tidegate resume {name}{why}    goes on with the steps\n"
            f"tidegate abort {name}{' ' * len(why)}     gives all traffic back to revision {before}",
        )
    ended = "failed" if rollout["phase"] == "failed" else f"was {str(rollout['phase']).replace('_', ' ')}"
    serves = f"Revision {before} serves all traffic." if before is not None else "Nothing serves under this name."
    return RolloutNotPromotedError(
        f"{name}: revision {revision} {ended}: {reason}. {serves}",
        subject=name,
        hint=f"What happened:  tidegate report {rollout['id']}\n"
        f"What it wrote:  tidegate logs {name} --revision {revision}",
    )
