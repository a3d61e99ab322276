"""What to do with one replica: pure decisions over what is on record and whether the process lives.

A replica that dies is started again after a delay that doubles from 0.1 s to 5 s as long as it keeps dying young; one
that lived for half a minute starts afresh. One that is no longer wanted is first taken out of the gateway, then asked
to end, then killed.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from signal import Signals
from typing import Any

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 5.0
#: A replica that lived this long did not fail at starting; the delay begins again at the shortest.
SETTLED_SECONDS = 30.0

#: From the gateway's word that a replica gets no more requests to SIGTERM: what it had sent just before arrives.
SETTLE_SECONDS = 0.05
#: A process that lives but does not say where it listens.
START_SECONDS = 60.0

#: How the server says that another copy of the same replica holds its lock.
EXIT_LOCKED = 75


@dataclass(frozen=True)
class SlotRecord:
    """What is known of a replica beyond its process; kept in its folder. Times are seconds since the machine booted.

    Attributes:
        spawned_at: when the process was started; None when none was, or when its death is already counted.
        pid, born: of the process that was started (`boot.birth_of`), None when not known.
        restarts: deaths that were not asked for, of workers too once their replica died.
        early_deaths: how many of the latest deaths in a row came before `SETTLED_SECONDS`.
        not_before: no new process before this time.
        last_exit: how the last process ended.
        killed_because: why we killed the process, None when we did not.
        draining_since, asked_to_end_at, killed_at: how far the ending of a replica that is not wanted has come.
        not_live_kills: how often in a row it was killed because it was not live, without being well since.
        not_live_killed_at: the last time; None where it was well since.
    """

    spawned_at: float | None = None
    pid: int | None = None
    born: str | None = None
    restarts: int = 0
    early_deaths: int = 0
    not_before: float = 0.0
    last_exit: str | None = None
    killed_because: str | None = None
    draining_since: float | None = None
    asked_to_end_at: float | None = None
    killed_at: float | None = None
    not_live_kills: int = 0
    not_live_killed_at: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> SlotRecord:
        known = {name: document[name] for name in cls.__dataclass_fields__ if name in document}
        return cls(**known)


class Step(enum.Enum):
    """The next thing to do with a replica."""

    #: Nothing, for now.
    WAIT = "wait"
    #: The process is gone and nobody asked it to go: count that.
    BURY = "bury"
    #: Start a process.
    SPAWN = "spawn"
    #: Take it out of the gateway.
    DRAIN = "drain"
    #: SIGTERM.
    ASK = "ask"
    #: SIGKILL.
    KILL = "kill"
    #: The process is gone as it should: remove its folder.
    CLEAR = "clear"


def next_step(record: SlotRecord, *, alive: bool, wanted: bool, now: float, grace_seconds: float) -> Step:
    """Return the next thing to do with the replica.

    Args:
        alive: whether a process of this replica lives, whoever started it.
        wanted: whether the replica is to run.
        grace_seconds: from SIGTERM to SIGKILL, and from one SIGKILL to the next.
    """
    if record.draining_since is not None:
        return _ending(record, alive, now, grace_seconds)
    if not wanted:
        return Step.DRAIN if alive else Step.CLEAR
    if alive:
        return Step.WAIT
    if record.spawned_at is not None:
        return Step.BURY
    return Step.SPAWN if now >= record.not_before else Step.WAIT


def _ending(record: SlotRecord, alive: bool, now: float, grace_seconds: float) -> Step:
    if not alive:
        return Step.CLEAR
    if record.asked_to_end_at is None:
        waited = now - (record.draining_since if record.draining_since is not None else now)
        return Step.ASK if waited >= SETTLE_SECONDS else Step.WAIT
    if now - (record.killed_at or record.asked_to_end_at) >= grace_seconds:
        return Step.KILL
    return Step.WAIT


def spawned(record: SlotRecord, pid: int | None, now: float, born: str | None = None) -> SlotRecord:
    """Return the record of a replica whose process was just started, or found running without a record."""
    return replace(record, spawned_at=now, pid=pid, born=born, killed_because=None)


def after_reboot(record: SlotRecord) -> SlotRecord:
    """Return a record of an earlier boot with its times at the beginning of this one; its process died in between."""

    def begun(moment: float | None) -> float | None:
        return None if moment is None else 0.0

    return replace(
        record,
        spawned_at=begun(record.spawned_at),
        pid=None,
        born=None,
        not_before=0.0,
        draining_since=begun(record.draining_since),
        asked_to_end_at=begun(record.asked_to_end_at),
        killed_at=begun(record.killed_at),
        not_live_killed_at=begun(record.not_live_killed_at),
    )


def buried(record: SlotRecord, exit_code: int | None, now: float, *, worker_deaths: int = 0) -> SlotRecord:
    """Return the record of a replica whose process was found dead.

    Args:
        exit_code: as `subprocess` gives it (negative for a signal); None when the process was not our child.
        worker_deaths: of its workers, before it died itself.
    """
    if exit_code == EXIT_LOCKED:
        # Another copy runs, started by somebody else. This one never served, so none died.
        return replace(
            record,
            spawned_at=None,
            pid=None,
            born=None,
            not_before=now + 1.0,
            last_exit="another process holds the lock of this replica",
        )
    lived = now - (record.spawned_at if record.spawned_at is not None else now)
    early_deaths = 1 if lived >= SETTLED_SECONDS else record.early_deaths + 1
    return replace(
        record,
        spawned_at=None,
        pid=None,
        born=None,
        restarts=record.restarts + 1 + worker_deaths,
        early_deaths=early_deaths,
        not_before=now + delay_seconds(early_deaths),
        last_exit=record.killed_because or exit_text(exit_code),
        killed_because=None,
    )


def killed_as_not_live(record: SlotRecord, reason: str, now: float) -> SlotRecord:
    """Return the record of a replica that is killed because it is not live, so that it is started again."""
    killed = replace(record, not_live_kills=record.not_live_kills + 1, not_live_killed_at=now)
    return replace(killed, killed_because=f"killed: {reason}")


def delay_seconds(early_deaths: int) -> float:
    """Return how long to wait after so many early deaths in a row (at least one)."""
    return float(min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(early_deaths - 1, 20)))


def exit_text(exit_code: int | None) -> str:
    """Say how a process ended, e.g. `exit code 1`, `SIGKILL`; `gone` when only its parent, not us, was told."""
    if exit_code is None:
        return "gone"
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return Signals(-exit_code).name
    except ValueError:
        return f"signal {-exit_code}"
