"""What was answered, noted for whoever compares two revisions: only while they ask for it, and for their eyes alone.

Who compares writes a wish (`wish`) into the replica's folder, `compare.json`. While it holds, the outputs of that share
of the requests that were copied go to `answers.jsonl` beside it, chosen by their ids alone, so that revisions that get
the same request note the same ones. The folder is the owner's alone and no address leads to it: what models answered is
nobody else's business.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from time import time

from tidegate.contract.errors import Unavailable
from tidegate.runtime.base import Columns
from tidegate.server.exchange import Exchange
from tidegate.server.protocols.base import Call, Identity
from tidegate.server.recording.log import PredictionLog
from tidegate.server.recording.sinks import JsonlSink
from tidegate.server.recording.wish import Wish

WISH_NAME = "compare.json"
ANSWERS_NAME = "answers.jsonl"

#: Of notes; older ones were read, or nobody reads.
_FILE_BYTES, _FILES = 4 << 20, 2
#: Each time that notes are written a thread wakes beside those that answer users.
_GATHER_SECONDS = 0.5

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
        self._wish = Wish(folder / WISH_NAME, clock)
        self._lock = threading.Lock()
        self._share = 0.0
        self._notes: PredictionLog | None = None

    def offer(self, answers: Iterable[tuple[Exchange, Call, Columns]]) -> None:
        """Note those of these that another revision answers as well, when somebody wants them."""
        notes = self._wanted()
        if notes is not None:
            for exchange, call, outputs in answers:
                if exchange.is_copied:
                    notes.offer(exchange, call, outputs)

    def close(self) -> None:
        with self._lock:
            self._end()

    def _wanted(self) -> PredictionLog | None:
        if not self._wish.is_due():
            return self._notes
        with self._lock:
            if self._wish.is_due():
                self._follow(self._wish.share())
            return self._notes

    def _follow(self, share: float) -> None:
        if share == self._share:
            return
        self._end()
        if share == 0:
            return
        try:
            sink = JsonlSink(str(self._folder / ANSWERS_NAME), _FILE_BYTES, _FILES, _GATHER_SECONDS)
        except Unavailable as error:
            log.warning("answers cannot be noted: %s", error)
            return
        self._share, self._notes = share, PredictionLog(sink, self._identity, share, inputs=False)

    def _end(self) -> None:
        notes, self._notes, self._share = self._notes, None, 0.0
        if notes is not None:
            notes.close(0.0)
