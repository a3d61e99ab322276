"""The prediction log: inputs, outputs, revision and request id of a share of all requests.

It never holds up an answer: the thread that answered puts what it has into a bounded queue, and another thread writes
it down. When that one cannot keep up, records are dropped and counted. Which requests are in the sample depends on
their request id alone, so that two revisions that get the same request (a shadow) log the same ones.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from queue import Empty, Full, Queue
from time import time
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import orjson
from prometheus_client.core import CounterMetricFamily, Metric

from tidegate.runtime.base import Array, Columns
from tidegate.server.exchange import Exchange
from tidegate.server.logs import RateLimit
from tidegate.server.protocols.base import Call, Identity
from tidegate.server.protocols.values import json_ready
from tidegate.server.recording.personal import PersonalFields
from tidegate.server.recording.sinks import Sink

RECORDS_TOTAL = "tidegate_server_prediction_log_records_total"

_QUEUED = 10_000
_QUEUED_BYTES = 64 << 20
_AT_ONCE = 500
#: Rows of one request that are logged; more would make one record larger than most sinks take.
_ROWS = 1000
_BITS = 32
_WAIT_SECONDS = 0.5
_AS_IT_IS = PersonalFields()

log = logging.getLogger("tidegate.server")


class _Entry(NamedTuple):
    at: float
    request_id: bytes
    rows: int
    inputs: Columns
    outputs: Columns
    size: int


class PredictionLog:
    """Samples what was answered and hands it to a sink.

    Args:
        share: of the requests that are logged, from 0 to 1.
        inputs: whether inputs are logged beside the outputs.
        personal: what is left away or hashed, whatever the sink.
    """

    def __init__(
        self,
        sink: Sink,
        identity: Identity,
        share: float,
        *,
        inputs: bool = True,
        personal: PersonalFields = _AS_IT_IS,
    ) -> None:
        self._sink = sink
        self._personal = personal
        self._with_inputs = inputs
        self._below: int = round(share * 2**_BITS)
        self._head = {
            "deployment": identity.deployment,
            "revision": identity.revision,
            "model": identity.model_name,
            "model_version": identity.model_version,
        }
        self._queue: Queue[_Entry] = Queue(_QUEUED)
        self._lock = threading.Lock()
        self._bytes = 0
        self._counts = {"written": 0, "dropped": 0, "failed": 0}
        self._gather_seconds = float(getattr(sink, "gather_seconds", 0.0))
        self._rate = RateLimit(per_second=1)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    def takes(self, exchange: Exchange) -> bool:
        """Say whether a request is in the sample."""
        return crc32(exchange.request_id) < self._below

    def offer(self, exchange: Exchange, call: Call, outputs: Columns) -> None:
        """Log this answer when it is in the sample and there is room. Called from several threads."""
        if not self.takes(exchange):
            return
        # Copies of what will be written: a view would keep the whole body or batch.
        inputs, given = self._first_rows(call.inputs) if self._with_inputs else {}, self._first_rows(outputs)
        size = sum(_size_of(array) for array in (*inputs.values(), *given.values()))
        with self._lock:
            fits = self._bytes + size <= _QUEUED_BYTES
            self._bytes += size if fits else 0
        if not fits:
            self._counts["dropped"] += 1
            return
        try:
            self._queue.put_nowait(_Entry(time(), exchange.request_id, call.rows, inputs, given, size))
        except Full:
            self._release(size)
            self._counts["dropped"] += 1

    def metrics(self, names: tuple[str, ...], values: tuple[str, ...]) -> Iterator[Metric]:
        """Yield the log's metrics; see `metrics.Source`."""
        records = CounterMetricFamily(
            RECORDS_TOTAL, "Predictions taken for the log, by what became of them.", labels=(*names, "outcome")
        )
        for outcome, count in self._counts.items():
            records.add_metric((*values, outcome), count)
        yield records

    def close(self, seconds: float = 5.0) -> None:
        """Write what is queued, for so long at most."""
        self._ends.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while not (self._ends.is_set() and self._queue.empty()):
            try:
                entries = [self._queue.get(timeout=_WAIT_SECONDS)]
            except Empty:
                continue
            if self._queue.qsize() < _AT_ONCE:
                self._ends.wait(self._gather_seconds)
            while len(entries) < _AT_ONCE and not self._queue.empty():
                entries.append(self._queue.get_nowait())
            self._write(entries)
            self._release(sum(entry.size for entry in entries))
        self._sink.close()

    def _release(self, size: int) -> None:
        with self._lock:
            self._bytes -= size

    def _write(self, entries: Sequence[_Entry]) -> None:
        records = []
        for entry in entries:
            try:
                records.append(self._record(entry))
            except Exception as error:  # noqa: BLE001 -- what a model answers may be anything; its neighbours are logged
                self._failed(1, error)
        if not records:
            return
        try:
            self._sink.write(records)
        except Exception as error:  # noqa: BLE001 -- a sink is foreign code, and predictions go on without it
            failed = min(int(getattr(error, "failed", len(records))), len(records))
            self._counts["written"] += len(records) - failed
            self._failed(failed, error)
        else:
            self._counts["written"] += len(records)

    def _failed(self, count: int, error: Exception) -> None:
        self._counts["failed"] += count
        if self._rate.admit() is not None:
            log.warning("predictions were not logged: %s: %s", type(error).__name__, error)

    def _record(self, entry: _Entry) -> bytes:
        document: dict[str, Any] = {
            "at": datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="milliseconds"),
            "request_id": entry.request_id.decode("latin-1"),
            **self._head,
            "rows": entry.rows,
            "inputs": self._personal.applied(_columns(entry.inputs)),
            "outputs": self._personal.applied(_columns(entry.outputs)),
        }
        return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)

    def _first_rows(self, columns: Columns) -> dict[str, Array]:
        return {name: columns[name][:_ROWS].copy() for name in self._personal.kept(columns)}


def _size_of(array: Array) -> int:
    texts = (
        sum(len(text) for text in array.reshape(-1).tolist() if isinstance(text, str)) if array.dtype.hasobject else 0
    )
    return int(array.nbytes) + texts


def _columns(columns: Columns) -> dict[str, Any]:
    """Return columns as JSON has them: null for what is missing."""
    return {name: json_ready(np.ascontiguousarray(array)) for name, array in columns.items()}
