"""What a worker asks its supervisor for: what concerns all workers of the replica."""

from __future__ import annotations

from typing import Any

from tidegate.server.channel import Channel
from tidegate.server.metrics import ServerMetrics, write_families

#: Siblings that do not answer in time are counted as they were when they last did.
_METRICS_SECONDS = 3.0
#: Longer than the supervisor gives a load, so that its own words reach the client.
_REPOSITORY_SECONDS = 3600.0


class Siblings:
    """The replica around one worker."""

    def __init__(self, channel: Channel, metrics: ServerMetrics) -> None:
        self._channel = channel
        self._metrics = metrics
        #: Why the replica as a whole is not ready, in the supervisor's words; None while it is.
        self.lack: str | None = None

    async def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics of the replica, all workers together, and their content type.

        Raises:
            Unavailable: the supervisor does not answer; part of the numbers would be a lie.
        """
        answer = await self._channel.ask("replica-metrics", _METRICS_SECONDS, families=self._metrics.dump())
        return write_families(answer["families"], accept)

    async def repository(self, action: str, model: str | None, document: Any) -> tuple[int, Any]:
        """Have the supervisor carry out a request of the repository extension; return status and answer."""
        answer = await self._channel.ask(
            "repository", _REPOSITORY_SECONDS, action=action, model=model, document=document
        )
        return int(answer["status"]), answer["document"]
