"""How one attempt to deliver ended."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """The end of one attempt.

    Attributes:
        status: of HTTP; None when there was none.
        detail: what happened, without a secret; empty when it was delivered.
        is_final: whether trying again is pointless.
        retry_after_seconds: what the receiver asked for, or None.
    """

    delivered: bool
    status: int | None = None
    detail: str = ""
    is_final: bool = False
    retry_after_seconds: float | None = None
