"""One replica's folder: `replicas/<deployment>/<revision>/<index>/`, with all that outlives the controller.

- `held`: locked (`flock`) from before the process starts until it is gone. The lock is taken by us and inherited by the
  process, so at no moment, wherever the controller is killed, is there a living process without it. It says whether
  the replica lives, and it makes a second copy impossible.
- `lock`: the server's own, which guards against copies that we did not start.
- `spec.json`: what runs, written before the process starts.
- `state.json`: pid and address, written by the server once it listens.
- `worker-deaths`: how many workers of a living replica died, written by the server.
- `slot.json`: restarts, last exit, delays: `lifecycle.SlotRecord`.
- `log`: what the process writes.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.boot import boot_id
from tidegate.contract.request import Platform
from tidegate.gateway.base import Endpoint, RevisionRef
from tidegate.gateway.files import read_json, write_json
from tidegate.gateway.os_process import OsProcess, is_locked
from tidegate.target.lifecycle import SlotRecord, after_reboot

#: A log larger than this is set aside when the process is started again; one earlier log is kept.
_LOG_BYTES = 5_000_000


@dataclass(frozen=True)
class ReplicaState:
    """What the server said of itself in `state.json`."""

    process: OsProcess
    endpoint: Endpoint


class Slot:
    """The folder of one replica; exists on disk from `prepare` to `clear`."""

    def __init__(self, home: Path, ref: RevisionRef, index: int) -> None:
        self.ref = ref
        self.index = index
        self.folder = home / "replicas" / ref.deployment / str(ref.revision) / str(index)
        self.log = self.folder / "log"
        self.kept_log = home / "logs" / "replicas" / f"{ref.deployment}.{ref.revision}.{index}.log"

    def prepare(self, spec: Mapping[str, Any]) -> None:
        """Make the folder ready for a new process. Only while holding `hold`."""
        (self.folder / "state.json").unlink(missing_ok=True)
        forget_worker_deaths(self.folder)
        write_json(self.folder / "spec.json", spec)
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
            self.log.replace(self.folder / "log.1")

    def hold(self) -> int | None:
        """Lock the replica; return the open file to hand to its process, None when a process lives."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = os.open(self.folder / "held", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(held)
            return None
        return held

    def is_alive(self) -> bool:
        """Say whether a process of this replica lives, whoever started it."""
        return is_locked(self.folder / "held")

    def state(self) -> ReplicaState | None:
        """Return what the process said of itself; None before it listens."""
        document = read_json(self.folder / "state.json")
        if document is None:
            return None
        return ReplicaState(
            OsProcess(document["pid"], document["born"]),
            Endpoint(document["host"], document["port"], document.get("grpc_port")),
        )

    def platform(self) -> Platform:
        """Return what runs it, as it was last started; the machine itself where it never was."""
        platform: Platform = (read_json(self.folder / "spec.json") or {}).get("platform", "local")
        return platform

    def record(self) -> SlotRecord:
        document = read_json(self.folder / "slot.json")
        if document is None:
            return SlotRecord()
        record = SlotRecord.from_dict(document)
        return record if document.get("boot") == boot_id() else after_reboot(record)

    def save(self, record: SlotRecord) -> None:
        write_json(self.folder / "slot.json", {"boot": boot_id(), **record.as_dict()})

    def clear(self) -> None:
        """Remove the folder of a replica that is gone, and keep its log."""
        if self.log.exists():
            self.kept_log.parent.mkdir(parents=True, exist_ok=True)
            self.log.replace(self.kept_log)
        shutil.rmtree(self.folder, ignore_errors=True)
        for parent in list(self.folder.parents)[:2]:
            with suppress(OSError):  # another replica is still there
                parent.rmdir()

    def tail(self, lines: int) -> list[str]:
        """Return the last lines of the log, of the kept one when the replica is gone."""
        return tail(self.log if self.log.exists() else self.kept_log, lines)


def slots_of(home: Path, ref: RevisionRef) -> dict[int, Slot]:
    """Return the replicas of a revision that have a folder, by index."""
    folder = home / "replicas" / ref.deployment / str(ref.revision)
    return {index: Slot(home, ref, index) for index in sorted(_numbers(folder))}


def revisions_of(home: Path) -> list[RevisionRef]:
    """Return the revisions that have a replica's folder, sorted."""
    root = home / "replicas"
    names = [entry.name for entry in root.iterdir() if entry.is_dir()] if root.exists() else []
    found = [RevisionRef(name, number) for name in names for number in _numbers(root / name)]
    return sorted(ref for ref in found if slots_of(home, ref))


def worker_deaths(folder: Path) -> int:
    """Return how many workers died under the copy that lives, or under the one that was last found dead.

    Args:
        folder: in which the replica writes.
    """
    try:
        return int((folder / "worker-deaths").read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return 0


def forget_worker_deaths(folder: Path) -> None:
    (folder / "worker-deaths").unlink(missing_ok=True)


def _numbers(folder: Path) -> Iterator[int]:
    if folder.is_dir():
        yield from (int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal())


def tail(path: Path, lines: int, block: int = 65536) -> list[str]:
    """Return the last lines of a text file, reading no more of it than needed; none when it does not exist."""
    if lines <= 0:
        return []
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        return []
    with stream:
        position = stream.seek(0, os.SEEK_END)
        content = b""
        while position > 0 and content.count(b"\n") <= lines:
            step = min(block, position)
            position -= step
            stream.seek(position)
            content = stream.read(step) + content
    return content.decode(errors="replace").splitlines()[-lines:]
