"""An event as a CloudEvent 1.0 (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

#: Structured content mode of the HTTP protocol binding: the whole event is the body.
CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
_SEQUENCE_DIGITS = 20


def cloud_event(event: Mapping[str, Any], event_id: str, moment: str) -> dict[str, Any]:
    """Return the event in JSON form.

    Args:
        event: as `Event.as_dict` gives it.
        event_id: with `source` what receivers tell repetitions by; the same for every attempt.
        moment: the last word of `type`: "promoted" gives `tidegate.rollout.promoted`.
    """
    name = quote(str(event["deployment"]), safe="")
    rollout = event.get("rollout")
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": f"/tidegate/deployments/{name}",
        "type": f"tidegate.rollout.{moment}",
        "time": event["at"],
        "subject": f"rollouts/{rollout}" if rollout is not None else f"deployments/{name}",
        "datacontenttype": "application/json",
        # The extension "sequence": text that sorts as the events happened, over all deployments of a controller.
        "sequence": str(event["seq"]).zfill(_SEQUENCE_DIGITS),
        "data": {
            "deployment": event["deployment"],
            "rollout": str(rollout) if rollout is not None else None,
            "revision": event.get("revision"),
            "kind": event["kind"],
            "message": event["message"],
            **{key: value for key, value in event.get("data", {}).items() if key not in _OF_THE_EVENT},
        },
    }


_OF_THE_EVENT = frozenset({"deployment", "rollout", "revision", "kind", "message"})
