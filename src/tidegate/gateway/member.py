"""One of the gateway's Envoys: started or adopted, asked, drained and ended."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from tidegate.contract.errors import Conflict, Unavailable
from tidegate.gateway import process, stats
from tidegate.gateway.admin import Admin
from tidegate.gateway.base import ProcessCounts, RevisionRef
from tidegate.gateway.files import GatewayFolder
from tidegate.gateway.os_process import OsProcess
from tidegate.gateway.process import EnvoyRecord
from tidegate.gateway.starting import OwnChildren, Started, Starter
from tidegate.scheduling import come_first

_START_SECONDS = 20.0
_ADOPT_SECONDS = 5.0
_POLL_SECONDS = 0.001

#: After so long an Envoy that has not told where its admin page is will not, and it is looked for again and again.
_UNTOLD_SECONDS = 2.0
_LOOK_SECONDS = 0.1

#: How long `stop` lets requests in flight finish, and then the process end.
_DRAIN_SECONDS = 3.0
_GRACE_SECONDS = 3.0


class Member:
    """An Envoy of the gateway whose folder this is, by its number, from 1.

    Args:
        starter: who is its parent; this process where it is None.
    """

    def __init__(self, shared: GatewayFolder, number: int, starter: Starter | None = None) -> None:
        self.number = number
        self.folder = shared.member(number)
        self._starter = starter or OwnChildren(shared)
        self._record: EnvoyRecord | None = None
        self._admin: Admin | None = None
        self._started: Started | None = None

    def __str__(self) -> str:
        return f"Envoy {self.number}"

    @property
    def record(self) -> EnvoyRecord | None:
        """What is known of the process that was started or adopted; None before."""
        return self._record

    @property
    def admin(self) -> Admin:
        """The admin page of a member that runs."""
        if self._admin is None or not self.is_running():
            raise Unavailable(f"the gateway's {self} does not run", subject=str(self.folder.root))
        return self._admin

    def is_running(self) -> bool:
        """Say whether the process that was started or adopted still runs; cheap."""
        if self._started is not None and self._started.has_ended():
            return False
        return self._record is not None and self._record.process.is_alive()

    async def adopt(self, host: str, port: int) -> bool:
        """Take over the Envoy of this folder; False when none runs.

        Args:
            host, port: where it has to listen; any port for 0.

        Raises:
            Conflict: it listens elsewhere.
            Unavailable: it does not say where.
        """
        await self.forget()
        found = await process.find(self.folder)
        if found is None:
            return False
        await self._take(found, await self._admin_port(found), host, port)
        return True

    async def start(self, host: str, port: int, workers: int) -> None:
        """Start an Envoy and return when users reach it.

        Raises:
            InvalidInput, Conflict, Unavailable: it could not be started, ended, or was not ready in time; it is gone
                then.
        """
        await self.forget()
        started = await self._starter.start(self.number, host, port, workers)
        self._started = started
        begun = time.monotonic()
        deadline = begun + _START_SECONDS
        while (admin_port := await self._told_port(OsProcess.of(started.pid), begun)) is None:
            await self._refuse_dead(started, host, port, deadline)
            await asyncio.sleep(_POLL_SECONDS)
        admin = Admin(admin_port)
        try:
            while not await admin.is_serving():
                await self._refuse_dead(started, host, port, deadline)
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            await admin.close()
        found = OsProcess.of(started.pid)
        if found is None:
            raise process.ended_at_start(self.folder, host, port, started.exit_code)
        await self._take(found, admin_port, host, port)

    async def _refuse_dead(self, started: Started, host: str, port: int, deadline: float) -> None:
        if started.has_ended():
            raise process.ended_at_start(self.folder, host, port, started.exit_code)
        if time.monotonic() > deadline:
            await started.kill()
            raise Unavailable(
                f"the gateway (Envoy) was not ready after {_START_SECONDS:.0f} s",
                subject=str(self.folder.log),
                got=self.last_words(),
            )

    async def _take(self, found: OsProcess, admin_port: int, host: str, port: int) -> None:
        admin = Admin(admin_port)
        try:
            listens = await self._listener(admin)
            _refuse_elsewhere(listens, (host, port))
        except BaseException:
            await admin.close()
            raise
        come_first(found.pid)
        self._admin = admin
        self._record = EnvoyRecord(found.pid, found.born, admin_port, *listens)
        if process.load_record(self.folder) != self._record:
            process.save_record(self.folder, self._record)

    async def _admin_port(self, found: OsProcess) -> int:
        """Return the port of the admin page, waiting for an Envoy that was only just started."""
        begun = time.monotonic()
        while (port := await self._told_port(found, begun)) is None:
            if time.monotonic() > begun + _ADOPT_SECONDS or not found.is_alive():
                raise Unavailable(
                    "a gateway (Envoy) runs and does not say where its admin page is",
                    subject=str(self.folder.admin_address),
                    hint="`tidegate down` ends it",
                )
            await asyncio.sleep(_POLL_SECONDS)
        return port

    async def _told_port(self, found: OsProcess | None, since: float) -> int | None:
        """Return the port of the admin page as Envoy wrote it; where it has not for a while, the one that answers.

        Envoy writes it once, when it starts. On a full disk the file stays empty, and it goes on.
        """
        port = process.read_admin_port(self.folder)
        if port is not None or found is None or time.monotonic() < since + _UNTOLD_SECONDS:
            return port
        for candidate in await asyncio.to_thread(found.listening_ports):
            admin = Admin(candidate)
            try:
                if await admin.is_serving():
                    with suppress(OSError):  # there may still be no room
                        self.folder.admin_address.write_text(f"127.0.0.1:{candidate}", encoding="utf-8")
                    return candidate
            finally:
                await admin.close()
        await asyncio.sleep(_LOOK_SECONDS)
        return None

    async def _listener(self, admin: Admin) -> tuple[str, int]:
        """Return where Envoy listens, waiting for one that another controller has only just started."""
        deadline = time.monotonic() + _ADOPT_SECONDS
        while True:
            listener = await admin.listener() if await admin.is_serving() else None
            if listener is not None:
                return listener
            if time.monotonic() > deadline:
                raise Unavailable(
                    "a gateway (Envoy) runs but does not listen",
                    subject=str(self.folder.root),
                    hint="`tidegate down` ends it",
                )
            await asyncio.sleep(_POLL_SECONDS)

    async def counts(self) -> ProcessCounts[RevisionRef]:
        """Read the counters; what the numbers mean is told in `gateway.stats`."""
        admin, record = self.admin, self._record
        page = await admin.get("/stats", stats.COUNTS_QUERY)
        return ProcessCounts(self.number, record.epoch if record is not None else "", stats.parse_counts(page))

    def last_words(self) -> str | None:
        """Return the end of what Envoy logged."""
        return "\n".join(process.last_lines(self.folder.log, 5)) or None

    async def stop(self) -> None:
        """End the Envoy of this folder, whoever started it, when its requests are done or after a moment."""
        found = await process.find(self.folder)
        if found is not None:
            await self._drain()
            await found.end(_GRACE_SECONDS)
        if self._started is not None:
            await self._started.reap()
            self._started = None
        await self.forget()

    async def _drain(self) -> None:
        port = process.read_admin_port(self.folder)
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

    async def forget(self) -> None:
        """Know of no process any more."""
        await self.close()
        self._admin = None
        self._record = None


def _refuse_elsewhere(listens: tuple[str, int], wanted: tuple[str, int]) -> None:
    host, port = listens
    if host != wanted[0] or wanted[1] not in (0, port):
        raise Conflict(
            f"the gateway already runs on {host}:{port}",
            subject=f"{host}:{port}",
            expected="{}:{}".format(*wanted),
            hint=f"go on with `--gateway-port {port}`, or type `tidegate down` first",
        )
