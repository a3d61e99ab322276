"""Reads the log of predictions of each stable revision whose request asks for drift, at its rhythm.

The work is done by a process of its own, of one deployment at a time. After it, nothing is read for several times as
long as it took, so that all of it together takes a small part of a core, however short intervals are.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tidegate.artifact.build import error_from_dict
from tidegate.contract.drift import Drift
from tidegate.contract.errors import NotFound, TidegateError, Unavailable
from tidegate.controller import planning
from tidegate.controller.drift.log_process import SECONDS, Job
from tidegate.controller.drift.log_readings import (
    AspectSeen,
    Times,
    aspects_of,
    happened,
    look_after,
    stored,
    times_of,
    why_not_logged,
)
from tidegate.controller.drift.watcher import ASK_SECONDS, RETRY_SECONDS
from tidegate.health.subprocesses import environment
from tidegate.store import AspectRow, DeploymentRow, Store
from tidegate.store.address import whole_form
from tidegate.store.predictions import first_at, has_news

log = logging.getLogger(__name__)

#: Before anything was looked at.
_NOT_YET = "nothing was read yet"
#: A reading that took a second is followed by so many without one.
_PAUSE = 4.0
#: Of the machine, for who would take them all.
_ONE_CORE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
#: What the process may say.
_MOST_SAID = 16 << 20


@dataclass
class _Watched:
    """One revision whose log is read.

    Attributes:
        since: when it was made.
        seen: by aspect.
        due: when something is to be done next, in seconds of the clock that only grows.
        read_at: up to when the log was read; None before the first time.
    """

    deployment: DeploymentRow
    revision: int
    since: datetime
    drift: Drift
    sink: str | None
    seen: dict[str, AspectSeen] = field(default_factory=dict)
    due: float = 0.0
    read_at: datetime | None = None
    trouble: str | None = None


class LogWatcher:
    """Start `run` once, as a task of the controller that leads.

    Args:
        now, clock: the time, and seconds of a clock that only grows.
    """

    def __init__(
        self,
        store: Store,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._now = now
        self._clock = clock
        self._watched: dict[str, _Watched] = {}
        #: Revisions that ask for nothing.
        self._idle: set[tuple[int, int]] = set()

    def seen(self, name: str) -> Mapping[str, AspectSeen]:
        """Return what is known by aspect of a deployment's log; nothing where nobody asked, or nothing serves yet."""
        found = self._watched.get(name)
        return {} if found is None else dict(found.seen)

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                await self.look()
            except Exception:  # a full disk, say
                log.exception("no log of predictions could be read for drift; trying again")
            await asyncio.sleep(ASK_SECONDS)

    async def look(self) -> None:
        """Make the readings that are due, one deployment after the other."""
        self._watched = {one.deployment.name: one for one in await asyncio.to_thread(self._wanted)}
        for one in list(self._watched.values()):
            began = self._clock()
            if began < one.due:
                continue
            try:
                await self._look_at(one)
                one.trouble = None
            except NotFound:
                continue  # it was deleted meanwhile
            except Exception as error:  # noqa: BLE001 -- one that cannot be read must not keep the others from it
                _note(one, error)
                one.due = self._clock() + RETRY_SECONDS
                continue
            ended = self._clock()
            one.due = max(began + one.drift.interval.seconds, ended + _PAUSE * (ended - began))

    def _wanted(self) -> list[_Watched]:
        found = []
        for deployment in self._store.deployments():
            key = deployment.id, deployment.stable or 0
            if deployment.stable is None or key in self._idle:
                continue
            known = self._watched.get(deployment.name)
            if known is None or (known.deployment.id, known.revision) != key:
                known = self._begun(deployment, deployment.stable)
            if known is not None:
                found.append(known)
        return found

    def _begun(self, deployment: DeploymentRow, number: int) -> _Watched | None:
        row = self._store.revision(deployment.id, number)
        request = planning.request_of(row)
        if request.drift is None:
            self._idle.add((deployment.id, number))
            return None
        one = _Watched(deployment, number, row.created_at, request.drift, request.prediction_log.sink)
        self._recall(one)
        return one

    def _recall(self, one: _Watched) -> None:
        """Take over the last readings that were stored."""
        for aspect in aspects_of(one.drift):
            # Of an earlier deployment of the name there may be readings of a revision of this number.
            found = self._store.aspects.newest(
                one.deployment.name, aspect, since=one.since, limit=1, revision=one.revision
            )
            one.seen[aspect] = AspectSeen(found[-1] if found else None, None if found else _NOT_YET)

    async def _look_at(self, one: _Watched) -> None:
        now = self._now()
        times = await asyncio.to_thread(self._times, one, now)
        if isinstance(times, str):
            one.seen = {aspect: AspectSeen(seen.last, times) for aspect, seen in one.seen.items()}
        elif times is not None:
            found = await _asked(self._job(one, times))
            await asyncio.to_thread(self._keep, one, times, found)
            one.read_at = now

    def _times(self, one: _Watched, now: datetime) -> Times | str | None:
        """Return what is to be compared, why there is nothing, or None where nothing is new since the last time."""
        if one.trouble is not None:
            # A database that went away may have stored what it was given, and not have said so.
            self._recall(one)
        why = why_not_logged(one.sink)
        if why is not None:
            return why
        database, name = self._store.database, one.deployment.name
        first = first_at(database, name, one.revision, one.since)
        if first is None:
            return f"the store has no logged prediction of revision {one.revision}"
        times = times_of(one.drift, first, now)
        is_old = one.read_at is not None and not has_news(database, name, one.read_at)
        return None if is_old and isinstance(times, Times) else times

    def _job(self, one: _Watched, times: Times) -> Job:
        spans = {
            name: (span[0].isoformat(), span[1].isoformat())
            for name, span in (("reference", times.reference), ("current", times.current), ("recent", times.recent))
        }
        looks = {aspect: look_after(seen.last) for aspect, seen in one.seen.items()}
        return Job(
            whole_form(self._store.address),
            one.deployment.name,
            one.revision,
            one.drift.as_document(),
            looks=looks,
            **spans,
        )

    def _keep(self, one: _Watched, times: Times, found: Mapping[str, Any]) -> None:
        name, revision, period = one.deployment.name, one.revision, timedelta(seconds=one.drift.period.seconds)
        seen, rows, events = dict(one.seen), list[AspectRow](), []
        for aspect, before in one.seen.items():
            told = found[aspect]
            if "why" in told:
                seen[aspect] = AspectSeen(before.last, told["why"])
                continue
            row = stored(told, aspect, before.last, times, deployment=name, revision=revision, period=period)
            rows.append(row)
            events += [event for event in [happened(before.last, row)] if event is not None]
            seen[aspect] = AspectSeen(row)
        if rows:
            self._store.save_aspects(one.deployment.id, rows, events)
        one.seen = seen
        for event in events:
            log.info("%s: %s", name, event.message)


def _note(one: _Watched, error: Exception) -> None:
    """Remember why a log cannot be read, and tell it where that is new."""
    trouble = f"the log of predictions could not be read: {error}"
    if trouble != one.trouble:
        unexpected = None if isinstance(error, TidegateError) else error
        log.warning("%s: %s; trying again", one.deployment.name, trouble, exc_info=unexpected)
    one.trouble = trouble
    one.seen = {aspect: AspectSeen(seen.last, trouble) for aspect, seen in one.seen.items()}


async def _asked(job: Job) -> Mapping[str, Any]:
    """Return what the process found by aspect; it is gone afterwards.

    Raises:
        TidegateError: it could not be started or did not answer in time, or the store cannot be read.
    """
    # How PostgreSQL is reached may be said in variables of its own.
    inherited = {name: value for name, value in os.environ.items() if name.startswith("PG")}
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tidegate.controller.drift.log_process"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**environment(os.environ, None), **inherited, **_ONE_CORE},
            limit=_MOST_SAID,
        )
    except OSError as error:
        raise Unavailable(f"the process that reads it cannot be started: {error}") from error
    assert process.stdin is not None  # noqa: S101 (they are pipes)
    assert process.stdout is not None  # noqa: S101
    try:
        async with asyncio.timeout(SECONDS):
            process.stdin.write(job.line())
            await process.stdin.drain()
            line = await process.stdout.readline()
        answer = json.loads(line)
    except (TimeoutError, ValueError, OSError) as error:
        raise Unavailable(f"the process that reads it gave no answer within {SECONDS} seconds") from error
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if "error" in answer:
        raise error_from_dict(answer["error"])
    return dict(answer["ok"])
