"""Who is told of which event, and whether they can be. Pure, but for the check of what a receiver names."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.contract.errors import InvalidInput
from tidegate.contract.request import DeploymentRequest
from tidegate.notify import chat
from tidegate.notify.address import is_message, refuse_unreadable, resolve
from tidegate.store import Addressee, AttemptRow, NotificationRow

#: From the kind of an event to the moment of which it tells; other kinds are told to hooks of the type `event` only.
MOMENTS: Mapping[str, str] = {
    "preparing": "started",
    "analyzing": "step",
    "paused": "waiting",
    "held": "waiting",
    "arm_out": "arm-out",
    "failed": "failed",
    "rolled_back": "rolled-back",
    "aborted": "aborted",
    "promoted": "promoted",
    "harm_after_end": "harm-after-end",
    "drifted": "drifted",
    "drift_over": "drift-over",
}
_ENDS = frozenset({"failed", "rolled_back", "aborted", "promoted"})


def addressees(request: Mapping[str, Any], kind: str) -> Sequence[Addressee]:
    """Return who is told of an event of this kind.

    Args:
        request: the request document, as it is stored.
    """
    moment = MOMENTS.get(kind)
    told = [
        Addressee("notification", one["name"], moment, one)
        for one in request.get("notifications", ())
        if moment is not None and moment in one["when"]
    ]
    for hook in request.get("hooks", ()):
        if hook["type"] == "event":
            told.append(Addressee("hook", hook["name"], moment or kind.replace("_", "-"), hook))
        elif hook["type"] == "post-rollout" and kind in _ENDS:
            told.append(Addressee("hook", hook["name"], "post-rollout", hook))
    return told


async def refuse_undeliverable(request: DeploymentRequest, environ: Mapping[str, str]) -> None:
    """Raise InvalidInput for a receiver whose URL is not where the request says, or that nobody could send to."""
    document = request.as_document()
    for field in ("notifications", "hooks"):
        for one in document.get(field, ()):
            subject = f"{field}.{one['name']}"
            url = resolve(one, environ)
            refuse_unreadable(url, subject)
            if not is_message(url):
                continue
            if field == "hooks":
                raise InvalidInput(
                    "a hook is a service that answers HTTP, not a message",
                    subject=subject,
                    expected="http:// or https://",
                )
            if not chat.is_installed():
                raise InvalidInput(chat.MISSING, subject=subject, hint=chat.INSTALL)
            if not await asyncio.to_thread(chat.understands, url):
                raise InvalidInput(
                    "Apprise does not understand the URL that is named there",
                    subject=subject,
                    expected="a URL as in https://github.com/caronc/apprise/wiki",
                )


def not_taken_over(asked: DeploymentRequest, serving: DeploymentRequest) -> tuple[str, ...]:
    """Return a warning where a deploy that changes nothing asked for other receivers than those that are told now."""
    if (asked.notifications, asked.hooks) == (serving.notifications, serving.hooks):
        return ()
    why = "notifications and hooks are those of the newest revision, and this deploy made none"
    return (f"{why}: the ones given take effect with the next model or setting that is deployed",)


def shown_destination(destination: Mapping[str, Any]) -> str:
    """Return where a receiver is, without a secret, for tables."""
    if destination.get("url"):
        return str(destination["url"])
    if destination.get("urlFromEnv"):
        return f"${destination['urlFromEnv']}"
    return str(destination.get("urlFromFile"))


def test_view(destination: Mapping[str, Any], attempt: AttemptRow) -> dict[str, Any]:
    """Return how a test went as the API shows it."""
    return {
        "receiver": destination["name"],
        "destination": shown_destination(destination),
        **_attempt_view(attempt),
    }


def view(row: NotificationRow, attempts: Sequence[AttemptRow]) -> dict[str, Any]:
    """Return one notification and its attempts as the API shows them."""
    return {
        "id": row.event_id,
        "kind": row.addressee.kind,
        "receiver": row.addressee.receiver,
        "destination": shown_destination(row.addressee.destination),
        "moment": row.addressee.moment,
        "rollout": str(row.event.rollout) if row.event.rollout is not None else None,
        "event": row.event.seq,
        "message": row.event.message,
        "state": row.state,
        "created_at": row.created_at.isoformat(),
        "next_at": row.next_at.isoformat() if row.next_at is not None else None,
        "settled_at": row.settled_at.isoformat() if row.settled_at is not None else None,
        "attempts": [_attempt_view(attempt) for attempt in attempts],
    }


def _attempt_view(attempt: AttemptRow) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "at": attempt.at.isoformat(),
        "took_ms": attempt.took_ms,
        "delivered": attempt.delivered,
        "status": attempt.status,
        "detail": attempt.detail,
    }
