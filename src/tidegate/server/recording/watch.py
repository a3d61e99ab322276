"""What watches the answers of a model: its distribution, its log, and who compares revisions."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from tidegate.runtime.base import Columns
from tidegate.server.exchange import Exchange
from tidegate.server.logs import RateLimit
from tidegate.server.protocols.base import Call
from tidegate.server.recording.columns import ColumnCounts
from tidegate.server.recording.distribution import PredictionDistribution
from tidegate.server.recording.log import PredictionLog
from tidegate.server.recording.notes import AnswerNotes

log = logging.getLogger("tidegate.server")


class Watch:
    """Called by the data plane after answers were handed over, from several threads."""

    def __init__(
        self,
        distribution: PredictionDistribution,
        prediction_log: PredictionLog | None,
        notes: AnswerNotes,
        columns: ColumnCounts,
    ) -> None:
        self._distribution = distribution
        self._log = prediction_log
        self._notes = notes
        self._columns = columns
        self._rate = RateLimit(per_second=1)

    def keeps(self, exchange: Exchange, call: Call) -> bool:
        """Say whether the inputs of this request, which a model is about to have, are needed when it was answered."""
        log_needs = self._log is not None and self._log.takes(exchange) and not self._log.notes(exchange, call)
        return log_needs or self._columns.takes(exchange)

    def counted(self, outputs: Columns) -> None:
        """Take in outputs of the model: those of one run of it, or of one request when the cache had them."""
        try:
            self._distribution.count(outputs)
        except Exception:  # noqa: BLE001 -- told by `_note`
            self._note()

    def answered(self, answers: Sequence[tuple[Exchange, Call, Columns]]) -> None:
        """Take in what each request got."""
        try:
            if self._log is not None:
                for exchange, call, outputs in answers:
                    self._log.offer(exchange, call, outputs)
            self._notes.offer(answers)
            self._columns.offer(answers)
        except Exception:  # noqa: BLE001 -- told by `_note`
            self._note()

    def _note(self) -> None:
        """Tell of a failure to watch, which is none of the request's."""
        if self._rate.admit() is not None:
            log.exception("an answer was given and could not be recorded")

    def close(self) -> None:
        self._notes.close()
        self._columns.close()
        if self._log is not None:
            self._log.close()
