"""JSON documents over HTTP, bounded in size and time. No message holds a URL, a header, or what was answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from tidegate.measure.errors import UnmeasurableError
from tidegate.outgoing import CallError, answer, body_of

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
    sent = {"accept": "application/json", "accept-encoding": "identity"}
    content = orjson.dumps(json) if json is not None else None
    if content is not None:
        sent["content-type"] = "application/json"
    try:
        async with answer(
            method, url, timeout_seconds, headers={**sent, **headers}, content=content, form=form
        ) as response:
            status, body = response.status_code, await body_of(response, MOST_BYTES)
    except CallError as error:
        raise UnmeasurableError(str(error)) from None
    if not 200 <= status < 300 and not is_told:
        raise UnmeasurableError(f"answered {status}")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise UnmeasurableError(f"answered {status} with what is no JSON document") from None
