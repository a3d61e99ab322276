"""`/predict` with CSV, Arrow and Parquet: the same answers as with JSON, and refusals that say what to change."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from tests.server.conftest import InProcess
from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Signature, TensorSpec
from tidegate.server.protocols import arrow_table, tables
from tidegate.server.protocols.base import Limits
from tidegate.server.protocols.csv_table import write_csv
from tidegate.server.protocols.media import Form

ROWS = [
    {"distance": 400.0, "hour": 18, "month": 7, "carrier": "UA"},
    {"distance": None, "hour": 6, "month": 1, "carrier": None},
    {"distance": 2000.5, "hour": 6, "month": 1, "carrier": 'Z "Z", é'},
]
STREAM, FILE = "application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.file"
PARQUET, CSV = "application/vnd.apache.parquet", "text/csv"
LIMIT_ROWS, LIMIT_BYTES = 1000, 200_000


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows)


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    target = io.StringIO()
    writer = csv.DictWriter(target, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return target.getvalue().encode()


def as_stream(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def as_file(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def as_parquet(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    return sink.getvalue().to_pybytes()


def post(client: InProcess, body: bytes, kind: str, accept: str = "*/*") -> Any:
    return client.post("/predict", content=body, headers={"content-type": kind, "accept": accept})


def refused(client: InProcess, body: bytes, kind: str, status: int = 400) -> dict[str, str]:
    answer = post(client, body, kind)
    assert answer.status_code == status, answer.text
    document: dict[str, str] = answer.json()
    return document


def dictionary_table(table: pa.Table) -> pa.Table:
    column = table.column("carrier").dictionary_encode()
    return table.set_column(table.schema.get_field_index("carrier"), "carrier", column)


NARROW = [("distance", pa.float64()), ("hour", pa.int8()), ("month", pa.uint16()), ("carrier", pa.string_view())]
BODIES: dict[str, tuple[str, Callable[[pa.Table], bytes]]] = {
    "stream": (STREAM, as_stream),
    "stream of small batches": (STREAM, lambda table: as_stream(pa.concat_tables(table.slice(i, 1) for i in range(3)))),
    "compressed stream": (STREAM, lambda table: as_stream(table, compression="zstd")),
    "stream with a dictionary": (STREAM, lambda table: as_stream(dictionary_table(table))),
    "stream with views": (STREAM, lambda table: as_stream(table.cast(pa.schema(NARROW)))),
    "file": (FILE, as_file),
    "parquet": (PARQUET, as_parquet),
    "parquet without a dictionary": ("application/x-parquet", lambda table: as_parquet(table, use_dictionary=False)),
    "parquet of the second version": (PARQUET, lambda table: as_parquet(table, data_page_version="2.0")),
    "parquet of many row groups": (PARQUET, lambda table: as_parquet(table, row_group_size=1)),
}


@pytest.mark.parametrize("name", BODIES)
def test_every_form_of_the_same_rows_gets_the_same_answer(flights: InProcess, name: str) -> None:
    kind, write = BODIES[name]
    answer = post(flights, write(table_of(ROWS)), kind)
    assert answer.status_code == 200, answer.text
    assert answer.json() == flights.post("/predict", json=ROWS).json()


@pytest.mark.parametrize(
    ("kind", "body"),
    [(CSV, as_csv(ROWS)), (f"{CSV}; charset=UTF-8", b"\xef\xbb\xbf" + as_csv(ROWS).replace(b"\r", b""))],
    ids=["RFC 4180", "with a mark and unix lines"],
)
def test_csv_of_the_same_rows_gets_the_same_answer(flights: InProcess, kind: str, body: bytes) -> None:
    assert post(flights, body, kind).json() == flights.post("/predict", json=ROWS).json()


def expected_columns(client: InProcess) -> dict[str, list[Any]]:
    predictions = client.post("/predict", json=ROWS).json()["predictions"]
    return {
        "prediction": [row["prediction"] for row in predictions],
        "probabilities.late": [row["probabilities"]["late"] for row in predictions],
        "probabilities.on time": [row["probabilities"]["on time"] for row in predictions],
    }


@pytest.mark.parametrize("accept", ["text/csv", "text/html;q=0.9, text/csv;q=0.8, */*;q=0.1", "text/*"])
def test_an_answer_as_csv_keeps_names_and_labels(flights: InProcess, accept: str) -> None:
    answer = flights.post("/predict", json=ROWS, headers={"accept": accept})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    expected = expected_columns(flights)
    assert columns == {name: [str(value) for value in values] for name, values in expected.items()}


@pytest.mark.parametrize("accept", [STREAM, FILE, PARQUET, "application/x-parquet"])
def test_an_answer_as_arrow_keeps_names_labels_and_digits(flights: InProcess, accept: str) -> None:
    answer = post(flights, as_csv(ROWS), CSV, accept)
    assert answer.status_code == 200, answer.text
    read: dict[str, Callable[[pa.Buffer], pa.Table]] = {
        STREAM: lambda buffer: pa.ipc.open_stream(buffer).read_all(),
        FILE: lambda buffer: pa.ipc.open_file(buffer).read_all(),
    }
    table = read.get(accept, lambda buffer: pq.read_table(pa.BufferReader(buffer)))(pa.py_buffer(answer.content))
    assert table.to_pydict() == expected_columns(flights)
    assert table.schema.metadata[b"tidegate.revision"] == b"3"


@pytest.mark.parametrize("accept", ["image/png", "text/csv;q=0", "application/xml, text/html"])
def test_an_accept_that_names_none_of_the_forms_is_answered_406_with_them(flights: InProcess, accept: str) -> None:
    answer = flights.post("/predict", json=ROWS, headers={"accept": accept})
    assert answer.status_code == 406
    assert "text/csv" in answer.json()["expected"]


@pytest.mark.parametrize("kind", ["image/png", "text/csv; charset=latin-1", "application/octet-stream", "nonsense"])
def test_a_content_type_that_is_not_taken_is_answered_415(flights: InProcess, kind: str) -> None:
    assert len(refused(flights, b"{}", kind, 415)["expected"]) > 5


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8"])
def test_json_under_the_names_that_clients_give_it(flights: InProcess, kind: str) -> None:
    answer = post(flights, b'[{"distance": 400.0, "hour": 18, "month": 7, "carrier": "UA"}]', kind)
    assert answer.status_code == 200


def test_csv_without_its_content_type_is_answered_with_the_advice_to_say_so(flights: InProcess) -> None:
    assert "text/csv" in refused(flights, as_csv(ROWS), "application/x-www-form-urlencoded")["hint"]


def test_a_column_that_the_model_does_not_take_is_ignored_whatever_it_holds(flights: InProcess) -> None:
    table = table_of(ROWS).append_column("nested", [[[1, 2], [3], None]]).append_column("blob", [[b"", b"x", None]])
    for kind, body in ((STREAM, as_stream(table)), (PARQUET, as_parquet(table))):
        assert post(flights, body, kind).json() == flights.post("/predict", json=ROWS).json()


@pytest.mark.parametrize(
    ("kind", "write"), [(CSV, as_csv), (STREAM, lambda rows: as_stream(table_of(rows)))], ids=["csv", "arrow"]
)
def test_an_absent_column_is_named_with_the_one_that_looks_like_it(
    flights: InProcess, kind: str, write: Callable[[list[dict[str, Any]]], bytes]
) -> None:
    error = refused(
        flights, write([{"distnace": 1.0, **{k: v for k, v in row.items() if k != "distance"}} for row in ROWS]), kind
    )
    assert error["field"] == "distance"
    assert "'distnace'" in error["error"]
    assert "carrier" in error["expected"]


@pytest.mark.parametrize("cell", ["noon", "1_000", "nan", "inf", "1e999", "0x10", "1,5"])
def test_a_cell_that_is_no_number_is_named_with_field_and_row(flights: InProcess, cell: str) -> None:
    error = refused(flights, as_csv([*ROWS, {**ROWS[0], "hour": cell}]), CSV)
    assert error["field"] == "hour[3]"
    assert cell in error["got"]
    assert "number" in error["expected"]


@pytest.mark.parametrize(
    "body",
    [b"", b"\r\n", b"distance,hour,month,carrier", b"distance,hour,month,carrier\r\n", b"\xff\xfe", b'a"b\n"c',
     b"distance,hour,month,carrier\n1,2,3", b"distance,hour,month,carrier\n1,2,3,4,5", b'"', b"," * 100_000,
     b"distance,hour,month,carrier,hour\n1,2,3,4,5", b"\0", b'distance,hour,month,carrier\n1,2,3,"x'],
)  # fmt: skip
def test_what_is_no_table_is_refused_with_a_sentence(flights: InProcess, body: bytes) -> None:
    assert len(refused(flights, body, CSV)["error"]) > 10


NOW = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        (pa.array([NOW] * 3), "distance", "timestamp"),
        (pa.array(["1"] * 3), "distance", "string"),
        (pa.array([True] * 3), "distance", "bool"),
        (pa.array([[1.0]] * 3), "distance", "list"),
        (pa.array([1.0, 2.0, float("inf")]), "distance[2]", "fits"),
        (pa.array([b"x"] * 3), "carrier", "binary"),
        (pa.array([1] * 3), "carrier", "int64"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("write", [as_stream, as_parquet])
def test_a_column_of_another_type_is_named(
    flights: InProcess, values: pa.Array, field: str, words: str, write: Callable[[pa.Table], bytes]
) -> None:
    table, column = table_of(ROWS), field.partition("[")[0]
    table = table.set_column(table.schema.get_field_index(column), column, values)
    error = refused(flights, write(table), STREAM if write is as_stream else PARQUET)
    assert error["field"] == field
    assert words in error["error"]


@pytest.mark.parametrize(
    "kind", [pa.float16(), pa.int64(), pa.decimal128(10, 1), pa.dictionary(pa.int8(), pa.float64())]
)
def test_numbers_of_another_type_are_taken_when_they_fit(flights: InProcess, kind: pa.DataType) -> None:
    values = pa.array([Decimal(400), None, Decimal(2000)]).cast(pa.float64())
    values = values.dictionary_encode() if pa.types.is_dictionary(kind) else values.cast(kind)
    rows = [{**row, "distance": distance} for row, distance in zip(ROWS, (400.0, None, 2000.0), strict=True)]
    table = table_of(rows).set_column(0, "distance", values)
    answer = post(flights, as_stream(table), STREAM)
    assert answer.json() == flights.post("/predict", json=rows).json()


def test_more_rows_than_allowed_are_refused_before_they_are_decoded(flights: InProcess) -> None:
    table = table_of(ROWS).slice(0, 1)
    many = pa.Table.from_pydict({name: pa.repeat(table.column(name)[0], 1_000_000) for name in ROWS[0]})
    assert refused(flights, as_csv([ROWS[0]] * (LIMIT_ROWS + 1)), CSV, 413)
    assert refused(flights, as_stream(pa.Table.from_pydict({"distance": pa.nulls(10**7)})), STREAM, 413)
    packed = as_parquet(many)
    assert len(packed) < LIMIT_BYTES
    assert str(LIMIT_ROWS) in refused(flights, packed, PARQUET, 413)["error"]


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_a_stream_that_grows_beyond_the_limit_is_refused_before_it_is_unpacked(
    flights: InProcess, compression: str
) -> None:
    table = table_of([{**ROWS[0], "carrier": "x" * 10_000_000}])
    body = as_stream(table, compression=compression)
    assert len(body) < LIMIT_BYTES
    assert "decompressed" in refused(flights, body, STREAM, 413)["error"]


def test_a_parquet_page_that_grows_beyond_the_limit_is_refused_before_it_is_unpacked(flights: InProcess) -> None:
    body = as_parquet(table_of([{**ROWS[0], "carrier": "x" * 10_000_000}]), compression="zstd")
    assert len(body) < LIMIT_BYTES
    assert "decompressed" in refused(flights, body, PARQUET, 413)["error"]


def test_one_long_text_in_every_row_is_held_once(flights: InProcess) -> None:
    table = table_of([{**ROWS[0], "carrier": "x" * 50_000}] * LIMIT_ROWS)
    for body, kind in ((as_parquet(table), PARQUET), (as_stream(dictionary_table(table)), STREAM)):
        assert len(body) < LIMIT_BYTES
        assert post(flights, body, kind).status_code == 200


def test_views_that_all_show_one_long_text_are_refused(flights: InProcess) -> None:
    view = np.array([50_000, int.from_bytes(b"xxxx"), 0, 0], dtype="<i4")
    buffers = [None, pa.py_buffer(np.tile(view, LIMIT_ROWS)), pa.py_buffer(b"x" * 50_000)]
    views = pa.Array.from_buffers(pa.string_view(), LIMIT_ROWS, buffers)
    body = as_stream(table_of([ROWS[0]] * LIMIT_ROWS).set_column(3, "carrier", views))
    assert len(body) < LIMIT_BYTES
    assert "decompressed" in refused(flights, body, STREAM, 413)["error"]


def test_prefixes_that_repeat_themselves_are_refused(flights: InProcess) -> None:
    body = as_parquet(table_of(ROWS), use_dictionary=False, column_encoding={"carrier": "DELTA_BYTE_ARRAY"})
    assert "DELTA_BYTE_ARRAY" in refused(flights, body, PARQUET)["error"]


@pytest.mark.parametrize("data_page_version", ["1.0", "2.0"])
def test_text_may_have_its_lengths_before_it(flights: InProcess, data_page_version: str) -> None:
    expected = post(flights, as_parquet(table_of(ROWS)), PARQUET).json()
    body = as_parquet(
        table_of(ROWS),
        use_dictionary=False,
        column_encoding={"carrier": "DELTA_LENGTH_BYTE_ARRAY", "distance": "BYTE_STREAM_SPLIT"},
        data_page_version=data_page_version,
    )
    answer = post(flights, body, PARQUET)
    assert answer.status_code == 200, answer.text
    assert answer.json() == expected


@pytest.mark.parametrize("write", [as_stream, as_file, as_parquet])
def test_damaged_bodies_are_refused(flights: InProcess, write: Callable[[pa.Table], bytes]) -> None:
    body, kind = write(table_of(ROWS)), {as_stream: STREAM, as_file: FILE, as_parquet: PARQUET}[write]
    randomly = np.random.default_rng(7)
    for _ in range(150):
        damaged = bytearray(body)
        for position in randomly.integers(0, len(body), 3):
            damaged[position] = randomly.integers(0, 256)
        for candidate in (bytes(damaged), body[: randomly.integers(0, len(body))]):
            answer = post(flights, candidate, kind)
            assert answer.status_code in (200, 400, 413), answer.text


def test_rows_of_a_tensor_are_columns_with_its_name_and_their_number(tensors: InProcess) -> None:
    answer = post(tensors, b"input.0,input.1,input.2\n18,7,400\n6,1,2000\n", CSV)
    assert answer.status_code == 200, answer.text
    assert answer.json() == tensors.post("/predict", json=[[18.0, 7.0, 400.0], [6.0, 1.0, 2000.0]]).json()


def test_without_pyarrow_its_forms_are_refused_with_what_to_install(
    flights: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow_table, "find_spec", lambda name: None)
    body = as_stream(table_of(ROWS))
    assert "tidegate[arrow]" in refused(flights, body, STREAM, 415)["hint"]
    assert post(flights, as_csv(ROWS), CSV, PARQUET).status_code == 406


def test_an_output_that_does_not_lie_in_one_piece_is_written_as_csv() -> None:
    outputs = {"y": np.arange(6.0).reshape(3, 2)[:, 0]}
    assert write_csv(tables.table_of([TensorSpec("y", "FP64")], outputs)) == b"y\r\n0.0\r\n2.0\r\n4.0\r\n"


@pytest.mark.parametrize("kind", [pa.decimal128(19, 0), pa.decimal128(30, 2)])
def test_decimals_become_the_integers_that_they_are(kind: pa.DataType) -> None:
    wanted = [2**53 + 1, 2**63 - 1, -(2**63)]
    assert integers(pa.array([Decimal(value) for value in wanted]).cast(kind)).tolist() == wanted


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (pa.array([Decimal("1.00"), Decimal("1.50")]), "row 1: expected an integer, got Decimal"),
        (pa.array([Decimal("1"), Decimal(2**63)]), "row 1: expected a number that fits INT64"),
        (pa.array([1.0, 2.0**53]), "row 1: expected an integer"),
    ],
)
def test_numbers_that_are_no_integer_for_sure_are_refused(column: pa.Array, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        integers(column)


def integers(column: pa.Array) -> np.ndarray[Any, Any]:
    signature = Signature("columns", (TensorSpec("i", "INT64"),), (TensorSpec("y", "FP64"),))
    body = as_stream(pa.table({"i": column}))
    (read,), _ = arrow_table.read_arrow(body, Form.ARROW_STREAM, tables.TableReader(signature, Limits()), LIMIT_BYTES)
    return read
