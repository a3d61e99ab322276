"""How inputs and outputs are distributed, counted for whoever compares two revisions: only while they ask for it.

Who compares writes a wish (`wish`) into the replica's folder, `count.json`. While it holds, one row of each request of
that share is counted, and what was counted since the line before goes to `counts.jsonl` beside it, twice a second:
`{"requests": 31, "inputs": {COLUMN: SKETCH}, "outputs": {OUTPUT: SKETCH}}` (`contract.sketch`). Lines add up, over
processes and over time.

One row, since rows of one request are seldom independent, and the judge takes what it is given for independent. Which
one, the request's id decides. A thread of our own counts; the one that answered only hands the row over.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from time import time
from typing import Any
from zlib import crc32

import numpy as np
import orjson

from tidegate.contract.errors import Unavailable
from tidegate.contract.sketch import LARGEST, SMALLEST, Sketch
from tidegate.runtime.base import Array, Columns, Signature, TensorSpec
from tidegate.server.exchange import Exchange
from tidegate.server.protocols.base import Call
from tidegate.server.recording.sinks import JsonlSink
from tidegate.server.recording.wish import LOOK_SECONDS, Wish

WISH_NAME = "count.json"
COUNTS_NAME = "counts.jsonl"

#: Columns of inputs, and of outputs, that are counted; the first ones.
MOST_INPUTS, MOST_OUTPUTS = 30, 10
#: Rows that wait to be counted; more than that in half a second are not.
MOST_ROWS = 500
_FILE_BYTES, _FILES = 4 << 20, 2
_BITS = 32
_SIGN = np.uint64(1 << 63)

log = logging.getLogger("tidegate.server")

#: Takes one value out of an array of the rows of one request.
_Pick = Callable[[Array, int], Any]


class ColumnCounts:
    """Counts of one model's inputs and outputs, for as long as the wish in `folder` holds. Called from several threads.

    Args:
        folder: the replica's own.
        clock: seconds since 1970.
    """

    def __init__(self, folder: Path, signature: Signature, clock: Callable[[], float] = time) -> None:
        self._folder = folder
        self._wish = Wish(folder / WISH_NAME, clock)
        self._inputs = _features(signature.inputs, MOST_INPUTS)
        self._outputs = _features(signature.outputs, MOST_OUTPUTS)
        self._below = 0
        self._rows: list[list[Any]] = []
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def takes(self, exchange: Exchange) -> bool:
        """Say whether a request is counted, so that its inputs are to be kept as they came."""
        if self._wish.is_due():
            self._look()
        return self._below > 0 and crc32(exchange.request_id) < self._below

    def offer(self, answers: Iterable[tuple[Exchange, Call, Columns]]) -> None:
        """Count those of these that are wanted."""
        for exchange, call, outputs in answers:
            if call.rows and len(self._rows) < MOST_ROWS and self.takes(exchange):
                row = crc32(exchange.request_id) % call.rows
                inputs = [pick(call.inputs[name], row) for name, _, pick in self._inputs]
                self._rows.append(inputs + [pick(outputs[name], row) for name, _, pick in self._outputs])

    def close(self) -> None:
        """Write down what was counted."""
        self._ends.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def _look(self) -> None:
        with self._lock:
            if not self._wish.is_due():
                return
            self._below = round(self._wish.share() * 2**_BITS)
            if self._below and (self._thread is None or not self._thread.is_alive()) and not self._ends.is_set():
                self._thread = threading.Thread(target=self._run, name="column-counts", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        """Write what was counted until nobody asks any more."""
        try:
            sink = JsonlSink(str(self._folder / COUNTS_NAME), _FILE_BYTES, _FILES)
        except Unavailable as error:
            log.warning("columns cannot be counted: %s", error)
            self._below = 0
            return
        try:
            ended = False
            while not ended:
                ended = self._ends.wait(LOOK_SECONDS)
                rows, self._rows = self._rows, []
                if rows:
                    self._write(sink, rows)
                if self._wish.is_due():
                    self._look()
                ended = ended or not self._below
        finally:
            sink.close()

    def _write(self, sink: JsonlSink, rows: Sequence[Sequence[Any]]) -> None:
        columns = list(zip(*rows, strict=True))
        inputs, outputs = columns[: len(self._inputs)], columns[len(self._inputs) :]
        try:
            line = {
                "requests": len(rows),
                "inputs": _sketches(self._inputs, inputs),
                "outputs": _sketches(self._outputs, outputs),
            }
            sink.write([orjson.dumps(line)])
        except Exception as error:  # noqa: BLE001 -- what a model answers may be anything, and requests go on without
            log.warning("columns were not counted: %s: %s", type(error).__name__, error)


#: The array's name, the feature's, and what takes its value.
_Feature = tuple[str, str, _Pick]


def _features(specs: Sequence[TensorSpec], most: int) -> list[_Feature]:
    """Return what is counted of arrays: columns, and narrow tables column by column; nothing of larger tensors."""
    found: list[_Feature] = []
    for spec in specs:
        if len(spec.shape) == 1:
            found.append((spec.name, spec.name, _one))
        elif len(spec.shape) == 2 and spec.labels is not None and len(spec.labels) > 2:
            found += [
                (spec.name, f"{spec.name}, its label", _likeliest(spec.labels)),
                (spec.name, f"{spec.name}, the highest", _highest),
            ]
        elif len(spec.shape) == 2 and spec.labels is not None:
            found.append((spec.name, f"{spec.name} of {spec.labels[-1]}", _position(len(spec.labels) - 1)))
        elif len(spec.shape) == 2 and 1 <= spec.shape[1] <= most:
            names = [spec.name] if spec.shape[1] == 1 else [f"{spec.name}[{at}]" for at in range(spec.shape[1])]
            found += [(spec.name, name, _position(at)) for at, name in enumerate(names)]
    return found[:most]


def _one(array: Array, row: int) -> Any:
    return array[row]


def _highest(array: Array, row: int) -> Any:
    return array[row].max()


def _position(at: int) -> _Pick:
    return lambda array, row: array[row, at]


def _likeliest(labels: Sequence[str]) -> _Pick:
    return lambda array, row: labels[int(array[row].argmax())]


def _sketches(features: Sequence[_Feature], columns: Sequence[Sequence[Any]]) -> dict[str, Any]:
    return {name: sketch_of(values).as_plain() for (_, name, _), values in zip(features, columns, strict=True)}


def sketch_of(values: Sequence[Any]) -> Sketch:
    """Return the counts of some values: numbers, texts, flags, or None and NaN for what is missing."""
    texts = Counter(_text(value) for value in values if isinstance(value, str | bytes | bool | np.bool_))
    given = [value for value in values if value is not None and not isinstance(value, str | bytes | bool | np.bool_)]
    numbers = np.array(given, dtype=np.float64)
    is_there = ~np.isnan(numbers)
    missing = len(values) - sum(texts.values()) - int(is_there.sum())
    keys, counts = np.unique(_keys(numbers[is_there]), return_counts=True)
    return Sketch.of(dict(zip(keys.tolist(), counts.tolist(), strict=True)), texts, missing)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else str(bool(value)).lower()


def _keys(numbers: Array) -> Array:
    """Return `contract.sketch.key_of` of each number."""
    held = np.clip(numbers, -LARGEST, LARGEST)
    held[np.abs(held) < SMALLEST] = 0.0
    bits = held.view(np.uint64)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)
