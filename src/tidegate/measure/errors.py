"""What a measurement that could not be made raises."""

from __future__ import annotations

LONGEST = 300


class UnmeasurableError(Exception):
    """Could not measure, and why, in a sentence without a secret."""

    def __init__(self, why: str) -> None:
        """Cut the reason short: parts of it come from elsewhere."""
        why = " ".join(why.split())
        super().__init__(why if len(why) <= LONGEST else why[: LONGEST - 1] + "…")
