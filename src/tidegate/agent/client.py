"""How the controller asks the agent."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import httpx

from tidegate.agent.service import Found
from tidegate.agent.specification import ReplicaKey, Specification
from tidegate.contract.errors import Conflict, InvalidInput, NotFound, TidegateError, Unavailable

_KINDS: dict[str, type[TidegateError]] = {kind.code: kind for kind in (InvalidInput, NotFound, Conflict)}
#: The engine takes a second to start a container on a busy machine, and much longer on one that swaps.
_SECONDS = 40.0
#: How long a connection is kept that is not used. The agent keeps it for longer, so that nobody asks on one that is
#: being closed.
KEPT_SECONDS = 5.0


class AgentClient:
    """Asks the agent at a socket; every method raises Unavailable where it, or the engine, does not answer."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        transport = httpx.AsyncHTTPTransport(uds=str(socket), limits=httpx.Limits(keepalive_expiry=KEPT_SECONDS))
        self._http = httpx.AsyncClient(transport=transport, base_url="http://agent", timeout=_SECONDS)

    async def close(self) -> None:
        await self._http.aclose()

    async def replicas(self) -> list[Found]:
        """Return every replica that has a container, whether it runs or not."""
        answer = await self._ask("GET", "/v1/replicas")
        return [Found.from_document(one) for one in answer["replicas"]]

    async def start(self, asked: Specification) -> Found:
        """Start a replica; raises Conflict where it runs already."""
        return Found.from_document(await self._ask("POST", "/v1/replicas", asked.as_document()))

    async def end(self, key: ReplicaKey, sent: signal.Signals) -> None:
        """Send a replica SIGTERM or SIGKILL; raises NotFound where it has no container."""
        await self._ask("POST", f"/v1/replicas/{key}/end", {"signal": sent.name})

    async def remove(self, key: ReplicaKey) -> None:
        """Remove a replica that ended; raises NotFound where it has no container, Conflict where it runs."""
        await self._ask("DELETE", f"/v1/replicas/{key}")

    async def log(self, key: ReplicaKey, lines: int) -> list[str]:
        """Return the last lines that a replica wrote; raises NotFound where it has no container."""
        return list((await self._ask("GET", f"/v1/replicas/{key}/log?lines={lines}"))["lines"])

    async def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        try:
            answer = await self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise Unavailable(
                "the agent, which runs replicas as containers, does not answer",
                subject=str(self._socket),
                got=str(error) or type(error).__name__,
                hint="docker compose logs agent says why",
            ) from error
        if answer.is_success:
            return dict(answer.json()) if answer.content else {}
        told = _told(answer)
        kind = _KINDS.get(str(told.get("code")), Unavailable)
        raise kind(told["message"], **{key: told.get(key) for key in ("subject", "expected", "got", "hint")})


def _told(answer: httpx.Response) -> dict[str, Any]:
    try:
        return {"message": "the agent refused", **answer.json()["error"]}
    except (ValueError, KeyError, TypeError):
        return {"message": f"the agent answered {answer.status_code}"}
