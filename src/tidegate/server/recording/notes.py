"""What was answered, noted for whoever compares two revisions: only while they ask for it, and for their eyes alone.

Who compares writes `compare.json` into the replica's folder: `{"share": 0.2, "until": SECONDS SINCE 1970}`. Until then
the outputs of that share of the requests go to `answers.jsonl` beside it, chosen by their ids alone, so that revisions
that get the same request note the same ones. It lapses by itself: whoever asked may be killed. The folder is the
owner's alone and no address leads to it: what models answered is nobody else's business.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from time import monotonic, time

from tidegate.contract.errors import Unavailable
from tidegate.runtime.base import Columns
from tidegate.server.exchange import Exchange
from tidegate.server.protocols.base import Call, Identity
from tidegate.server.recording.log import PredictionLog
from tidegate.server.recording.sinks import JsonlSink

WISH_NAME = "compare.json"
ANSWERS_NAME = "answers.jsonl"

#: Of notes; older ones were read, or nobody reads.
_FILE_BYTES, _FILES = 4 << 20, 2
#: Between two looks for the wish.
_LOOK_SECONDS = 0.5
_MOST_WISH_BYTES = 4096

log = logging.getLogger("tidegate.server")


class AnswerNotes:
    """Notes of what was answered, for as long as the wish in `folder` holds. Called from several threads.

    Args:
        folder: the replica's own.
        clock: seconds since 1970.
    """

    def __init__(self, folder: Path, identity: Identity, clock: Callable[[], float] = time) -> None:
        self._folder = folder
        self._identity = identity
        self._clock = clock
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._share = 0.0
        self._notes: PredictionLog | None = None

    def offer(self, answers: Iterable[tuple[Exchange, Call, Columns]]) -> None:
        """Note these when somebody wants them."""
        notes = self._wanted()
        if notes is not None:
            for exchange, call, outputs in answers:
                notes.offer(exchange, call, outputs)

    def close(self) -> None:
        with self._lock:
            self._end()

    def _wanted(self) -> PredictionLog | None:
        now = monotonic()
        if now - self._looked_at < _LOOK_SECONDS:
            return self._notes
        with self._lock:
            if now - self._looked_at >= _LOOK_SECONDS:
                self._looked_at = now
                self._follow(self._wish())
            return self._notes

    def _wish(self) -> float:
        """Return the share that is wanted now; 0 for none."""
        try:
            with (self._folder / WISH_NAME).open("rb") as stream:
                wish = json.loads(stream.read(_MOST_WISH_BYTES))
            share, until = float(wish["share"]), float(wish["until"])
        except FileNotFoundError:
            return 0.0
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s cannot be read: %s", WISH_NAME, error)
            return 0.0
        return min(max(share, 0.0), 1.0) if self._clock() < until else 0.0

    def _follow(self, share: float) -> None:
        if share == self._share:
            return
        self._end()
        if share == 0:
            return
        try:
            sink = JsonlSink(str(self._folder / ANSWERS_NAME), _FILE_BYTES, _FILES)
        except Unavailable as error:
            log.warning("answers cannot be noted: %s", error)
            return
        self._share, self._notes = share, PredictionLog(sink, self._identity, share, inputs=False)

    def _end(self) -> None:
        notes, self._notes, self._share = self._notes, None, 0.0
        if notes is not None:
            notes.close(0.0)
