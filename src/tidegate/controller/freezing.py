"""Freezes: when nothing may be deployed, and what it takes to deploy nevertheless. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tidegate.contract.errors import Frozen, InvalidInput
from tidegate.store import FreezeRow

#: Longer than this is a mistyped year.
LONGEST = timedelta(days=366)


@dataclass(frozen=True)
class Override:
    """Somebody's word that a deployment is to go on in spite of a freeze."""

    by: str
    reason: str


def check_span(starts_at: datetime, ends_at: datetime, now: datetime) -> None:
    """Raise InvalidInput for a freeze that would hold at no time to come, or for longer than a year."""
    if ends_at <= starts_at:
        raise InvalidInput(
            "a freeze ends after its start",
            subject="ends_at",
            expected=f"later than {starts_at.isoformat()}",
            got=ends_at.isoformat(),
        )
    if ends_at <= now:
        raise InvalidInput(
            "this freeze would be over already",
            subject="ends_at",
            expected=f"later than {now.isoformat()}",
            got=ends_at.isoformat(),
        )
    if ends_at - starts_at > LONGEST:
        raise InvalidInput(
            "a freeze lasts a year at most",
            subject="ends_at",
            expected=f"at most {(starts_at + LONGEST).isoformat()}",
            got=ends_at.isoformat(),
        )


def in_force(freezes: Iterable[FreezeRow], name: str, now: datetime) -> list[FreezeRow]:
    """Return the freezes that hold for a deployment now, the one that ends last first."""
    holding = [
        freeze
        for freeze in freezes
        if freeze.removed_at is None and freeze.deployment in (None, name) and freeze.starts_at <= now < freeze.ends_at
    ]
    return sorted(holding, key=lambda freeze: freeze.ends_at, reverse=True)


def pending(freezes: Iterable[FreezeRow], now: datetime) -> list[FreezeRow]:
    """Return the freezes that hold now or will, of any deployment."""
    return [freeze for freeze in freezes if freeze.removed_at is None and now < freeze.ends_at]


def refuse_frozen(freezes: Iterable[FreezeRow], name: str, now: datetime, override: Override | None) -> None:
    """Raise Frozen while a freeze holds for the deployment, unless somebody overrides it."""
    holding = in_force(freezes, name, now)
    if not holding or override is not None:
        return
    raise Frozen(
        f"nothing is deployed to {name!r} now: {'; '.join(map(told, holding))}",
        subject=name,
        hint="Wait until it is over, have it removed (`tidegate freeze remove`), or take it upon you: "
        '--override-freeze "why"',
    )


def told(freeze: FreezeRow) -> str:
    """Return which freeze it is, until when, and who said why."""
    whom = freeze.deployment or "every deployment"
    until = freeze.ends_at.isoformat(timespec="seconds")
    return f"freeze {freeze.id} of {whom} until {until} ({freeze.by}: {freeze.reason})"


def overridden(holding: Sequence[FreezeRow], override: Override | None) -> dict[str, Any] | None:
    """Return what goes on record of an override; None when there was nothing to override."""
    if override is None or not holding:
        return None
    return {"by": override.by, "reason": override.reason, "freezes": [view(freeze) for freeze in holding]}


def view(freeze: FreezeRow) -> dict[str, Any]:
    """Return a freeze as the API shows it; `deployment` is null for all of them."""
    return {
        "id": freeze.id,
        "deployment": freeze.deployment,
        "reason": freeze.reason,
        "by": freeze.by,
        "starts_at": freeze.starts_at.isoformat(),
        "ends_at": freeze.ends_at.isoformat(),
        "created_at": freeze.created_at.isoformat(),
        "removed_at": freeze.removed_at.isoformat() if freeze.removed_at is not None else None,
        "removed_by": freeze.removed_by,
    }
