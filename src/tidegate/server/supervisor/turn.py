"""One change of the model at a time: who takes the turn has it until the change is done, refused or broken off."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

from tidegate.contract.errors import Conflict

T = TypeVar("T")


class Turn:
    """Used on the event loop's thread."""

    def __init__(self) -> None:
        self._doing = ""
        self._task: asyncio.Task[Any] | None = None
        self._is_whole = False
        self._is_over = False

    @property
    def is_taken(self) -> bool:
        return self._task is not None and not self._task.done()

    async def take(self, doing: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do this work and return its result. It goes on when the caller goes away.

        Raises:
            Conflict: other work is being done, or nothing is begun any more.
        """
        if self._is_over:
            raise Conflict("the replica ends")
        if self.is_taken:
            raise Conflict(self._doing, hint="ask again when it is done")
        self._doing = doing
        # Begun here and now: between the question above and this, nobody else has a say.
        task = self._task = asyncio.create_task(work())
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise Conflict("the replica ends") from None
            raise

    @contextlib.contextmanager
    def whole(self) -> Generator[None, None, None]:
        """What is done inside is not broken off by `end`, which waits for it."""
        self._is_whole = True
        try:
            yield
        finally:
            self._is_whole = False

    async def end(self) -> None:
        """Begin nothing any more; break off what is being done, where it can be, and wait for its end."""
        self._is_over = True
        if self._task is not None and not self._task.done():
            if not self._is_whole:
                self._task.cancel()
            await asyncio.wait({self._task})
