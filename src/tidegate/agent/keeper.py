"""Starts containers of the project again whose start failed because the one whose network they share did not run yet.

The engine starts containers after a reboot, and those that ended, in no order. One that shares another's network
(`network_mode: service:…`) cannot be started while the other is down, and the engine does not try a second time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from tidegate.agent.engine import Engine
from tidegate.contract.errors import NotFound, TidegateError

log = logging.getLogger(__name__)

PERIOD_SECONDS = 5.0

_STARTED_BY_THE_ENGINE = frozenset({"always", "unless-stopped", "on-failure"})


def left_behind(exited: Iterable[Mapping[str, Any]], running: frozenset[str]) -> list[str]:
    """Return the ids of containers that are to be started: those whose start failed, and that share the network of one
    that runs. One that was stopped, or ended, has no error on record and is left as it is.

    Args:
        exited: containers that do not run, as the engine shows each (`GET /containers/ID/json`).
        running: the ids of those that do.
    """
    networks = {f"container:{container}" for container in running}
    return [
        str(one["Id"])
        for one in exited
        if one["State"]["Status"] == "exited"
        and one["State"].get("Error")
        and one["HostConfig"]["RestartPolicy"]["Name"] in _STARTED_BY_THE_ENGINE
        and one["HostConfig"]["NetworkMode"] in networks
    ]


class Keeper:
    """Looks again and again, and starts what `left_behind` says."""

    def __init__(self, engine: Engine, project: str) -> None:
        self._engine = engine
        self._project = project

    async def run(self) -> None:
        """Look until cancelled; what fails is logged and tried again."""
        while True:
            try:
                await self.look()
            except TidegateError as error:
                log.warning("containers that were left behind: %s", error)
            await asyncio.sleep(PERIOD_SECONDS)

    async def look(self) -> None:
        listed = await self._engine.of_compose(self._project)
        running = frozenset(str(one["Id"]) for one in listed if one["State"] == "running")
        # The list tells neither how one ended nor whose network it shares.
        exited = []
        for one in listed:
            if one["State"] == "exited":
                with suppress(NotFound):  # removed between the two looks
                    exited.append(await self._engine.inspect(one["Id"]))
        for container in left_behind(exited, running):
            log.info("started %s: its start had failed while the container was down whose network it shares", container)
            await self._engine.start(container)
