"""JSON documents over HTTP, bounded in size and time. No message holds a URL, a header, or what was answered."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson

from tidegate import __version__
from tidegate.measure.errors import UnmeasurableError

MOST_BYTES = 1 << 20


async def fetch(
    method: str,
    url: str,
    headers: Mapping[str, str],
    timeout_seconds: float,
    *,
    json: Any = None,
    form: Mapping[str, str] | None = None,
    is_told: bool = False,
) -> Any:
    """Return the JSON document that the service answers with.

    Args:
        json, form: the body of a POST, in one of two forms.
        is_told: whether a document that comes with a status of failure is returned as well, since it says why.

    Raises:
        UnmeasurableError: no answer in time, none of 2xx, none that is JSON, or too large a one.
    """
    sent = {"accept": "application/json", "accept-encoding": "identity", "user-agent": f"tidegate/{__version__}"}
    content = orjson.dumps(json) if json is not None else None
    if content is not None:
        sent["content-type"] = "application/json"
    is_local = _is_loopback(url)
    try:
        # The whole call has the time, not each of its reads: a server that trickles would never be done.
        async with (
            asyncio.timeout(timeout_seconds),
            httpx.AsyncClient(
                timeout=timeout_seconds,
                follow_redirects=False,
                trust_env=not is_local,
                verify=await asyncio.to_thread(_certificates) if url.startswith("https:") else False,
            ) as client,
            client.stream(method, url, content=content, data=form, headers={**sent, **headers}) as answer,
        ):
            status, body = answer.status_code, await _bounded(answer)
    except (TimeoutError, httpx.TimeoutException):
        raise UnmeasurableError(f"no answer within {timeout_seconds:g} s") from None
    except httpx.ConnectError as error:
        raise UnmeasurableError(f"cannot connect{_reason(error)}") from None
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, ValueError) as error:
        # Their texts may hold the URL or a header.
        raise UnmeasurableError(f"the call failed ({type(error).__name__})") from None
    if not 200 <= status < 300 and not is_told:
        raise UnmeasurableError(f"answered {status}")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise UnmeasurableError(f"answered {status} with what is no JSON document") from None


async def _bounded(answer: httpx.Response) -> bytes:
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        # Nobody knows how large it would become.
        raise UnmeasurableError("answered in a content encoding that was not asked for")
    body = bytearray()
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) > MOST_BYTES:
            raise UnmeasurableError(f"answered with more than {MOST_BYTES >> 20} MiB")
    return bytes(body)


@lru_cache(maxsize=1)
def _certificates() -> ssl.SSLContext:
    """Loading them takes 25 ms, which is too long for the loop, and once is enough."""
    return httpx.create_ssl_context()


def _is_loopback(url: str) -> bool:
    """A proxy of the environment is for what is out there."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _reason(error: BaseException) -> str:
    """Return what the system said: an error number and its words, never a host."""
    found = re.search(r"\[Errno -?\d+\] [A-Za-z ]+", str(error))
    if found is None:
        return ": all attempts failed" if "attempts failed" in str(error) else ""
    return f": {found.group(0).partition('] ')[2].strip().lower()}"
