"""How much maintenance may be in the way of others: a person who asks for it waits, the controller's own does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

#: Rows deleted in one transaction at most, and how long one is to last: whoever writes waits for it.
DELETED_AT_ONCE, PIECE_SECONDS = 500, 0.02
_FEWEST_AT_ONCE = 10


class Stopped(Exception):  # noqa: N818  (named for what became of the run)
    """Whoever runs maintenance wants it to end; what was done is done, and the rest is for the next run."""


def _go_on() -> None:
    return


@dataclass(frozen=True)
class Pace:
    """What a run allows itself.

    Attributes:
        lock_seconds: how long a step in PostgreSQL waits for a lock; who comes after it waits no longer than that.
        tries: how often a step is tried that somebody is in the way of.
        statement_seconds: what a statement in PostgreSQL may take that nobody waits for.
        blocking_seconds: what one may take with locks that others wait for, such as one that moves rows out of a
            default partition.
        rows: deleted one by one of a table at most; None for all that are past retention.
        overrules: pg_partman's retention is brought in line with ours; else its own holds where it is another one.
        between: called between two transactions. It may take its time, and raise `Stopped`.
    """

    lock_seconds: float = 2
    tries: int = 3
    statement_seconds: float = 600
    blocking_seconds: float = 600
    rows: int | None = None
    overrules: bool = True
    between: Callable[[], None] = _go_on


def next_piece(rows: int, seconds: float) -> int:
    """Return how many rows to delete next, from how many were deleted at once and how long that took; pure.

    Rows may be of any size, and disks of any speed.
    """
    fitting = DELETED_AT_ONCE if seconds <= 0 else int(rows * PIECE_SECONDS / seconds)
    # No more than twice as many as before: one that was quick by chance says little.
    return max(_FEWEST_AT_ONCE, min(fitting, 2 * rows, DELETED_AT_ONCE))
