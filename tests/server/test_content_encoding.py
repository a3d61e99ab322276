"""Bodies that came compressed, over every protocol of REST: as large as plain ones at most, and named when damaged."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.server.conftest import LIMITS, InProcess

ROW = {"distance": 400.0, "hour": 18, "month": 7, "carrier": "UA"}
TENSORS = [
    {"name": name, "shape": [1], "datatype": "BYTES" if isinstance(value, str) else "FP64", "data": [value]}
    for name, value in ROW.items()
]
REQUESTS: list[tuple[str, Any]] = [
    ("/predict", [ROW]),
    ("/v2/models/flights/infer", {"inputs": TENSORS}),
    ("/v1/models/flights:predict", {"instances": [ROW]}),
]
COMPRESS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("GZIP", gzip.compress),
    ("x-gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("identity", bytes),
]


def send(client: InProcess, body: bytes, encoding: str, path: str = "/predict", **headers: str) -> tuple[int, Any]:
    answer = client.post(path, content=body, headers={"content-encoding": encoding, **headers})
    return answer.status_code, answer.json()


@pytest.mark.parametrize(("path", "document"), REQUESTS)
@pytest.mark.parametrize(("encoding", "compress"), COMPRESS)
def test_the_answer_is_that_of_the_plain_body(
    flights: InProcess, path: str, document: Any, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    expected = flights.post(path, json=document).json()
    assert send(flights, compress(json.dumps(document).encode()), encoding, path) == (200, expected)


def test_a_table_may_come_compressed(flights: InProcess) -> None:
    body = gzip.compress(b"distance,hour,month,carrier\n400,18,7,UA\n")
    expected = flights.post("/predict", json=[ROW]).json()
    assert send(flights, body, "gzip", **{"content-type": "text/csv"}) == (200, expected)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip"])
def test_another_encoding_is_refused(flights: InProcess, encoding: str) -> None:
    status, document = send(flights, b"[]", encoding)
    assert status == 415
    assert document["field"] == "Content-Encoding"


WHOLE = gzip.compress(json.dumps([ROW]).encode())


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (json.dumps([ROW]).encode(), "is not gzip"),
        (WHOLE[:-9], "ends too early"),
        (WHOLE + b"x", "something follows its end"),
        (WHOLE[:-5] + b"\0" + WHOLE[-4:], "is not gzip"),
        (b"", "ends too early"),
    ],
    ids=["plain", "cut", "longer", "wrong checksum", "empty"],
)
def test_a_damaged_body_is_refused(flights: InProcess, body: bytes, says: str) -> None:
    status, document = send(flights, body, "gzip")
    assert status == 400
    assert says in document["error"]


def test_a_small_body_does_not_become_more_than_a_plain_one_may_be(flights: InProcess) -> None:
    row = json.dumps([ROW])
    fits = row + " " * (LIMITS.body_bytes - len(row))
    assert send(flights, gzip.compress(fits.encode()), "gzip")[0] == 200
    status, document = send(flights, gzip.compress(fits.encode() + b" "), "gzip")
    assert status == 413
    assert "when it is decompressed" in document["error"]
    bomb = gzip.compress(b"[" * 100_000_000)
    assert len(bomb) < LIMITS.body_bytes
    assert send(flights, bomb, "gzip")[0] == 413
