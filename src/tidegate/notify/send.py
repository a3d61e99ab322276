"""One attempt to tell one receiver of one event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.contract.quantities import Duration
from tidegate.notify.address import Unresolved, is_message, resolve
from tidegate.notify.chat import post_message
from tidegate.notify.cloudevent import CONTENT_TYPE, cloud_event
from tidegate.notify.message import message
from tidegate.notify.outcome import Outcome
from tidegate.notify.webhook import post_json


async def send(
    destination: Mapping[str, Any],
    event: Mapping[str, Any],
    event_id: str,
    moment: str,
    environ: Mapping[str, str],
) -> Outcome:
    """Deliver, or say why not; raises nothing that a receiver could cause.

    Args:
        destination: a notification or a hook in JSON form.
        event: as `Event.as_dict` gives it.
    """
    try:
        url = resolve(destination, environ)
    except Unresolved as error:
        return Outcome(delivered=False, detail=error.message)
    seconds = Duration.parse(str(destination.get("timeout", "10s"))).seconds
    if is_message(url):
        title, body, tone = message(event, moment)
        return await post_message(url, title, body, tone, seconds)
    document = cloud_event(event, event_id, moment)
    if metadata := destination.get("metadata"):
        document["data"]["metadata"] = dict(metadata)
    return await post_json(url, document, CONTENT_TYPE, seconds)
