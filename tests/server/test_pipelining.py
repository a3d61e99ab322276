"""Requests that a client sends before it has the answers to those before them."""

from __future__ import annotations

import json

import pytest

from tests.server import fuzzing
from tests.server.conftest import InProcess
from tests.server.test_fuzz import Wire

GOOD = fuzzing.Request("/predict", fuzzing.dumped([fuzzing.ROW])).wire()
REFUSED = fuzzing.Request("/predict", b"", method="GET").wire()


def connected(client: InProcess) -> Wire:
    return Wire(client.address)


def test_thousands_of_refused_requests_behind_one_that_is_answered_follow_each_other(flights: InProcess) -> None:
    wire = connected(flights)
    wire.send(GOOD + REFUSED * 3000 + GOOD)
    assert [wire.answer()[0] for _ in range(3002)] == [200, *[405] * 3000, 200]
    wire.close()


@pytest.mark.parametrize("junk", [b"no HTTP\r\n\r\n", b"GET /v2 HTTP/1.1\r\n" + b"x" * 70_000 + b": 1\r\n\r\n"])
def test_what_is_no_http_is_answered_after_what_was_asked_before_it(flights: InProcess, junk: bytes) -> None:
    wire = connected(flights)
    wire.send(GOOD * 3 + junk)
    assert [wire.answer()[0] for _ in range(3)] == [200] * 3
    status, body, closes = wire.answer()
    assert status in (400, 431)
    assert json.loads(body)["error"]
    assert closes
    wire.close()


def test_a_body_that_breaks_off_is_answered_400_and_the_connection_closed(flights: InProcess) -> None:
    wire = connected(flights)
    wire.send(GOOD + b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n")
    assert wire.answer()[0] == 200
    status, body, closes = wire.answer()
    assert (status, closes) == (400, True)
    assert "breaks off" in json.loads(body)["error"]
    wire.close()
