"""Puts records into a table in batches, waits for a database that is away, and loses no row for its neighbour.

It is called from the log's own thread, which may wait: what comes meanwhile is in the log's bounded queue. A database
that stays away is waited for once; from then on, until it is back, records are given up as they come.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from tidegate.contract.predictions import Prediction
from tidegate.scheduling import giving_way
from tidegate.telemetry.rows import Row, row_of, row_of_prediction

#: How long a database is waited for, and between two tries.
PATIENCE_SECONDS = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
#: Each COPY takes the replica some 0.4 ms and the database, too, whatever it holds. Ten a second are enough to be seen
#: in the 99th percentile of a thousand answers a second; see `python -m benchmarks.store --only gather --only serving`.
GATHER_SECONDS = 1.0

log = logging.getLogger("tidegate.server")


class Away(Exception):  # noqa: N818 -- a state of the database
    """The database cannot take anything now; it may later."""


class Refused(Exception):  # noqa: N818 -- what the table does with rows
    """The table does not take one of these rows; it may take the others."""


class NotAllWritten(Exception):  # noqa: N818 -- see `server.recording.sinks.Sink.write`
    """Some records were not written.

    Attributes:
        failed: how many.
    """

    def __init__(self, failed: int, reason: str) -> None:
        super().__init__(reason)
        self.failed = failed


class PredictionTable(Protocol):
    """A table of predictions in a database."""

    def put(self, rows: Sequence[Row]) -> None:
        """Write rows, all or none, on a connection that is made when there is none.

        Raises:
            Away, Refused: see there. Anything else fails them all.
        """
        ...

    def close(self) -> None:
        """Let go of the connection; `put` makes another."""
        ...


class TableSink:
    """A sink of the prediction log; see `server.recording.sinks.Sink`.

    A batch whose connection breaks while it is written is written again, so that a row may come twice.

    Attributes:
        gather_seconds: for how long records are gathered before they are written together.

    Args:
        clock, sleep: of a monotonic clock in seconds.
    """

    def __init__(
        self,
        table: PredictionTable,
        patience_seconds: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.gather_seconds = GATHER_SECONDS
        self._table = table
        self._patience = patience_seconds
        self._clock = clock
        self._sleep = sleep
        self._is_away = False
        self._next_try = float("-inf")

    def write(self, records: Sequence[bytes]) -> None:
        """Write these.

        Raises:
            NotAllWritten: the database is away, or refuses some of them.
        """
        rows, failed, reason = [], 0, ""
        for record in giving_way(records):
            try:
                rows.append(row_of(record))
            except ValueError as error:
                failed, reason = failed + 1, str(error)
        self._write(rows, failed, reason)

    def write_predictions(self, predictions: Sequence[Prediction]) -> None:
        """Write these; raises as `write` does."""
        self._write([row_of_prediction(prediction) for prediction in giving_way(predictions)], 0, "")

    def close(self) -> None:
        self._table.close()

    def _write(self, rows: Sequence[Row], failed: int, reason: str) -> None:
        for row, why in self._put(rows):
            failed, reason = failed + 1, f"request {row.request_id}: {why}"
        if failed:
            raise NotAllWritten(failed, reason)

    def _put(self, rows: Sequence[Row]) -> list[tuple[Row, Exception]]:
        """Write rows; return those that are not taken, and why. Halves are tried until those are found."""
        if not rows:
            return []
        try:
            self._put_whole(rows)
        except Refused as error:
            if len(rows) == 1:
                return [(rows[0], error)]
            middle = len(rows) // 2
            return self._put(rows[:middle]) + self._put(rows[middle:])
        except Exception as error:  # noqa: BLE001 -- whatever it is, the other half of a batch may have been written
            return [(row, error) for row in rows]
        return []

    def _put_whole(self, rows: Sequence[Row]) -> None:
        """Write rows, again while the database is away and there is patience left."""
        begun = self._clock()
        if self._is_away and begun < self._next_try:
            raise Away("the database is away")
        pause = _FIRST_PAUSE
        while True:
            try:
                self._table.put(rows)
            except Away as error:
                self._table.close()
                if self._is_away or self._clock() + pause - begun > self._patience:
                    self._is_away, self._next_try = True, self._clock() + _LONGEST_PAUSE
                    raise
                log.debug("the prediction log waits for its database: %s", error)
                self._sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                self._is_away = False
                return
