"""Envoy's admin page over one kept-alive connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from tidegate.contract.errors import Unavailable
from tidegate.gateway import stats
from tidegate.polling import Answer, Poller, PollError

_TIMEOUT_SECONDS = 2.0


class Admin:
    """Questions to one Envoy process. Every method raises Unavailable when it does not answer in time."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._poller: Poller | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the JSON page at `path`."""
        answer = await self._send("GET", path, query)
        try:
            page = json.loads(answer.body)
        except ValueError as error:
            raise _no_answer(self.port, f"{path} is no JSON") from error
        return page if isinstance(page, dict) else {}

    async def is_serving(self) -> bool:
        """Say whether Envoy has loaded its configuration and its threads listen. False, too, while it does not answer.

        `/ready` is not enough: it is so a moment before the threads listen, and connections are refused until then.
        """
        try:
            page = await self.get("/stats", stats.SERVING_QUERY)
        except Unavailable:
            return False
        return stats.parse_values(page) == stats.SERVING

    async def listener(self) -> tuple[str, int] | None:
        """Return host and port that users reach, None when Envoy listens nowhere."""
        page = await self.get("/listeners", {"format": "json"})
        for status in page.get("listener_statuses", ()):
            address = status["local_address"]["socket_address"]
            return address["address"], address["port_value"]
        return None

    async def stop_accepting(self) -> None:
        """Close the listener; connections that exist go on."""
        await self._send("POST", "/drain_listeners", None)

    async def reopen_logs(self) -> None:
        """Have Envoy go on in new files where those that it wrote were renamed; it does so a moment later."""
        await self._send("POST", "/reopen_logs", None)

    async def close(self) -> None:
        poller, self._poller = self._poller, None
        if poller is not None and self._loop is asyncio.get_running_loop():
            poller.close()

    async def _send(self, method: str, path: str, query: Mapping[str, str] | None) -> Answer:
        loop = asyncio.get_running_loop()
        if self._poller is None or self._loop is not loop:
            self._loop = loop
            self._poller = Poller("127.0.0.1", self.port, _TIMEOUT_SECONDS)
        try:
            answer = await self._poller.ask(f"{path}?{urlencode(query)}" if query else path, method)
        except PollError as error:
            raise _no_answer(self.port, str(error)) from error
        if answer.status != 200:
            raise _no_answer(self.port, f"{path} answered {answer.status}")
        return answer


def _no_answer(port: int, got: str) -> Unavailable:
    return Unavailable(
        "the gateway (Envoy) does not answer on its admin page",
        subject=f"127.0.0.1:{port}",
        got=got,
        hint="`tidegate doctor` says what is wrong",
    )
