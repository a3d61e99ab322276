"""The gateway on Envoy: decisions in `resources` and `stats`, files in `files`, the process in `process`.

To apply a snapshot is to write files and wait until Envoy itself reports their versions. The order keeps every request
answered: clusters appear before a route names them, and go after no route does. A change of split writes one file.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tidegate.contract.errors import Conflict, InvalidInput, Unavailable
from tidegate.gateway import process, resources, served_notes, stats
from tidegate.gateway.admin import Admin
from tidegate.gateway.base import (
    Applied,
    Endpoint,
    GatewayReading,
    NotesPosition,
    RevisionRef,
    ServedNotes,
    Snapshot,
)
from tidegate.gateway.files import GatewayFolder, Put
from tidegate.gateway.os_process import OsProcess
from tidegate.gateway.process import EnvoyRecord

_APPLY_SECONDS = 5.0
_START_SECONDS = 20.0
_POLL_SECONDS = 0.001

#: How long `stop` lets requests in flight finish.
_DRAIN_SECONDS = 3.0


class EnvoyGateway:
    """A `Gateway` whose Envoy keeps its files in one folder.

    Args:
        folder: the gateway's own folder; whoever opens it again finds the same Envoy.
        host, port: where users reach the deployments. Port 0 lets the system choose; a restart keeps that port while
            it is free.
        workers: threads that forward requests, by default half of the cores, since the models need theirs.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1", port: int = 8080, *, workers: int | None = None) -> None:
        self._folder = GatewayFolder(folder)
        self._host = host
        self._port = port
        self._workers = workers or max(1, min(8, (os.cpu_count() or 2) // 2))
        self._record: EnvoyRecord | None = None
        self._admin: Admin | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._confirmed: tuple[Snapshot, Applied] | None = None
        self._starting = asyncio.Lock()
        self._applying = asyncio.Lock()

    @property
    def url(self) -> str:
        """Where users reach the gateway, without a slash at the end. With port 0, known once it runs or ran."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    @property
    def port(self) -> int:
        """Where users reach the gateway; 0 when the system is to choose and has not yet."""
        record = self._record or process.load_record(self._folder)
        return self._port or (record.port if record is not None else 0)

    # -- the process -------------------------------------------------------------------------------------------------

    async def ensure_running(self) -> None:
        """See `Gateway.ensure_running`. Cheap while Envoy runs: one look at its process."""
        async with self._starting:
            if self._is_running():
                return
            await self._forget()
            await asyncio.to_thread(self._folder.prepare)
            found = await process.find(self._folder)
            if found is None:
                await self._start()
            else:
                await self._adopt(found.pid, found.born, await self._admin_port(found))
        await self.apply(self.snapshot())

    def _is_running(self) -> bool:
        if self._child is not None and self._child.poll() is not None:
            return False
        return self._record is not None and self._record.process.is_alive()

    async def _start(self) -> None:
        snapshot = self.snapshot()
        refs = set(resources.revisions(snapshot))
        self._put_endpoints(snapshot, None, refs)
        self._folder.put_clusters(refs)
        self._folder.put_routes(snapshot)
        port = self._port or self._earlier_port()
        child = process.spawn(self._folder, self._host, port, self._workers)
        self._child = child
        deadline = time.monotonic() + _START_SECONDS
        while (admin_port := process.read_admin_port(self._folder)) is None:
            self._refuse_dead(child, port, deadline)
            await asyncio.sleep(_POLL_SECONDS)
        admin = Admin(admin_port)
        try:
            while not await admin.is_serving():
                self._refuse_dead(child, port, deadline)
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            await admin.close()
        found = OsProcess.of(child.pid)
        if found is None:
            raise process.ended_at_start(self._folder, self._host, port, child.poll())
        await self._adopt(found.pid, found.born, admin_port)

    def _earlier_port(self) -> int:
        """Return the port that the system chose before, 0 when it is to choose another."""
        port = self.port
        try:
            process.refuse_taken_port(self._host, port)
        except InvalidInput:
            return 0
        return port

    def _refuse_dead(self, child: subprocess.Popen[bytes], port: int, deadline: float) -> None:
        if child.poll() is not None:
            raise process.ended_at_start(self._folder, self._host, port, child.returncode)
        if time.monotonic() > deadline:
            child.kill()
            child.wait()
            raise Unavailable(
                f"the gateway (Envoy) was not ready after {_START_SECONDS:.0f} s",
                subject=str(self._folder.log),
                got="\n".join(process.last_lines(self._folder.log, 5)) or None,
            )

    async def _adopt(self, pid: int, born: str, admin_port: int) -> None:
        admin = Admin(admin_port)
        try:
            listener = await self._listener(admin)
            self._refuse_elsewhere(*listener)
        except BaseException:
            await admin.close()
            raise
        self._admin = admin
        self._record = EnvoyRecord(pid, born, admin_port, *listener)
        if process.load_record(self._folder) != self._record:
            process.save_record(self._folder, self._record)

    async def _admin_port(self, found: OsProcess) -> int:
        """Return the port of the admin page, waiting for an Envoy that was only just started."""
        deadline = time.monotonic() + _APPLY_SECONDS
        while (port := process.read_admin_port(self._folder)) is None:
            if time.monotonic() > deadline or not found.is_alive():
                raise Unavailable(
                    "a gateway (Envoy) runs and does not say where its admin page is",
                    subject=str(self._folder.admin_address),
                    hint="`tidegate down` ends it",
                )
            await asyncio.sleep(_POLL_SECONDS)
        return port

    async def _listener(self, admin: Admin) -> tuple[str, int]:
        """Return where Envoy listens, waiting for one that another controller has only just started."""
        deadline = time.monotonic() + _APPLY_SECONDS
        while True:
            listener = await admin.listener() if await admin.is_serving() else None
            if listener is not None:
                return listener
            if time.monotonic() > deadline:
                raise Unavailable(
                    "a gateway (Envoy) runs but does not listen",
                    subject=str(self._folder.root),
                    hint="`tidegate down` ends it",
                )
            await asyncio.sleep(_POLL_SECONDS)

    def _refuse_elsewhere(self, host: str, port: int) -> None:
        if self._port not in (0, port) or host != self._host:
            raise Conflict(
                f"the gateway already runs on {host}:{port}",
                subject=f"{host}:{port}",
                expected=f"{self._host}:{self._port}",
                hint=f"go on with `--gateway-port {port}`, or type `tidegate down` first",
            )

    async def stop(self) -> None:
        """See `Gateway.stop`. Also ends an Envoy of this folder that somebody else started."""
        async with self._starting:
            found = await process.find(self._folder)
            if found is not None:
                await self._drain()
                await found.end(grace_seconds=3.0)
            if self._child is not None:
                self._child.wait()
                self._child = None
            await self._forget()

    async def _drain(self) -> None:
        port = process.read_admin_port(self._folder)
        if port is None:
            return
        admin = Admin(port)
        deadline = time.monotonic() + _DRAIN_SECONDS
        query = {"format": "json", "filter": f"^{stats.ACTIVE_REQUESTS}$"}
        try:
            await admin.stop_accepting()
            while stats.parse_values(await admin.get("/stats", query)).get(stats.ACTIVE_REQUESTS):
                if time.monotonic() > deadline:
                    return
                await asyncio.sleep(0.01)
        except Unavailable:
            # It is about to be ended in any case, and a process that does not answer has nothing left to finish.
            return
        finally:
            await admin.close()

    async def close(self) -> None:
        """Let go of the connection to Envoy and leave it running."""
        if self._admin is not None:
            await self._admin.close()

    async def _forget(self) -> None:
        await self.close()
        self._admin = None
        self._record = None
        self._confirmed = None

    # -- the configuration -------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """See `Gateway.snapshot`."""
        return self._folder.load_snapshot()

    def remember(self, snapshot: Snapshot) -> None:
        """Keep a snapshot without telling Envoy: `ensure_running` puts it in force."""
        self._folder.prepare()
        self._folder.save_snapshot(snapshot)

    async def apply(self, snapshot: Snapshot) -> Applied:
        """See `Gateway.apply`. Where Envoy does not run, the snapshot is kept for when it does."""
        started = time.perf_counter()
        async with self._applying:
            confirmed, before = self._confirmed, None
            if confirmed is not None and self._is_running():
                before = confirmed[0]
                if before == snapshot:
                    return confirmed[1]
            self._confirmed = None
            self.remember(snapshot)
            applied = await self._apply(self._running_admin(), snapshot, before, started)
            self._confirmed = snapshot, replace(applied, in_force_seconds=0.0)
            return applied

    async def _apply(self, admin: Admin, snapshot: Snapshot, before: Snapshot | None, started: float) -> Applied:
        """Write and confirm what differs from the snapshot that is in force, everything when none is known to be."""
        needed = set(resources.revisions(snapshot))
        known = self._folder.known_clusters() if before is None else set(resources.revisions(before))
        puts = self._put_endpoints(snapshot, before, needed | known)
        if before is None or not needed <= known:
            puts[stats.CLUSTERS_VERSION] = self._folder.put_clusters(needed | known)
        if puts:
            await self._in_force(admin, puts)
            await self._warmed(admin, needed - known)
        routes = self._folder.put_routes(snapshot)
        await self._in_force(admin, {stats.ROUTES_VERSION: routes})
        in_force_seconds = time.perf_counter() - started if routes.changed else 0.0
        if surplus := known - needed:
            await self._in_force(admin, {stats.CLUSTERS_VERSION: self._folder.put_clusters(needed)})
            for ref in surplus:
                self._folder.drop_endpoints(ref)
        return Applied(routes.version, in_force_seconds)

    def _put_endpoints(self, snapshot: Snapshot, before: Snapshot | None, refs: set[RevisionRef]) -> dict[str, Put]:
        """Write the endpoints that differ; return them by the name under which Envoy reports their version."""
        return {
            f"cluster.{resources.cluster_name(key)}.version_text": self._folder.put_endpoints(key, replicas)
            for key in resources.clusters_of(refs)
            for replicas in [snapshot.replicas(key.ref)]
            # A cluster reads its endpoints as soon as it is made, so they are there first, be there none.
            if before is None or key.ref not in before.endpoints or before.replicas(key.ref) != replicas
        }

    async def _in_force(self, admin: Admin, puts: Mapping[str, Put]) -> None:
        """Wait until Envoy reports these versions."""

        async def late() -> list[str]:
            values = stats.parse_values(await admin.get("/stats", stats.versions_query(puts)))
            return sorted(name for name, put in puts.items() if values.get(name) != put.version)

        await self._until_empty(late)

    async def _warmed(self, admin: Admin, refs: Iterable[RevisionRef]) -> None:
        """Wait until the new clusters have done their first health checks: before that they answer nothing."""
        if not refs:
            return
        names = {f"cluster.{resources.cluster_name(key)}.warming_state" for key in resources.clusters_of(refs)}

        async def warming() -> list[str]:
            values = stats.parse_values(await admin.get("/stats", stats.WARMING_QUERY))
            return sorted(name for name in names if values.get(name, 1))

        await self._until_empty(warming)

    async def _until_empty(self, ask: Callable[[], Awaitable[list[str]]]) -> None:
        deadline = time.monotonic() + _APPLY_SECONDS
        while late := await ask():
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"the gateway (Envoy) did not take a new configuration within {_APPLY_SECONDS:.0f} s",
                    subject=", ".join(late),
                    got="\n".join(process.last_lines(self._folder.log, 5)) or None,
                )
            await asyncio.sleep(_POLL_SECONDS)

    # -- the counters ------------------------------------------------------------------------------------------------

    async def read(self) -> GatewayReading:
        """See `Gateway.read`. What the numbers mean is told in `gateway.stats`."""
        admin = self._running_admin()
        record = self._record
        page = await admin.get("/stats", stats.COUNTS_QUERY)
        epoch = record.epoch if record is not None else ""
        return GatewayReading(epoch=epoch, at=datetime.now(UTC), counts=stats.parse_counts(page))

    async def healthy(self) -> Mapping[RevisionRef, frozenset[Endpoint]]:
        """See `Gateway.healthy`."""
        page = await self._running_admin().get("/clusters", {"format": "json"})
        return stats.parse_healthy(page, self.snapshot().endpoints)

    # -- what was served ---------------------------------------------------------------------------------------------

    async def served(self, after: NotesPosition) -> ServedNotes:
        """See `Gateway.served`. How the file is turned over is told in `gateway.served_notes`."""
        page = await asyncio.to_thread(served_notes.read, self._folder.served, after)
        if page.wants_reopening:
            await self._running_admin().reopen_logs()
        return page.notes

    def _running_admin(self) -> Admin:
        if self._admin is None or not self._is_running():
            raise Unavailable(
                "the gateway (Envoy) does not run",
                subject=str(self._folder.root),
                hint="`tidegate up` starts it",
            )
        return self._admin
