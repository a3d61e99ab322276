"""The container engine's API over its socket: the few calls that the agent makes.

Written on httpx, which Tidegate has anyway, and not on the `docker` package: in the one container that may do
everything, less code is more.
"""

from __future__ import annotations

import errno
import json
import os
import struct
from pathlib import Path
from typing import Any, Literal, Self

import httpx

from tidegate.agent.place import COMPOSE_PROJECT
from tidegate.agent.specification import PROJECT_LABEL
from tidegate.contract.errors import Conflict, NotFound, TidegateError, Unavailable

#: The API's versions that this was written for. Engine 20.10 speaks 1.41; an engine that speaks more speaks the latter.
OLDEST, NEWEST = (1, 41), (1, 51)

_SECONDS = 30.0
_FRAME = struct.Struct(">BxxxL")


class Engine:
    """Open with `async with`; every method raises Unavailable where the engine does not answer."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        transport = httpx.AsyncHTTPTransport(uds=str(socket))
        self._http = httpx.AsyncClient(transport=transport, base_url="http://engine", timeout=_SECONDS)
        self._prefix = ""

    async def __aenter__(self) -> Self:
        versions = await self._json("GET", "/version")
        self._prefix = f"/v{_version(versions['ApiVersion'], versions.get('MinAPIVersion', versions['ApiVersion']))}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def ping(self) -> None:
        await self._ask("GET", "/_ping")

    async def inspect(self, container: str) -> dict[str, Any]:
        """Return the container; raises NotFound where there is none."""
        return dict(await self._json("GET", f"/containers/{container}/json"))

    async def containers(self, project: str) -> list[dict[str, Any]]:
        """Return those with the label of this project, whether they run or not."""
        return await self._labelled(f"{PROJECT_LABEL}={project}")

    async def of_compose(self, project: str) -> list[dict[str, Any]]:
        """Return all that Compose started for its project of this name, whether they run or not."""
        return await self._labelled(f"{COMPOSE_PROJECT}={project}")

    async def networks(self, label: str) -> list[dict[str, Any]]:
        return list(await self._json("GET", "/networks", filters=json.dumps({"label": [label]})))

    async def create(self, name: str, body: dict[str, Any]) -> str:
        """Make a container; return its id. Raises Conflict where one of this name is there."""
        answer = await self._ask("POST", "/containers/create", body, name=name)
        return str(answer.json()["Id"])

    async def start(self, container: str) -> None:
        await self._ask("POST", f"/containers/{container}/start")

    async def kill(self, container: str, signal: Literal["SIGTERM", "SIGKILL"]) -> None:
        """Send a signal; raises Conflict where the container does not run."""
        await self._ask("POST", f"/containers/{container}/kill", signal=signal)

    async def remove(self, container: str) -> None:
        """Remove a container that does not run; raises Conflict where it does."""
        await self._ask("DELETE", f"/containers/{container}", v="true", force="false")

    async def log(self, container: str, lines: int) -> list[str]:
        answer = await self._ask("GET", f"/containers/{container}/logs", stdout="1", stderr="1", tail=str(lines))
        return unframed(answer.content).decode(errors="replace").splitlines()

    async def _labelled(self, label: str) -> list[dict[str, Any]]:
        filters = json.dumps({"label": [label]})
        return list(await self._json("GET", "/containers/json", all="true", filters=filters))

    async def _json(self, method: str, path: str, **query: str) -> Any:
        return (await self._ask(method, path, **query)).json()

    async def _ask(self, method: str, path: str, body: Any = None, **query: str) -> httpx.Response:
        try:
            answer = await self._http.request(method, f"{self._prefix}{path}", json=body, params=query)
        except httpx.HTTPError as error:
            raise self._no_answer(error) from error
        # 304: it was so already.
        if answer.is_success or answer.status_code == httpx.codes.NOT_MODIFIED:
            return answer
        raise _error(answer, path)

    def _no_answer(self, error: httpx.HTTPError) -> Unavailable:
        hint = "is the engine running, and its socket mounted?"
        if self._socket.exists() and not os.access(self._socket, os.W_OK):
            group = self._socket.stat().st_gid
            hint = f"its group is {group}: set DOCKER_GID={group}, then docker compose up -d agent"
        return Unavailable(
            "the container engine does not answer",
            subject=str(self._socket),
            got=str(error) or os.strerror(errno.ETIMEDOUT),
            hint=hint,
        )


def _error(answer: httpx.Response, path: str) -> TidegateError:
    try:
        told = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        told = answer.text[:500]
    kinds: dict[int, type[TidegateError]] = {404: NotFound, 409: Conflict}
    return kinds.get(answer.status_code, Unavailable)(f"the container engine refused: {told}", subject=path)


def _version(newest: str, oldest: str) -> str:
    """Return the version of the API to speak with an engine that speaks these."""
    theirs, least = _numbers(newest), _numbers(oldest)
    spoken = min(theirs, NEWEST)
    if spoken < max(OLDEST, least):
        raise Unavailable(
            "the container engine speaks no version of its API that the agent knows",
            expected=f"one from {_text(OLDEST)} to {_text(NEWEST)}",
            got=f"{oldest} to {newest}",
            hint="Docker Engine 20.10 and newer do",
        )
    return _text(spoken)


def _numbers(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return int(major), int(minor)


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def unframed(stream: bytes) -> bytes:
    """Return what a container wrote, of the frames in which the engine hands on stdout and stderr together."""
    written, position = [], 0
    while position + _FRAME.size <= len(stream):
        _, length = _FRAME.unpack_from(stream, position)
        position += _FRAME.size
        written.append(stream[position : position + length])
        position += length
    return b"".join(written)
