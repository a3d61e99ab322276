"""One HTTP call to a service that is not ours: bounded in time, and no URL in what is said when it fails.

async with answer("GET", url, 2.0) as response:
    body = await response.aread()
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import httpx

from tidegate import __version__


class CallError(Exception):
    """The call failed, and why, in words that hold no URL, no header and no host."""


@asynccontextmanager
async def answer(
    method: str,
    url: str,
    timeout_seconds: float,
    *,
    headers: Mapping[str, str],
    content: bytes | None = None,
    form: Mapping[str, str] | None = None,
) -> AsyncIterator[httpx.Response]:
    """Make the call and give the answer whose body is still to be read, inside of the block.

    Redirects are not followed: they would carry what is sent to a place that nobody named.

    Args:
        timeout_seconds: for the whole call and the block, not for each read: a service that trickles would never be
            done.
        content, form: the body, in one of two forms.

    Raises:
        CallError: no answer in time, or none at all.
    """
    try:
        async with (
            asyncio.timeout(timeout_seconds),
            httpx.AsyncClient(
                timeout=timeout_seconds,
                follow_redirects=False,
                trust_env=not _is_loopback(url),
                verify=await asyncio.to_thread(_certificates) if url.startswith("https:") else False,
            ) as client,
            client.stream(method, url, content=content, data=_plain(form), headers=_headers(headers)) as response,
        ):
            yield response
    except (TimeoutError, httpx.TimeoutException):
        raise CallError(f"no answer within {timeout_seconds:g} s") from None
    except httpx.ConnectError as error:
        raise CallError(f"cannot connect{_reason(error)}") from None
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, ValueError) as error:
        # Their texts may hold the URL or a header.
        raise CallError(f"the call failed ({type(error).__name__})") from None


async def body_of(response: httpx.Response, most_bytes: int) -> bytes:
    """Return the body of an answer to a call that asked for `accept-encoding: identity`.

    Raises:
        CallError: it is larger, or packed: nobody knows how large it would become.
    """
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise CallError("answered in a content encoding that was not asked for")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > most_bytes:
            raise CallError(f"answered with more than {most_bytes >> 20} MiB")
    return bytes(body)


def _headers(given: Mapping[str, str]) -> dict[str, str]:
    return {"user-agent": f"tidegate/{__version__}", **given}


def _plain(form: Mapping[str, str] | None) -> dict[str, Any] | None:
    return dict(form) if form is not None else None


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
