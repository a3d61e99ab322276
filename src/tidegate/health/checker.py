"""Keeps the checks of all replicas going, beside the loop, and remembers what they say.

What a check says is written into the replica's folder whenever it changes, so that a controller that is started again
neither gives traffic back to a replica that was not well nor takes it from one that was. Attempts that were counted
towards a change are not kept: they are made again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tidegate.gateway.files import read_json, write_json
from tidegate.health.base import Attempt, Attempts, Check, Replica
from tidegate.health.standing import UNTRIED, WELL, Condition, Standing, after, condition, is_due

log = logging.getLogger(__name__)

FILE_NAME = "checks.json"


@dataclass
class _Process:
    """One process of a replica, told by when it was started, and what its checks say."""

    began_at: float
    started_at: float | None = None
    standings: dict[str, Standing] = field(default_factory=dict)
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)


class Checker:
    """Call `look` again and again for each replica; it begins what is due and never waits. Replicas go by folder.

    Args:
        attempts: makes them.
        clock: seconds since the machine booted.
    """

    def __init__(self, attempts: Attempts, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._attempts = attempts
        self._processes: dict[Path, _Process] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def look(
        self, folder: Path, began_at: float, replica: Replica | None, checks: Sequence[Check], *, says_ready: bool
    ) -> Condition:
        """Return how a replica is by its checks; begin the attempts that are due.

        Args:
            folder: of the replica.
            began_at: when its process was started, by the clock; another time is another process.
            replica: None while it does not listen.
            says_ready: whether its server says that it is ready; without a check of its own that is a start.
        """
        if not checks:
            return WELL
        process = self._process(folder, began_at)
        now = self._clock()
        if process.started_at is None and _has_started(checks, process.standings, says_ready=says_ready):
            process.started_at = now
            self._save(folder, process)
        for check in checks:
            if check.name in process.tasks or (check.affects == "startup") == (process.started_at is not None):
                continue
            begins_at = process.began_at if process.started_at is None else process.started_at
            if is_due(check, process.standings.get(check.name, UNTRIED), begins_at, now):
                attempt = self._attempt(folder, process, check, replica)
                process.tasks[check.name] = asyncio.create_task(attempt, name=f"check {check.name}")
        return condition(checks, process.standings, started=process.started_at is not None)

    def standings(self, folder: Path) -> Mapping[str, Standing]:
        """Return what the checks of a replica say, by name; empty for one that was never looked at."""
        process = self._processes.get(folder)
        return {} if process is None else dict(process.standings)

    def forget(self, folder: Path) -> None:
        """Give up the attempts that are under way for a replica whose process is gone."""
        if process := self._processes.pop(folder, None):
            for task in process.tasks.values():
                task.cancel()
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """Give up all attempts; returns when no program of theirs is left."""
        for folder in list(self._processes):
            self.forget(folder)
        await asyncio.gather(*self._ending, return_exceptions=True)
        await self._attempts.close()

    def _process(self, folder: Path, began_at: float) -> _Process:
        process = self._processes.get(folder)
        if process is None:
            process = self._processes[folder] = _load(folder, began_at)
        elif process.began_at != began_at:
            self.forget(folder)
            process = self._processes[folder] = _Process(began_at)
        return process

    async def _attempt(self, folder: Path, process: _Process, check: Check, replica: Replica | None) -> None:
        try:
            try:
                attempt = await self._attempts.make(check, replica)
            except Exception as error:  # an error of ours in one check must not end all checks of the replica
                log.exception("the check %s of %s could not be made", check.name, folder)
                attempt = Attempt(passed=False, detail=f"it could not be made: {type(error).__name__}")
            before = process.standings.get(check.name, UNTRIED)
            standing = process.standings[check.name] = after(check, before, attempt, self._clock())
            if standing.passing is not before.passing:
                self._save(folder, process)
        finally:
            process.tasks.pop(check.name, None)

    def _save(self, folder: Path, process: _Process) -> None:
        if self._processes.get(folder) is not process:
            return
        document = {
            "began_at": process.began_at,
            "started_at": process.started_at,
            "standings": {name: standing.as_dict() for name, standing in process.standings.items()},
        }
        # A full disk, or a folder that is just being removed: the next change is written again.
        with contextlib.suppress(OSError):
            write_json(folder / FILE_NAME, document)


def _has_started(checks: Sequence[Check], standings: Mapping[str, Standing], *, says_ready: bool) -> bool:
    own = [standings.get(check.name, UNTRIED).passing is True for check in checks if check.affects == "startup"]
    return all(own) if own else says_ready


def _load(folder: Path, began_at: float) -> _Process:
    document = read_json(folder / FILE_NAME)
    if document is None or document.get("began_at") != began_at:
        return _Process(began_at)
    standings = {name: Standing.from_dict(found) for name, found in document["standings"].items()}
    return _Process(began_at, document["started_at"], standings)
