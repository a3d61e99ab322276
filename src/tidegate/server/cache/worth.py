"""Does the cache pay? Pure bookkeeping over what was measured.

A look-up costs the digest of the inputs and the way to the store, for every request; a hit saves the model's time. For
a small model, or one that never sees a request twice, that is a loss, and the cache is left aside for a while, then
tried again, each time after twice as long.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Requests after which accounts are settled.
_PERIOD = 500
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 30.0, 3600.0


@dataclass(slots=True)
class Worth:
    """Accounts of one cache. Not thread-safe: a lost update moves a sum by one batch, which changes no verdict.

    Attributes:
        resumes_at: when the cache is tried again after it did not pay; 0 while it is in use.
    """

    resumes_at: float = 0.0
    _pause: float = _PAUSE_SECONDS
    _requests: int = 0
    _hits: int = 0
    _spent: float = 0.0
    _computed: int = 0
    _model: float = 0.0
    #: Model seconds of one request, from the last period that had any.
    _each: float = 0.0

    def is_off(self, now: float) -> bool:
        """Say whether to leave the cache aside."""
        if self.resumes_at and now >= self.resumes_at:
            self.resumes_at = 0.0
        return self.resumes_at > 0

    def note(self, requests: int, hits: int, spent_seconds: float) -> None:
        """Take in one batch: how many asked, how many were found, and how long asking and keeping took."""
        self._requests += requests
        self._hits += hits
        self._spent += spent_seconds

    def computed(self, requests: int, model_seconds: float) -> None:
        """Take in what the model took for those that were not found."""
        self._computed += requests
        self._model += model_seconds

    def settle(self, now: float) -> bool:
        """Close the accounts when the period is over; return True when the cache is left aside from now on."""
        if self._requests < _PERIOD:
            return False
        if self._computed:
            self._each = self._model / self._computed
        pays = self._hits * self._each >= self._spent
        self._requests = self._hits = self._computed = 0
        self._spent = self._model = 0.0
        if pays:
            self._pause = _PAUSE_SECONDS
            return False
        self.resumes_at = now + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
        return True
