"""Following a rollout over the API, through times when the controller is away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidegate.client.documents import Event, Rollout, RolloutId, Status
from tidegate.client.phases import is_terminal
from tidegate.contract.errors import Unavailable

if TYPE_CHECKING:
    from tidegate.client.client import Client

#: How long a controller may be away before whoever follows gives up; a restart takes a few seconds.
PATIENCE_SECONDS = 60.0
#: One long poll; the view is at most this old.
POLL_SECONDS = 1.0
RETRY_SECONDS = 0.5


@dataclass(frozen=True)
class Look:
    """What is known at one moment.

    Attributes:
        status, rollout: as the controller says now; None while it is away, and `rollout` where there is none.
        events: new since the last look, oldest first.
        away_seconds: how long the controller has not answered; None while it does.
    """

    status: Status | None = None
    rollout: Rollout | None = None
    events: list[Event] = field(default_factory=list)
    away_seconds: float | None = None


def follow(
    client: Client,
    name: str,
    rollout_id: RolloutId | None,
    *,
    after: int = 0,
    patience_seconds: float = PATIENCE_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Look]:
    """Yield a look whenever something happened, and at least every second or so; it is for the caller to stop.

    Args:
        rollout_id: the rollout to follow; None follows the deployment and whatever rollout it has.
        after: leave out events up to this `seq`.

    Raises:
        Unavailable: the controller was away for longer than `patience_seconds`.
        NotFound: the deployment is gone.
    """
    away_since: float | None = None
    first = True
    while True:
        try:
            if away_since is not None:
                client.reconnect()
            # The first look must not wait for something to happen.
            patience = 0.0 if first else POLL_SECONDS
            events = client.poll_events(name, after=after, wait_seconds=patience, rollout=rollout_id)
            status = client.status(name)
            rollout = status.get("rollout") if rollout_id is None else client.rollout(rollout_id)
            if rollout is not None and is_terminal(rollout):
                # Its last events may have happened since they were asked for, and nobody will look again.
                seen = events[-1]["seq"] if events else after
                events += client.poll_events(name, after=seen, rollout=rollout_id)
        except Unavailable as error:
            away_since = clock() if away_since is None else away_since
            away = clock() - away_since
            if away > patience_seconds:
                raise Unavailable(
                    f"The controller has not answered for {patience_seconds:.0f} s.",
                    subject=client.url,
                    got=error.message,
                    hint="The models go on serving with the split as it stands. Start it again with: tidegate up",
                ) from error
            yield Look(away_seconds=away)
            pause(RETRY_SECONDS)
            continue
        away_since, first = None, False
        if events:
            after = events[-1]["seq"]
        yield Look(status=status, rollout=rollout, events=events)
