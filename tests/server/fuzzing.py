"""Malformed requests for every protocol, from a seed: valid ones, broken in one or more places."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

ROW = {"distance": 400.0, "hour": 18, "month": 7, "carrier": "UA"}
MODEL, MODEL_V1 = "/v2/models/flights", "/v1/models/flights"
STREAM, PARQUET = "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"


@dataclass(frozen=True)
class Request:
    """One request: its path, the headers beside Content-Length, and its body."""

    path: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    method: str = "POST"

    def wire(self) -> bytes:
        lines = [f"{self.method} {self.path} HTTP/1.1", "host: x", f"content-length: {len(self.body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body


def _tensors(rows: int) -> list[dict[str, Any]]:
    datatypes = {"distance": "FP64", "hour": "FP64", "month": "FP64", "carrier": "BYTES"}
    return [
        {"name": name, "shape": [rows], "datatype": datatypes[name], "data": [value] * rows}
        for name, value in ROW.items()
    ]


def documents(rows: int) -> list[tuple[str, Any]]:
    """Return a valid JSON request for each form of each protocol, with its path."""
    records = [dict(ROW) for _ in range(rows)]
    columns = {name: [value] * rows for name, value in ROW.items()}
    return [
        ("/predict", records),
        ("/predict", {"records": records}),
        ("/predict", {"columns": columns}),
        (f"{MODEL}/infer", {"id": "1", "inputs": _tensors(rows), "outputs": [{"name": "prediction"}]}),
        (f"{MODEL}/versions/3/infer", {"inputs": _tensors(rows), "parameters": {"binary_data_output": False}}),
        (f"{MODEL_V1}:predict", {"signature_name": "serving_default", "instances": records}),
        (f"{MODEL_V1}/versions/3:predict", {"inputs": columns}),
        (f"{MODEL_V1}/labels/latest:classify", {"context": {"month": 7}, "examples": [
            {name: value for name, value in ROW.items() if name != "month"}] * rows}),
        (f"{MODEL_V1}:regress", {"examples": records}),
    ]  # fmt: skip


def nested(depth: int, leaf: Any = 1) -> Any:
    for _ in range(depth):
        leaf = [leaf]
    return leaf


def nasty(rng: Random) -> Any:
    """Return a value that fits nowhere, or only just."""
    return rng.choice([
        None, True, False, 0, -1, 1e308, -1e308, 5e-324, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, float("nan"),
        float("inf"), float("-inf"), 1e999, "", "NaN", "\u0000", "\ud800", "x" * rng.choice([1, 100, 5000]), [], {},
        [[]], [None], {"b64": "!"}, {"b64": 7}, {"": None}, nested(rng.choice([3, 70, 200])),
        [1] * rng.choice([2, 300, 3000]), {str(index): index for index in range(rng.choice([3, 300]))},
        "datatype", "FP32", "INT64", "BYTES", ROW,
    ])  # fmt: skip


def _paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [here]
    if isinstance(value, dict):
        for key, item in value.items():
            found += _paths(item, (*here, key))
    elif isinstance(value, list):
        for index, item in enumerate(value[:4]):
            found += _paths(item, (*here, index))
    return found


def mutated_document(rng: Random, document: Any) -> Any:
    """Return a copy of a document with a value replaced, taken away, renamed, or repeated."""
    document = json.loads(json.dumps(document))
    path = rng.choice(_paths(document))
    if not path:
        return nasty(rng)
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    key = path[-1]
    match rng.randrange(5):
        case 0 if isinstance(holder, dict):
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[rng.choice([key + "x", key[:-1], "", "inputs", "columns"])] = holder.pop(key)
        case 2 if isinstance(holder, list):
            holder[key:key] = [holder[key]] * rng.choice([1, 50])
        case _:
            holder[key] = nasty(rng)
    return document


def dumped(document: Any) -> bytes:
    return json.dumps(document).encode("utf-8", "surrogatepass")


def mutated_bytes(rng: Random, body: bytes) -> bytes:
    """Return bytes that were cut, flipped, repeated, or have something between them that does not belong there."""
    at = rng.randrange(len(body)) if body else 0
    match rng.randrange(6):
        case 0:
            return body[:at]
        case 1:
            return body[:at] + bytes([rng.randrange(256)]) + body[at + 1 :]
        case 2:
            return body[:at] + rng.randbytes(rng.randrange(1, 9)) + body[at:]
        case 3:
            return body[:at] + body[at : at + 40] * rng.randrange(2, 30) + body[at:]
        case 4:
            junk = [b"[" * 5000, b'{"a":' * 2000, b"9" * 5000, b"\x00" * 100, b"NaN", b"1e400", b'"', b"\xff\xfe", b","]
            return body[:at] + rng.choice(junk) + body[at:]
    return rng.randbytes(rng.randrange(200))


def json_request(rng: Random) -> Request:
    path, document = rng.choice(documents(rng.choice([1, 1, 2, 5])))
    for _ in range(rng.choice([1, 1, 2])):
        document = mutated_document(rng, document) if isinstance(document, list | dict) else document
    body = dumped(document)
    if rng.random() < 0.35:
        body = mutated_bytes(rng, body)
    return Request(path, body)


#: Twenty megabytes in twenty kilobytes.
_BOMB = zlib.compress(b"[" * 20_000_000)


def compressed_request(rng: Random) -> Request:
    """Return a request whose body is compressed, damaged, said to be compressed otherwise, or larger than it looks."""
    path, document = rng.choice(documents(rng.choice([1, 5])))
    plain = dumped(document if rng.random() < 0.3 else mutated_document(rng, document))
    body = rng.choice([gzip.compress(plain, mtime=0), zlib.compress(plain), _BOMB])
    if rng.random() < 0.6:
        body = mutated_bytes(rng, body)
    encoding = rng.choice(["gzip", "deflate", "br", "gzip, deflate", "", "identity"])
    return Request(path, body, (("content-encoding", encoding),))


def deep_request(rng: Random) -> Request:
    path, _ = rng.choice(documents(1))
    depth = rng.choice([100, 1000, 1025, 20_000])
    opening, closing = rng.choice(
        [(b"[", b"]"), (b'{"inputs":', b"}"), (b'{"b64":[', b"]}"), (b'[{"instances":', b"}]")]
    )
    return Request(
        path, opening * depth + rng.choice([b"1", b"", b"NaN"]) + closing * rng.choice([depth, depth - 1, 0])
    )


def csv_request(rng: Random) -> Request:
    lines = [",".join(ROW), *[",".join(map(str, ROW.values()))] * rng.choice([1, 3])]
    cells = [line.split(",") for line in lines]
    for _ in range(rng.choice([0, 1, 2])):
        row = rng.choice(cells)
        junk = [
            "",
            "NaN",
            "1e999",
            '"',
            '"a""b',
            "9" * 5000,
            "\0",
            "x" * 200_000 if rng.random() < 0.02 else "x",
            ",,,",
        ]
        row[rng.randrange(len(row))] = rng.choice(junk)
    body = "\r\n".join(",".join(row) for row in cells).encode()
    if rng.random() < 0.6:
        body = mutated_bytes(rng, body)
    accept = rng.choice(["*/*", "text/csv", STREAM, "image/png", "text/csv;q=x", ",;=,", "*/*;q=0"])
    kind = rng.choice(["text/csv"] * 5 + ["text/csv; charset=latin-1", ";;;", "text/"])
    return Request("/predict", body, (("content-type", kind), ("accept", accept)))


def _written() -> list[tuple[str, bytes]]:
    table = pa.Table.from_pylist([dict(ROW)] * 3)
    bodies = []
    for compression in (None, "zstd", "lz4"):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
            writer.write_table(table)
        bodies.append((STREAM, sink.getvalue().to_pybytes()))
    for dictionary in (True, False):
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, use_dictionary=dictionary)
        bodies.append((PARQUET, sink.getvalue().to_pybytes()))
    return bodies


_ARROW = _written()


def arrow_request(rng: Random) -> Request:
    kind, body = rng.choice(_ARROW)
    for _ in range(rng.choice([1, 1, 3])):
        body = mutated_bytes(rng, body)
    return Request("/predict", body, (("content-type", kind),))


def binary_request(rng: Random) -> Request:
    """Return an inference request with binary tensors whose sizes, shapes or bytes are wrong."""
    rows = rng.choice([1, 2, 5])
    tensors, parts = [], []
    for tensor in _tensors(rows):
        data = tensor.pop("data")
        if tensor["datatype"] == "BYTES":
            part = b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in data)
        else:
            part = struct.pack(f"<{rows}d", *map(float, data))
        tensor["parameters"] = {"binary_data_size": len(part)}
        tensors.append(tensor)
        parts.append(part)
    document: Any = {"inputs": tensors}
    match rng.randrange(6):
        case 0:
            tensor = rng.choice(tensors)
            size = rng.choice([-1, 0, 1, 7, 2**31, 2**63, 2**70, 1.5, None, "8", True, [8]])
            tensor["parameters"]["binary_data_size"] = size
        case 1:
            rng.choice(tensors)["shape"] = rng.choice(
                [[rows + 1], [], [-1], [2**31, 2**31], [0], [rows, 1, 1], 7, None]
            )
        case 2:
            index = rng.randrange(len(parts))
            parts[index] = mutated_bytes(rng, parts[index])
        case 3:
            parts[-1] = struct.pack("<I", rng.choice([2**32 - 1, 3, 0, 2**31])) + b"UA"
        case 4:
            document = mutated_document(rng, document)
        case _:
            rng.choice(tensors)["data"] = [1]
    head = dumped(document)
    length: Any = len(head)
    if rng.random() < 0.3:
        length = rng.choice([0, 1, length - 1, length + 1, 10**9, 10**25, "-1", "x", ""])
    return Request(f"{MODEL}/infer", head + b"".join(parts), (("inference-header-content-length", str(length)),))


def lost_request(rng: Random) -> Request:
    """Return a request to a path, or with a method or headers, that there is not."""
    path, document = rng.choice(documents(1))
    method = rng.choice(["GET", "PUT", "DELETE", "POST", "PATCH", "OPTIONS"])
    path = rng.choice([
        path, path + "x", path.replace("flights", "other"), path.replace("/versions/3", "/versions/4"), "/%ff%00", "//",
        path.replace("latest", "canary"), "/v1/models/", "/v2/models//infer", "/" + "a" * 3000, "/predict/../x",
        "/v1/models/a:b:c", "/v2/repository/models/%2e%2e/load",
    ])  # fmt: skip
    headers = rng.choice([
        (), (("content-type", "image/png"),), (("content-encoding", "gzip"),), (("x-request-id", "\t\xff" * 90),),
        (("x-request-timeout-ms", "99999999999999999999"),), (("expect", "never"),), (("traceparent", "00-zz"),),
        (("accept", "*" * 2000),), (("x-request-timeout-ms", "-1"),), (("cookie", "a=b;" * 500),),
    ])  # fmt: skip
    return Request(path, dumped(document), headers, method)


GENERATORS: tuple[Callable[[Random], Request], ...] = (
    json_request, json_request, json_request, json_request, deep_request, csv_request, csv_request, arrow_request,
    binary_request, binary_request, lost_request, compressed_request,
)  # fmt: skip


def request(rng: Random) -> Request:
    return rng.choice(GENERATORS)(rng)


_GOOD = dumped([ROW])
_HEAD = b"POST /predict HTTP/1.1\r\nhost: x\r\n"


def broken_http(rng: Random) -> bytes:
    """Return bytes that are no HTTP request, or stop being one."""
    chunked = _HEAD + b"transfer-encoding: chunked\r\n\r\n"
    return rng.choice([
        rng.randbytes(rng.randrange(1, 300)),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(200),  # a client that speaks TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /predict\r\n\r\n",
        b"POST /predict HTTP/9.9\r\n\r\n",
        _HEAD + b"content-length: -1\r\n\r\n",
        _HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\n" + _GOOD,
        _HEAD + b"content-length: 99999999999999999999999\r\n\r\n",
        _HEAD + b"content-length: 1x\r\n\r\n" + _GOOD,
        _HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        chunked + b"zz\r\n" + _GOOD,
        chunked + b"-5\r\n" + _GOOD,
        chunked + b"fffffffffffffffffff\r\n" + _GOOD,
        chunked + b"5\r\n" + _GOOD + b"\r\n0\r\n\r\n",
        _HEAD + b"bad header\r\n\r\n",
        _HEAD + b": no name\r\n\r\n",
        _HEAD + b"x: \0\r\n\r\n",
        _HEAD + b"a" * 66_000 + b": 1\r\n\r\n",
        _HEAD + b"".join(b"x-%d: %b\r\n" % (index, b"y" * 50) for index in range(1200)) + b"\r\n",
        b"GET /" + b"a" * 66_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    ])  # fmt: skip


def cut_short(rng: Random) -> bytes:
    """Return the beginning of a request, whose client goes away before its end."""
    wire = Request("/predict", _GOOD).wire()
    return wire[: rng.randrange(1, len(wire))]
