"""What becomes of an outcome, and how served requests are counted when their window is over. Pure.

Every request is given equally long for its outcome: it is counted once, when its window is over, with the outcome that
was told within it. Counted as they are told, outcomes would be those of younger requests on the candidate than on
stable as long as its share grows, and kinds of outcomes that are told sooner (complaints) would weigh more on it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from tidegate.judge import Tally
from tidegate.store import Known, Ripe, Told

#: What is said of an outcome, and what it means to the judge; those in KEPT are stored for it, and all are in the log.
WORDS = {
    "joined": "its request is known, and it counts when the window is over",
    "waiting": "its request is not known yet, and it is kept for it",
    "corrected": "it takes the place of what was told before",
    "duplicate": "it was told before",
    "late": "its request's window is over: it is kept and does not count",
    "ambiguous": "several revisions served requests of this id, so that it counts for none",
    "unknown": "no request of this id was noted, and none is being noted now: it does not count",
    "unjudged": "it does not say whether it is bad, so that the judge has no part in it",
}
KEPT = frozenset({"joined", "waiting", "corrected", "late"})

Missing = Literal["ignore", "good", "bad"]


@dataclass(frozen=True)
class Settling:
    """What an outcome is, given what is known of its request.

    Attributes:
        window_ms: of the latest rollout; None when it wants no outcomes.
        is_noting: whether requests are being noted, or were a moment ago.
        now: when the outcome is told, milliseconds since 1970.
    """

    window_ms: int | None
    is_noting: bool
    now: int

    def __call__(self, told: Told, known: Known) -> str:
        """Return one of WORDS. What is told again changes nothing, and what was counted is never counted otherwise."""
        if known.is_bad is not None and (known.is_bad == told.is_bad or told.at < (known.at or 0)):
            return "duplicate"
        if known.served_at is None:
            if known.is_bad is not None:
                return "corrected"
            return "waiting" if self.is_noting else "unknown"
        if known.revision is None:
            return "ambiguous"
        if self.window_ms is None or self.now > known.served_at + self.window_ms:
            return "late" if known.is_bad is None else "duplicate"
        return "joined" if known.is_bad is None else "corrected"


@dataclass(frozen=True)
class Counted:
    """Growth by revision, and the `seq` of the last request in it."""

    last: int
    grown: dict[int, Tally] = field(default_factory=dict)


def count(rows: Iterable[Ripe], *, after: int, since: int, until: int | None, missing: Missing) -> Counted:
    """Count requests whose window is over.

    Args:
        after: the `seq` of the last one that was counted before.
        since, until: requests answered before or after count for nobody; milliseconds since 1970, until None for ever.
        missing: what a request without an outcome counts as.
    """
    requests: defaultdict[int, int] = defaultdict(int)
    bad: defaultdict[int, int] = defaultdict(int)
    last = after
    for row in rows:
        last = row.seq
        is_outside = row.served_at < since or (until is not None and row.served_at > until)
        if row.revision is None or is_outside or (row.is_bad is None and missing == "ignore"):
            continue
        requests[row.revision] += 1
        bad[row.revision] += row.is_bad if row.is_bad is not None else missing == "bad"
    return Counted(last, {revision: Tally(number, bad[revision]) for revision, number in requests.items()})
