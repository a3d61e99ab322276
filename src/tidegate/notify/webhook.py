"""Calls over HTTP: nothing of the answer is kept but its status, and nothing of the URL is ever written down."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from tidegate.notify.outcome import Outcome
from tidegate.outgoing import CallError, answer

_GONE = 410


async def post_json(url: str, body: Mapping[str, Any], content_type: str, timeout_seconds: float) -> Outcome:
    """POST the document; 2xx is delivered, 410 is final, everything else may be tried again."""
    try:
        async with answer(
            "POST", url, timeout_seconds, headers={"content-type": content_type}, content=orjson.dumps(body)
        ) as response:
            status, retry_after = response.status_code, response.headers.get("retry-after")
    except CallError as error:
        return Outcome(delivered=False, detail=str(error))
    if 200 <= status < 300:
        return Outcome(delivered=True, status=status)
    return Outcome(
        delivered=False,
        status=status,
        detail=f"answered {status}",
        is_final=status == _GONE,
        retry_after_seconds=_seconds(retry_after),
    )


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
