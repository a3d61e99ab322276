"""How the controller has its Envoys started by their parent in the gateway's container.

Both containers have one list of processes (`pid: service:gateway`), so that whether an Envoy lives is seen as ever, and
the parent is asked for nothing else.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from tidegate.contract.errors import Unavailable
from tidegate.gateway import parent_request
from tidegate.gateway.os_process import OsProcess
from tidegate.gateway.parent_request import MOST_BYTES, Asked
from tidegate.gateway.starting import Started

_SECONDS = 10.0
_KILLED_SECONDS = 5.0


class ParentsChildren:
    """A `Starter` that asks the parent at this socket.

    Its `start` raises Unavailable where nobody answers: then no Envoy is started by anybody else.
    """

    is_apart = True

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def start(self, member: int, host: str, port: int, workers: int) -> Started:
        told = await self._ask(Asked(member, host, port, workers))
        parent_request.raise_refusal(told)
        return _ParentsChild(OsProcess(told["pid"], told["born"]))

    async def _ask(self, asked: Asked) -> dict[str, Any]:
        try:
            async with asyncio.timeout(_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._socket, limit=MOST_BYTES)
                try:
                    writer.write(parent_request.as_line(asked))
                    await writer.drain()
                    told = json.loads(await reader.readline())
                finally:
                    writer.close()
        except (OSError, TimeoutError, ValueError) as error:
            raise Unavailable(
                "the parent of the gateway's Envoys does not answer, and no Envoy is started without it",
                subject=str(self._socket),
                got=str(error) or type(error).__name__,
                hint="docker compose logs gateway says why",
            ) from error
        return dict(told)


class _ParentsChild:
    exit_code = None

    def __init__(self, process: OsProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def has_ended(self) -> bool:
        return not self._process.is_alive()

    async def kill(self) -> None:
        await self._process.end(0)

    async def reap(self) -> None:
        """Wait for its end; what is left of it is its parent's."""
        await self._process.wait_gone(_KILLED_SECONDS)
