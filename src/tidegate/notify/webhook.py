"""Calls over HTTP: nothing of the answer is kept but its status, and nothing of the URL is ever written down."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson

from tidegate import __version__
from tidegate.notify.outcome import Outcome

_GONE = 410


async def post_json(url: str, body: Mapping[str, Any], content_type: str, timeout_seconds: float) -> Outcome:
    """POST the document; 2xx is delivered, 410 is final, everything else may be tried again.

    Redirects are not followed: they would carry the event to a place that nobody named.
    """
    headers = {"content-type": content_type, "user-agent": f"tidegate/{__version__}"}
    try:
        # The whole call has the time, not each of its reads: a receiver that trickles would hold the lane.
        async with (
            asyncio.timeout(timeout_seconds),
            httpx.AsyncClient(
                timeout=timeout_seconds,
                follow_redirects=False,
                trust_env=not _is_loopback(url),
                verify=await asyncio.to_thread(_certificates) if url.startswith("https:") else False,
            ) as client,
            client.stream("POST", url, content=orjson.dumps(body), headers=headers) as answer,
        ):
            status, retry_after = answer.status_code, answer.headers.get("retry-after")
    except (TimeoutError, httpx.TimeoutException):
        return Outcome(delivered=False, detail=f"no answer within {timeout_seconds:g} s")
    except httpx.ConnectError as error:
        return Outcome(delivered=False, detail=f"cannot connect{_reason(error)}")
    except (httpx.HTTPError, httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError, ValueError) as error:
        # Their texts may hold the URL.
        return Outcome(delivered=False, detail=f"the call failed: {type(error).__name__}")
    if 200 <= status < 300:
        return Outcome(delivered=True, status=status)
    return Outcome(
        delivered=False,
        status=status,
        detail=f"answered {status}",
        is_final=status == _GONE,
        retry_after_seconds=_seconds(retry_after),
    )


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


def _seconds(retry_after: str | None) -> float | None:
    """Read `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3)."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after.strip()[:9])
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
