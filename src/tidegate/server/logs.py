"""Logs as JSON lines on stderr, one object per event.

Keys: `at`, `level`, `logger`, `message`, and whatever the event brings in `extra={"fields": {…}}`. Requests that go
well are not logged; those that fail are, up to a rate, so that a flood of failures fills no disk.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson


class JsonFormatter(logging.Formatter):
    """One JSON object per line; an exception becomes the key `traceback`."""

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        event.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[1] is not None:
            event["traceback"] = "".join(traceback.format_exception(record.exc_info[1]))
        return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def configure(level: int = logging.INFO) -> None:
    """Send all logs of the process, Python's warnings included, to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("py.warnings").setLevel(logging.WARNING)


class RateLimit:
    """At most `per_second` events a second; what is held back is counted and told with the next one let through."""

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._second = -1
        self._let_through = 0
        self._held_back = 0

    def admit(self) -> int | None:
        """Return how many events were held back since the last one let through, or None to hold back this one."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._let_through = second, 0
        if self._let_through >= self._per_second:
            self._held_back += 1
            return None
        self._let_through += 1
        held_back, self._held_back = self._held_back, 0
        return held_back
