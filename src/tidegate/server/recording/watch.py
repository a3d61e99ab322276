"""What watches the answers of a model: its distribution and its log, on the thread that answered."""

from __future__ import annotations

from collections.abc import Iterable

from tidegate.runtime.base import Columns
from tidegate.server.exchange import Exchange
from tidegate.server.protocols.base import Call
from tidegate.server.recording.distribution import PredictionDistribution
from tidegate.server.recording.log import PredictionLog


class Watch:
    """Called by the data plane after answers were handed over, from several threads."""

    def __init__(self, distribution: PredictionDistribution, log: PredictionLog | None) -> None:
        self._distribution = distribution
        self._log = log

    def counted(self, outputs: Columns) -> None:
        """Take in outputs of the model: those of one run of it, or of one request when the cache had them."""
        self._distribution.count(outputs)

    def answered(self, answers: Iterable[tuple[Exchange, Call, Columns]]) -> None:
        """Take in what each request got."""
        if self._log is not None:
            for exchange, call, outputs in answers:
                self._log.offer(exchange, call, outputs)

    def close(self) -> None:
        if self._log is not None:
            self._log.close()
