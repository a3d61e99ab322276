"""The child as it is seen over HTTP: whether it is well, and its answers. httpx is used here alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import httpx

from tidegate.contract.errors import InvalidInput, TidegateError, Unavailable
from tidegate.server.forward.headers import Header

_CONNECT_SECONDS, _HEALTH_SECONDS = 2.0, 2.0
#: Shorter than any usual server keeps an idle connection (gunicorn: 2 s, uvicorn and Node: 5 s), so that we, and not
#: the server, end it: a request that meets the closing would be lost.
_IDLE_SECONDS = 1.0
_HIGHEST_STATUS = 599


class BadUpstream(Unavailable):
    """The child did not answer, or not in HTTP."""

    code = "bad_upstream"


class UpstreamTimeout(TidegateError):  # noqa: N818 (the names of errors are words that users read)
    """The child was silent for longer than it may be."""

    code = "upstream_timeout"


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except httpx.LocalProtocolError as error:  # raised before anything is sent
        raise InvalidInput(f"the request cannot be passed on: {_in_short(error)}") from error
    except httpx.TimeoutException as error:
        raise UpstreamTimeout("the server behind this replica did not answer in time") from error
    except httpx.HTTPError as error:
        raise BadUpstream(f"the server behind this replica did not answer: {_in_short(error)}") from error


def _in_short(error: httpx.HTTPError) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


class Answered:
    """The head of an answer, and its body as it comes.

    Attributes:
        length: of the body in bytes; None where the head does not say.
    """

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.headers: Sequence[Header] = response.headers.raw
        length = response.headers.get("content-length", "")
        self.length = int(length) if length.isdigit() else None
        self._response = response

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body's bytes as they arrive, not decoded.

        Raises:
            BadUpstream, UpstreamTimeout: the rest of it does not come.
        """
        stream = self._response.stream
        assert isinstance(stream, httpx.AsyncByteStream)  # noqa: S101 (the transport is asynchronous)
        with _translated():
            async for chunk in stream:
                yield chunk


class Upstream:
    """Connections to one server on this machine.

    Args:
        most: requests, and so connections, at once.
        silence_seconds: how long the server may be silent while it answers.
    """

    def __init__(self, host: str, port: int, *, most: int, silence_seconds: float) -> None:
        limits = httpx.Limits(max_connections=most, max_keepalive_connections=most, keepalive_expiry=_IDLE_SECONDS)
        # The transport alone: a client would follow redirects, keep cookies and add headers of its own.
        self._transport = httpx.AsyncHTTPTransport(limits=limits, trust_env=False)
        # Health is asked on connections of its own, so that it does not wait behind requests.
        self._health = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=1, max_keepalive_connections=0))
        self._url = httpx.URL(scheme="http", host=host, port=port)
        self._timeout = httpx.Timeout(silence_seconds, connect=_CONNECT_SECONDS).as_dict()

    @asynccontextmanager
    async def ask(self, method: str, target: bytes, headers: list[Header], body: bytes) -> AsyncIterator[Answered]:
        """Send one request and yield its answer; the connection is free again when the block ends.

        Raises:
            InvalidInput: the request is none that HTTP allows.
            BadUpstream: no connection, or no answer in HTTP.
            UpstreamTimeout: the server was silent for too long.
        """
        request = httpx.Request(
            method, self._url, headers=headers, content=body, extensions={"timeout": self._timeout, "target": target}
        )
        with _translated():
            response = await self._transport.handle_async_request(request)
        try:
            if response.status_code > _HIGHEST_STATUS:
                raise BadUpstream(f"the server behind this replica did not answer: {response.status_code} is no status")
            yield Answered(response)
        finally:
            await response.stream.aclose()  # type: ignore[union-attr]

    async def health(self, path: str) -> int | None:
        """Return the status with which the server answers `GET path`, None when it does not answer."""
        extensions = {"timeout": httpx.Timeout(_HEALTH_SECONDS).as_dict(), "target": path.encode()}
        request = httpx.Request("GET", self._url, extensions=extensions)
        try:
            response = await self._health.handle_async_request(request)
            await response.aclose()
        except httpx.HTTPError:
            return None
        return response.status_code

    async def close(self) -> None:
        await self._transport.aclose()
        await self._health.aclose()
