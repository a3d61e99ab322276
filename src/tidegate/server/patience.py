"""How long a connection's client is waited for: a pure decision, on times of `time.perf_counter`.

A request must be whole, and an answer taken, within `CLIENT_SECONDS`. Instead of a timer per request, the server sweeps
all connections several times a second.
"""

from __future__ import annotations

from enum import Enum

#: A client gets this long to send a request that it has begun, or to take an answer.
CLIENT_SECONDS = 30.0
#: A connection that never brought a request is closed after this time.
FIRST_REQUEST_SECONDS = 60.0
#: After the last answer of a connection that is given up, what its client still sends is taken and dropped so long.
LINGER_SECONDS = 1.0


class Overdue(Enum):
    """What a client was waited for too long: to take an answer, to send a request, to begin one, or to go."""

    TAKING = "taking"
    SENDING = "sending"
    BEGINNING = "beginning"
    GOING = "going"


class Patience:
    """Since when a connection has been waiting for what.

    Attributes:
        reading_since: when the request that is being read began; None between requests.
        idle_since: when the connection came to have no request; None while it has one.
        paused_since: when writing was paused because the client takes too little; None while it is not.
        unsent_since: when bytes of the last answer were first seen waiting here, too few for writing to be paused;
            None when none do.
        lingers_until: when to close a connection that has had its last answer; None before that.
        is_new: no request yet. A client that never brings one is not waited for as long as one between two requests.
    """

    __slots__ = (
        "_idle_seconds",
        "idle_since",
        "is_new",
        "lingers_until",
        "paused_since",
        "reading_since",
        "unsent_since",
    )

    def __init__(self, idle_seconds: float) -> None:
        """`idle_seconds` is how long a connection may be without a request."""
        self._idle_seconds = idle_seconds
        self.reading_since: float | None = None
        self.idle_since: float | None = None
        self.paused_since: float | None = None
        self.unsent_since: float | None = None
        self.lingers_until: float | None = None
        self.is_new = True

    def overdue(self, now: float, *, reads: bool, unsent: bool) -> Overdue | None:
        """Return what has been waited for too long. To be asked again and again: it notes since when it is `unsent`.

        Args:
            reads: whether the connection is being read; while it is not, its client cannot be slow to send.
            unsent: whether bytes of an answer wait here because the kernel takes no more of them.
        """
        if not unsent:
            self.unsent_since = None
        elif self.unsent_since is None:
            self.unsent_since = now
        # First of all: what was written must be taken also before a connection can close.
        for since in (self.paused_since, self.unsent_since):
            if since is not None and now - since > CLIENT_SECONDS:
                return Overdue.TAKING
        if self.lingers_until is not None:
            return Overdue.GOING if now > self.lingers_until else None
        if reads and self.reading_since is not None and now - self.reading_since > CLIENT_SECONDS:
            return Overdue.SENDING
        if self.idle_since is not None:
            longest = FIRST_REQUEST_SECONDS if self.is_new else self._idle_seconds
            return Overdue.BEGINNING if now - self.idle_since > longest else None
        return None
