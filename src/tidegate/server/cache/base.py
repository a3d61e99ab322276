"""What a place to keep answers in is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from tidegate.runtime.base import Array

#: All outputs of one request by their names, each with the request's rows as first dimension.
Outputs = Mapping[str, Array]


class CacheStore(Protocol):
    """Keeps outputs by key. Called from several threads at once; never raises, never takes longer than 50 ms."""

    #: Value of the metric label `store`.
    name: str

    def get_many(self, keys: Sequence[bytes]) -> list[Outputs | None] | None:
        """Return what is kept under each key, None for what is not; None altogether when the store does not answer."""
        ...

    def put_many(self, entries: Sequence[tuple[bytes, Outputs]]) -> None:
        """Keep these, when there is room and time for it."""
        ...

    def close(self) -> None: ...
