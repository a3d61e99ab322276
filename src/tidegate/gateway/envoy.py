"""The gateway on Envoy: decisions in `resources` and `stats`, files in `files`, each process in `member`.

Several Envoys share the port and read the same files, so that none of them can take the gateway with it when it is
killed.

To apply a snapshot is to write files and wait until every Envoy itself reports their versions. The order keeps every
request answered: clusters appear before a route names them, and go after no route does. A change of split writes one
file.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from tidegate.contract.errors import Unavailable
from tidegate.gateway import process, resources, served_notes, stats
from tidegate.gateway.admin import Admin
from tidegate.gateway.base import (
    DEFAULT_ENVOYS,
    LOOPBACK,
    Applied,
    Endpoint,
    GatewayReading,
    NotesPosition,
    NotesPositions,
    RevisionRef,
    Served,
    ServedNotes,
    Snapshot,
    from_here,
)
from tidegate.gateway.files import GatewayFolder, Put
from tidegate.gateway.member import Member
from tidegate.gateway.resources import ClusterKey, Kind
from tidegate.gateway.starting import OwnChildren, Starter

log = logging.getLogger(__name__)

T = TypeVar("T")

_APPLY_SECONDS = 5.0
_POLL_SECONDS = 0.001


class EnvoyGateway:
    """A `Gateway` whose Envoys keep their files in one folder.

    Args:
        folder: the gateway's own folder; whoever opens it again finds the same Envoys.
        host, port: where users reach the deployments. Port 0 lets the system choose; a restart keeps that port while
            it is free.
        envoys: how many share the port. Those of an earlier start that are beyond this number are ended.
        workers: threads of each Envoy that forward requests, by default half of the cores for all of them together,
            since the models need theirs.
        starter: who is the parent of the Envoys; this process where it is None.
    """

    def __init__(
        self,
        folder: Path,
        host: str = LOOPBACK,
        port: int = 8080,
        *,
        envoys: int = DEFAULT_ENVOYS,
        workers: int | None = None,
        starter: Starter | None = None,
    ) -> None:
        self._folder = GatewayFolder(folder)
        self._starter = starter or OwnChildren(self._folder)
        self._host = host
        self._port = port
        self._workers = workers or max(1, min(8, (os.cpu_count() or 2) // (2 * envoys)))
        self._members = [Member(self._folder, number, self._starter) for number in range(1, envoys + 1)]
        self._surplus = [Member(self._folder, number) for number in self._folder.members() if number > envoys]
        self._confirmed: tuple[Snapshot, Applied] | None = None
        self._starting = asyncio.Lock()
        self._applying = asyncio.Lock()
        self._joining: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where users on this machine reach the gateway, without a slash at the end. With port 0, known once it ran."""
        reached = from_here(self._host)
        host = f"[{reached}]" if ":" in reached else reached
        return f"http://{host}:{self.port}"

    @property
    def port(self) -> int:
        """Where users reach the gateway; 0 when the system is to choose and has not yet."""
        if self._port:
            return self._port
        records = [member.record or process.load_record(member.folder) for member in self._all()]
        running = [member.record for member in self._running()]
        return next((record.port for record in (*running, *records) if record is not None), 0)

    # -- the processes -----------------------------------------------------------------------------------------------

    def _all(self) -> list[Member]:
        return [*self._members, *self._surplus]

    def _running(self) -> list[Member]:
        return [member for member in self._members if member.is_running()]

    @property
    def is_apart(self) -> bool:
        """Whether it is in a container of its own, which does not end with the controller's."""
        return self._starter.is_apart

    def is_whole(self) -> bool:
        """See `Gateway.is_whole`."""
        return len(self._running()) == len(self._members)

    def watches(self, revisions: int) -> int:
        """See `Gateway.watches`: each Envoy has one for every cluster."""
        # And a preview; in a test of several arms also that of another one, before the first is gone.
        return len(self._members) * (resources.CLUSTERS_OF_A_REVISION * revisions + min(revisions, 2))

    async def ensure_running(self) -> None:
        """See `Gateway.ensure_running`. Cheap while all run: one look at each process."""
        async with self._starting:
            if self.is_whole() or await self._are_joining():
                return
            await asyncio.to_thread(self._folder.prepare)
            for member in self._members:
                if not member.is_running():
                    await member.adopt(self._host, self._port or (self.port if self._running() else 0))
            if self._running():
                self._joining = asyncio.create_task(self._join())
            else:
                await self._start()
        await self.apply(self.snapshot())

    async def _are_joining(self) -> bool:
        """Say whether Envoys are being started beside those that run; raises what their start failed of."""
        task = self._joining
        if task is None or not self._running():
            return False
        if not task.done():
            return True
        self._joining = None
        task.result()
        return False

    async def _start(self) -> None:
        """Start all, on the files of what they were told last."""
        await self._end_surplus()
        snapshot = self.snapshot()
        keys = set(resources.clusters(snapshot))
        self._put_endpoints(snapshot, None, keys)
        self._folder.put_clusters(keys)
        self._folder.put_routes(snapshot)
        earlier = self.port
        wanted = self._port or (earlier if process.is_free(self._host, earlier) else 0)
        with process.reserved_port(self._host, wanted) as port:
            starts = (member.start(self._host, port, self._workers) for member in self._members)
            failures = [found for found in await asyncio.gather(*starts, return_exceptions=True) if found is not None]
        if failures:
            raise failures[0]

    async def _join(self) -> None:
        """Start those that do not run beside those that do."""
        port = self.port
        for member in self._members:
            if not member.is_running():
                await member.start(self._host, port, self._workers)
                log.info("the gateway's %s is there again", member)
        await self._end_surplus()
        # What is in force has not been confirmed by the new ones.
        self._confirmed = None
        await self.apply(self.snapshot())

    async def _end_surplus(self) -> None:
        """End the Envoys that an earlier start had more, which nobody tells of new splits any more."""
        await asyncio.gather(*(member.stop() for member in self._surplus))

    async def _end_joining(self) -> None:
        task, self._joining = self._joining, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def stop(self) -> None:
        """See `Gateway.stop`. Also ends Envoys of this folder that somebody else started."""
        async with self._starting:
            await self._end_joining()
            await asyncio.gather(*(member.stop() for member in self._all()))
            self._confirmed = None

    async def close(self) -> None:
        """Let go of the connections to the Envoys and leave them running."""
        await self._end_joining()
        for member in self._members:
            await member.close()

    # -- the configuration -------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """See `Gateway.snapshot`."""
        return self._folder.load_snapshot()

    def remember(self, snapshot: Snapshot) -> None:
        """Keep a snapshot without telling Envoy: `ensure_running` puts it in force."""
        self._folder.prepare()
        self._folder.save_snapshot(snapshot)

    async def apply(self, snapshot: Snapshot) -> Applied:
        """See `Gateway.apply`. Where no Envoy runs, the snapshot is kept for when one does."""
        started = time.perf_counter()
        async with self._applying:
            confirmed, before = self._confirmed, None
            if confirmed is not None and self._running():
                before = confirmed[0]
                if before == snapshot:
                    return confirmed[1]
            self._confirmed = None
            self.remember(snapshot)
            self._refuse_absent()
            applied = await self._apply(snapshot, before, started)
            self._confirmed = snapshot, replace(applied, in_force_seconds=0.0)
            return applied

    async def _apply(self, snapshot: Snapshot, before: Snapshot | None, started: float) -> Applied:
        """Write and confirm what differs from the snapshot that is in force, everything when none is known to be."""
        needed = set(resources.clusters(snapshot))
        known = self._folder.known_clusters() if before is None else set(resources.clusters(before))
        puts = self._put_endpoints(snapshot, before, needed | known)
        if before is None or not needed <= known:
            puts[stats.CLUSTERS_VERSION] = self._folder.put_clusters(needed | known)
        # A split is not held up by a preview, which answers 503 until its cluster is there.
        is_preview = _concern_previews(puts, needed - known)
        if puts and not is_preview:
            await self._in_force(puts)
            await self._warmed(needed - known)
        routes = self._folder.put_routes(snapshot)
        await self._in_force({stats.ROUTES_VERSION: routes})
        in_force_seconds = time.perf_counter() - started if routes.changed else 0.0
        if is_preview:
            await self._in_force(puts)
            await self._warmed(needed - known)
        if surplus := known - needed:
            await self._in_force({stats.CLUSTERS_VERSION: self._folder.put_clusters(needed)})
            for key in surplus:
                self._folder.drop_endpoints(key)
        return Applied(routes.version, in_force_seconds)

    def _put_endpoints(self, snapshot: Snapshot, before: Snapshot | None, keys: set[ClusterKey]) -> dict[str, Put]:
        """Write the endpoints that differ; return them by the name under which Envoy reports their version."""
        there = set() if before is None else set(resources.clusters(before))
        return {
            f"cluster.{resources.cluster_name(key)}.version_text": self._folder.put_endpoints(key, replicas)
            for key in sorted(keys)
            for replicas in [snapshot.replicas(key.ref)]
            # A cluster reads its endpoints as soon as it is made, so they are there first, be there none.
            if before is None or key not in there or before.replicas(key.ref) != replicas
        }

    async def _in_force(self, puts: Mapping[str, Put]) -> None:
        """Wait until every Envoy reports these versions."""

        async def late(admin: Admin) -> list[str]:
            values = stats.parse_values(await admin.get("/stats", stats.versions_query(puts)))
            return sorted(name for name, put in puts.items() if values.get(name) != put.version)

        await self._until_empty(late)

    async def _warmed(self, keys: Iterable[ClusterKey]) -> None:
        """Wait until the new clusters have done their first health checks: before that they answer nothing."""
        if not keys:
            return
        names = {f"cluster.{resources.cluster_name(key)}.warming_state" for key in keys}

        async def warming(admin: Admin) -> list[str]:
            values = stats.parse_values(await admin.get("/stats", stats.WARMING_QUERY))
            return sorted(name for name in names if values.get(name, 1))

        await self._until_empty(warming)

    async def _until_empty(self, ask: Callable[[Admin], Awaitable[list[str]]]) -> None:
        async def wait(member: Member) -> None:
            deadline = time.monotonic() + _APPLY_SECONDS
            while late := await ask(member.admin):
                if time.monotonic() > deadline:
                    raise Unavailable(
                        f"the gateway ({member}) did not take a new configuration within {_APPLY_SECONDS:.0f} s",
                        subject=", ".join(late),
                        got=member.last_words(),
                    )
                await asyncio.sleep(_POLL_SECONDS)

        await self._of_each(wait)

    async def _of_each(self, ask: Callable[[Member], Coroutine[Any, Any, T]]) -> list[T]:
        """Return what each of the Envoys that run answers. One that ends meanwhile answers nothing.

        Raises:
            Unavailable: none runs, or one that goes on running does not answer.
        """
        asked = self._running()
        answers = await asyncio.gather(*map(ask, asked), return_exceptions=True)
        for member, answer in zip(asked, answers, strict=True):
            if isinstance(answer, BaseException) and (member.is_running() or not isinstance(answer, Unavailable)):
                raise answer
        self._refuse_absent()
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    def _refuse_absent(self) -> None:
        if not self._running():
            raise Unavailable(
                "the gateway (Envoy) does not run",
                subject=str(self._folder.root),
                hint="`tidegate up` starts it",
            )

    # -- the counters ------------------------------------------------------------------------------------------------

    async def read(self) -> GatewayReading:
        """See `Gateway.read`."""
        processes = await self._of_each(Member.counts)
        return GatewayReading(at=datetime.now(UTC), processes=tuple(processes))

    async def healthy(self) -> Mapping[RevisionRef, frozenset[Endpoint]]:
        """See `Gateway.healthy`."""
        pages = await self._of_each(lambda member: member.admin.get("/clusters", {"format": "json"}))
        endpoints = self.snapshot().endpoints
        return stats.healthy_in_all([stats.parse_healthy(page, endpoints) for page in pages])

    # -- what was served ---------------------------------------------------------------------------------------------

    async def served(self, after: NotesPositions) -> ServedNotes:
        """See `Gateway.served`. How the files are turned over is told in `gateway.served_notes`."""
        entries: list[Served] = []
        positions = dict(after)
        for member in self._all():
            position = after.get(member.number, NotesPosition())
            page = await asyncio.to_thread(served_notes.read, member.folder.served, position)
            # One that does not run begins a new file when it starts.
            if page.wants_reopening and member.is_running():
                await member.admin.reopen_logs()
            entries += page.entries
            if page.position != NotesPosition():
                positions[member.number] = page.position
        return ServedNotes(tuple(sorted(entries, key=lambda entry: entry.at_ms)), positions)


def _concern_previews(puts: Mapping[str, Put], new: set[ClusterKey]) -> bool:
    """Say whether all that is new are clusters for previews, and no other endpoints changed."""
    names = {f"cluster.{resources.cluster_name(key)}.version_text" for key in new}
    return bool(new) and all(key.kind is Kind.PREVIEW for key in new) and set(puts) <= {*names, stats.CLUSTERS_VERSION}
