"""The prediction log: inputs, outputs, revision and request id of a share of all requests.

It never holds up an answer: the thread that answered puts what it has into a bounded queue, and another thread writes
it down. When that one cannot keep up, records are dropped and counted. Which requests are in the sample depends on
their request id alone, so that two revisions that get the same request (a shadow) log the same ones.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from time import time
from typing import NamedTuple
from zlib import crc32

import orjson
from prometheus_client.core import CounterMetricFamily, Metric

from tidegate.contract.predictions import Prediction
from tidegate.runtime.base import Array, Columns
from tidegate.scheduling import giving_way, make_way
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
#: Up to so many rows a record is made at once, by the thread that answers. That takes less than copies of the arrays
#: would, which are small and many, and which another thread would have to bring into its cache again.
_SMALL_ROWS = 8
_AS_IT_IS = PersonalFields()
_NOTHING: Columns = {}

log = logging.getLogger("tidegate.server")


class _Entry(NamedTuple):
    """What waits to be written.

    Attributes:
        at: seconds since 1970.
        inputs, outputs: JSON, or columns of which there is none yet.
        size: about how many bytes it takes.
    """

    at: float
    request_id: bytes
    rows: int
    inputs: bytes | Columns
    outputs: bytes | Columns
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
        self._write_predictions = getattr(sink, "write_predictions", self._write_lines)
        self._personal = personal
        self._with_inputs = inputs
        self._below: int = round(share * 2**_BITS)
        self._identity = identity
        head = {
            "deployment": identity.deployment,
            "revision": identity.revision,
            "model": identity.model_name,
            "model_version": identity.model_version,
        }
        self._head = orjson.dumps(head)[1:-1]
        self._queue: SimpleQueue[_Entry] = SimpleQueue()
        self._lock = threading.Lock()
        self._queued = self._bytes = 0
        self._counts = {"written": 0, "dropped": 0, "failed": 0}
        self._gather_seconds = float(getattr(sink, "gather_seconds", 0.0))
        self._keeps_all = not personal.dropped and not personal.hashed
        self._is_numbers = True
        self._clock = _Clock()
        self._rate = RateLimit(per_second=1)
        self._ends = False
        #: Set when what is queued is not to wait for more.
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    def takes(self, exchange: Exchange) -> bool:
        """Say whether a request is in the sample."""
        return crc32(exchange.request_id) < self._below

    def notes(self, exchange: Exchange, call: Call) -> bool:
        """Note the inputs of a request in the sample before a model has them, which may write where they are; say
        whether that was done. Where it was not, they are to be kept until they are offered."""
        if call.rows > _SMALL_ROWS or self._personal.hashed:
            return False
        try:
            exchange.noted_inputs = self._json(self._kept(call.inputs))
        except Exception:  # noqa: BLE001 -- the request is answered all the same, and `offer` counts it
            return False
        return True

    def offer(self, exchange: Exchange, call: Call, outputs: Columns) -> None:
        """Log this answer when it is in the sample and there is room. Called from several threads."""
        if not self.takes(exchange):
            return
        try:
            entry = self._entry(exchange, call, outputs)
        except Exception as error:  # noqa: BLE001 -- what a model answers may be anything; its neighbours are logged
            self._failed(1, error)
            return
        is_enough = False
        with self._lock:
            fits = self._bytes + entry.size <= _QUEUED_BYTES and self._queued < _QUEUED
            if fits:
                self._bytes += entry.size
                self._queued += 1
                is_enough = self._queued == _AT_ONCE
            else:
                self._counts["dropped"] += 1
        if fits:
            self._queue.put(entry)
        if is_enough:
            self._enough.set()

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
        self._ends = True
        self._enough.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while not (self._ends and self._queue.empty()):
            try:
                entries = [self._queue.get(timeout=_WAIT_SECONDS)]
            except Empty:
                continue
            self._gather()
            with contextlib.suppress(Empty):
                while len(entries) < _AT_ONCE:
                    entries.append(self._queue.get_nowait())
            self._write(entries)
            with self._lock:
                self._queued -= len(entries)
                self._bytes -= sum(entry.size for entry in entries)
        self._sink.close()

    def _gather(self) -> None:
        """Wait until as many wait as are written at once, for as long at most as the sink would have records wait."""
        self._enough.clear()
        if self._queued < _AT_ONCE and not self._ends:
            self._enough.wait(self._gather_seconds)

    def _write(self, entries: Sequence[_Entry]) -> None:
        predictions = []
        for entry in giving_way(entries):
            try:
                predictions.append(self._prediction(entry))
            except Exception as error:  # noqa: BLE001 -- as in `offer`
                self._failed(1, error)
        if not predictions:
            return
        try:
            self._write_predictions(predictions)
        except Exception as error:  # noqa: BLE001 -- a sink is foreign code, and predictions go on without it
            failed = min(int(getattr(error, "failed", len(predictions))), len(predictions))
            self._counts["written"] += len(predictions) - failed
            self._failed(failed, error)
        else:
            self._counts["written"] += len(predictions)

    def _failed(self, count: int, error: Exception) -> None:
        with self._lock:
            self._counts["failed"] += count
        if self._rate.admit() is not None:
            log.warning("predictions were not logged: %s: %s", type(error).__name__, error)

    def _entry(self, exchange: Exchange, call: Call, outputs: Columns) -> _Entry:
        """Return what nothing changes any more. Other requests wait for this one's thread meanwhile."""
        inputs, outputs = self._kept(call.inputs if self._with_inputs else _NOTHING), self._kept(outputs)
        if call.rows <= _SMALL_ROWS and not self._personal.hashed:
            noted = exchange.noted_inputs if self._with_inputs else None
            told, given = self._json(inputs) if noted is None else noted, self._json(outputs)
            return _Entry(time(), exchange.request_id, call.rows, told, given, len(told) + len(given))
        # Copies: a view would keep the whole body or batch, and a model may write its next answer where it wrote this.
        some, rest = _first_rows(inputs), _first_rows(outputs)
        return _Entry(time(), exchange.request_id, call.rows, some, rest, _size_of(some) + _size_of(rest))

    def _kept(self, columns: Columns) -> Columns:
        return columns if self._keeps_all else {name: columns[name] for name in self._personal.kept(columns)}

    def _prediction(self, entry: _Entry) -> Prediction:
        inputs, outputs = entry.inputs, entry.outputs
        if not isinstance(inputs, bytes) or not isinstance(outputs, bytes):
            make_way()
            inputs, outputs = (one if isinstance(one, bytes) else self._json(one) for one in (inputs, outputs))
        return Prediction(
            self._clock.told(entry.at),
            entry.request_id.decode("latin-1"),
            self._identity.deployment,
            self._identity.revision,
            entry.rows,
            inputs,
            outputs,
        )

    def _write_lines(self, predictions: Sequence[Prediction]) -> None:
        self._sink.write([self._line(prediction) for prediction in predictions])

    def _line(self, prediction: Prediction) -> bytes:
        return b'{"at":"%b","request_id":%b,%b,"rows":%d,"inputs":%b,"outputs":%b}' % (
            prediction.at.encode(),
            orjson.dumps(prediction.request_id),
            self._head,
            prediction.rows,
            prediction.inputs,
            prediction.outputs,
        )

    def _json(self, columns: Columns) -> bytes:
        """Return columns as a JSON object: null for what is missing."""
        if self._is_numbers and self._keeps_all:
            try:
                return orjson.dumps(columns, option=orjson.OPT_SERIALIZE_NUMPY)
            except TypeError:  # texts, or an array that is none in one piece: the next ones are alike
                self._is_numbers = False
        ready = {name: json_ready(array) for name, array in columns.items()}
        return orjson.dumps(self._personal.applied(ready), option=orjson.OPT_SERIALIZE_NUMPY)


class _Clock:
    """Tells times as ISO 8601 in UTC, to the millisecond. For one thread; most times are of the second before them."""

    def __init__(self) -> None:
        self._second, self._told = 0, ""

    def told(self, at: float) -> str:
        second = int(at)
        if second != self._second:
            self._second, self._told = second, datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._told}.{int((at - second) * 1000):03d}+00:00"


def _first_rows(columns: Columns) -> dict[str, Array]:
    return {name: array[:_ROWS].copy() for name, array in columns.items()}


def _size_of(columns: Columns) -> int:
    """Return about how many bytes columns take."""
    return sum(array.nbytes + (_texts(array) if array.dtype.hasobject else 0) for array in columns.values())


def _texts(array: Array) -> int:
    return sum(len(text) for text in array.reshape(-1).tolist() if isinstance(text, str))
