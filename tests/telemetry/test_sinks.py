"""The prediction log in the store: every row arrives as it is, in bulk, and a bad one costs no other."""

from __future__ import annotations

import logging
import string
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, text
from sqlalchemy.engine import URL

from tests.support.postgresql import Postgresql
from tests.support.telemetry_rows import count, request_ids
from tests.telemetry.conftest import record, said
from tidegate.contract.errors import InvalidInput
from tidegate.store.database import Database
from tidegate.store.definition import SERVING
from tidegate.store.schema.telemetry import predictions
from tidegate.store.versions import connected
from tidegate.telemetry.opening import STORE_VARIABLE, postgresql, sqlite, store
from tidegate.telemetry.rows import COLUMNS, Row
from tidegate.telemetry.sink import Away, NotAllWritten, Refused, TableSink


def test_the_columns_are_those_of_the_table() -> None:
    assert tuple(column.name for column in predictions.columns) == COLUMNS


def test_a_record_becomes_a_row(sink: TableSink, database: Database) -> None:
    sink.write([record("r-1")])
    with database.read() as db:
        (found,) = db.execute(select(predictions)).all()
    assert found._asdict() == {
        "at": datetime(2026, 11, 29, 12, 0, 0, 250_000, tzinfo=UTC),
        "request_id": "r-1",
        "deployment": "churn",
        "revision": 3,
        "rows": 2,
        "inputs": {"age": [41, None], "name": ["Ada", "Bo"]},
        "outputs": {"score": [0.5, 0.25]},
    }


texts = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\\\t\n\r\"'\0\x7f\u2028"), max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(st.lists(st.tuples(texts, texts, st.floats(allow_nan=False, allow_infinity=False)), min_size=1, max_size=5))
def test_whatever_users_send_comes_back_as_it_was_but_for_nul(
    sink: TableSink, database: Database, sent: list[tuple[str, str, float]]
) -> None:
    with database.write() as db:
        db.execute(delete(predictions))
    sink.write([record(name, inputs={value: [value, number]}) for name, value, number in sent])
    with database.read() as db:
        rows = db.execute(select(predictions)).all()
    # A JSONB number is a decimal, and 4.5e16 a whole one.
    found = [(row.request_id, {name: [one[0], float(one[1])] for name, one in row.inputs.items()}) for row in rows]

    def held(value: str) -> str:
        return value.replace("\0", "\ufffd")

    expected = [(held(name), {held(value): [held(value), number]}) for name, value, number in sent]
    assert sorted(found, key=repr) == sorted(expected, key=repr)


def test_what_is_no_record_costs_no_other(sink: TableSink, database: Database) -> None:
    with pytest.raises(NotAllWritten) as told:
        sink.write([record("first"), b"{}", b"no JSON", record("last")])
    assert told.value.failed == 2
    assert request_ids(database) == ["first", "last"]


def test_a_row_that_the_table_refuses_costs_no_other(server: Postgresql) -> None:
    url = server.fresh()
    database = connected(url)
    sink = postgresql(said(url).replace(":@", "@").removeprefix("postgresql:"))
    # No index takes a text like this, which does not shrink either.
    unindexable = "".join(string.printable[(at * at * 7 + at // 97) % 94] for at in range(60_000))
    records = [record(f"{number:03d}") for number in range(100)]
    records[17] = record(unindexable)
    records[18] = record("wrong", revision=2**40)
    try:
        with pytest.raises(NotAllWritten) as told:
            sink.write(records)
        assert told.value.failed == 2
        assert len(request_ids(database)) == 98
    finally:
        sink.close()
        database.close()
        server.drop(url)


def test_a_member_of_the_serving_role_may_write_the_log_and_not_read_it(server: Postgresql) -> None:
    url = server.fresh()
    database = connected(url)
    with server.login(url, SERVING) as replica:
        sink = postgresql(said(replica).replace(":@", "@").removeprefix("postgresql:"))
        own = connected(replica)
        try:
            sink.write([record("mine")])
            assert request_ids(database) == ["mine"]
            with pytest.raises(Exception, match="permission denied"):
                request_ids(own)
        finally:
            sink.close()
            own.close()
            database.close()
            server.drop(url)


def test_a_connection_that_was_ended_is_made_again(server: Postgresql, monkeypatch: pytest.MonkeyPatch) -> None:
    url = server.fresh()
    monkeypatch.setenv(STORE_VARIABLE, said(url))
    sink, database = store(""), connected(url)
    try:
        sink.write([record("before")])
        with database.engine.begin() as db:
            ended = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%log'")
            assert db.execute(ended).scalars().all() == [True]
        sink.write([record("after")])
        assert request_ids(database) == ["after", "before"]
    finally:
        sink.close()
        database.close()
        server.drop(url)


def test_a_database_that_is_away_costs_what_comes_and_is_used_again_when_it_is_back(
    server: Postgresql, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.empty()
    monkeypatch.setenv(STORE_VARIABLE, said(url))
    opened = store("")
    now = [0.0]
    sink = TableSink(opened._table, clock=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds))
    server.drop(url)
    with pytest.raises(NotAllWritten) as told:
        sink.write([record("1"), record("2")])
    assert told.value.failed == 2
    assert 8 <= now[0] <= 10
    waited = now[0]
    with pytest.raises(NotAllWritten):
        sink.write([record("3")])
    assert now[0] == waited
    template = server.fresh()
    server.run(f"CREATE DATABASE {url.database} TEMPLATE {template.database}")
    now[0] += 1.0
    try:
        sink.write([record("4")])
        database = connected(url)
        assert request_ids(database) == ["4"]
        database.close()
    finally:
        sink.close()
        server.drop(url)
        server.drop(template)


def test_a_file_that_is_not_there_yet_is_not_made_and_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "tidegate.db"
    sink = TableSink(sqlite(str(path))._table, patience_seconds=0.0)
    with pytest.raises(NotAllWritten, match="unable to open"):
        sink.write([record()])
    assert not path.exists()
    sink.close()


class Table:
    """Takes rows but for those that are wrong, and is away at times."""

    def __init__(self, wrong: Sequence[str] = (), away: int = 0) -> None:
        self.rows: list[str] = []
        self.wrong, self.away, self.puts = set(wrong), away, 0

    def put(self, rows: Sequence[Row]) -> None:
        self.puts += 1
        if self.away > 0:
            self.away -= 1
            raise Away("away")
        ids = [row.request_id for row in rows]
        if self.wrong & set(ids):
            raise Refused("wrong")
        self.rows += ids

    def close(self) -> None:
        pass


@given(st.sets(st.integers(0, 99), max_size=20), st.integers(1, 100))
def test_exactly_the_wrong_rows_are_not_written_and_the_order_is_kept(wrong: set[int], number: int) -> None:
    table = Table([str(one) for one in wrong])
    sink = TableSink(table, sleep=lambda _: None)
    right = [str(one) for one in range(number) if one not in wrong]
    failed = number - len(right)
    told = 0
    try:
        sink.write([record(str(one)) for one in range(number)])
    except NotAllWritten as error:
        told = error.failed
    assert told == failed
    assert table.rows == right
    assert table.puts <= 1 + 2 * failed * 8


def test_a_short_absence_costs_nothing() -> None:
    table = Table(away=3)
    TableSink(table, sleep=lambda _: None).write([record("a"), record("b")])
    assert table.rows == ["a", "b"]


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("//ada:swordfish@127.0.0.1/store", "password"),
        ("//127.0.0.1/store?user=ada&password=swordfish", "password"),
        ("//127.0.0.1/store?nonsense=1", "cannot be read"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_showing_a_password(argument: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told) as refused:
        postgresql(argument)
    assert "swordfish" not in str(refused.value)


@pytest.mark.parametrize(("given_store", "argument"), [("", ""), ("mysql://host/db", ""), ("tidegate.db", "x")])
def test_a_store_that_is_not_named_well_is_refused(
    given_store: str, argument: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STORE_VARIABLE, given_store)
    with pytest.raises(InvalidInput):
        store(argument)


def test_neither_passwords_nor_what_users_sent_are_told_by_errors(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(STORE_VARIABLE, "postgresql://ada:swordfish@127.0.0.1:1/store")
    sink = TableSink(store("")._table, patience_seconds=0.0)
    with caplog.at_level(logging.DEBUG), pytest.raises(NotAllWritten) as told:
        sink.write([record(inputs={"name": ["Grace"]})])
    for secret in ("swordfish", "Grace"):
        assert secret not in str(told.value)
        assert secret not in caplog.text


def test_many_rows_arrive_in_batches(sink: TableSink, database: Database) -> None:
    for first in range(0, 5_000, 500):
        sink.write([record(str(number)) for number in range(first, first + 500)])
    assert count(database) == 5_000


def test_a_store_is_a_file_or_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STORE_VARIABLE, str(tmp_path / "tidegate.db"))
    assert type(store("")._table).__name__ == "SqliteTable"
    monkeypatch.setenv(STORE_VARIABLE, str(URL.create("postgresql", host="127.0.0.1", database="store")))
    assert type(store("")._table).__name__ == "PostgresqlTable"
