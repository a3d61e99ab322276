"""Logs: one JSON object per line, and no flood."""

from __future__ import annotations

import logging
import sys

import orjson

from tidegate.server.logs import JsonFormatter, RateLimit


def formatted(record: logging.LogRecord) -> dict[str, object]:
    line = JsonFormatter().format(record)
    assert "\n" not in line
    document: dict[str, object] = orjson.loads(line)
    return document


def test_an_event_is_one_line_with_its_fields() -> None:
    record = logging.LogRecord("tidegate.server", logging.WARNING, "", 0, "%s\nand more", ("text",), None)
    record.fields = {"request_id": "r-1", "path": object}
    event = formatted(record)
    assert event["level"] == "warning"
    assert event["message"] == "text\nand more"
    assert event["request_id"] == "r-1"
    assert str(event["at"]).endswith("+00:00")


def test_an_exception_is_told_with_its_traceback() -> None:
    try:
        int("no")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "failed", (), sys.exc_info())
    assert "ValueError: invalid literal" in str(formatted(record)["traceback"])


def test_a_flood_is_held_back_and_what_was_held_back_is_told() -> None:
    now = 100.0
    limit = RateLimit(per_second=2, clock=lambda: now)
    assert [limit.admit() for _ in range(5)] == [0, 0, None, None, None]
    now = 101.0
    assert [limit.admit() for _ in range(3)] == [3, 0, None]
