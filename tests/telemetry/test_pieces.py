"""Nobody waits for a prediction log: a database gets small pieces, with pauses between, and has done with each."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from tests.support.postgresql import Postgresql
from tests.support.prometheus import until
from tests.telemetry.conftest import record, said
from tidegate.scheduling import WAY_SECONDS
from tidegate.store.versions import connected
from tidegate.telemetry.postgresql import PostgresqlTable, pause_seconds
from tidegate.telemetry.rows import Row, row_of


def test_who_writes_all_the_time_only_makes_way_for_its_other_threads() -> None:
    assert pause_seconds(0.0, 16) == WAY_SECONDS


def test_who_has_time_pauses_for_some_milliseconds() -> None:
    assert pause_seconds(10.0, 16) == pause_seconds(100.0, 1) == 0.005


@given(st.floats(0, 1e6), st.integers(1, 10_000))
def test_other_pauses_take_no_more_than_a_quarter_of_the_time_before(idle_seconds: float, pieces: int) -> None:
    taken = pieces * pause_seconds(idle_seconds, pieces)
    assert taken == pieces * WAY_SECONDS or taken <= 0.25 * idle_seconds * (1 + 1e-9)


class Watched(list[Row]):
    """Rows; before the last piece of them is taken the table must have some."""

    has_some: Any = None

    def __getitem__(self, at: Any) -> Any:
        if at.stop >= len(self):
            until(self.has_some)
        return super().__getitem__(at)


def test_rows_are_inserted_as_they_come_and_not_gathered_first(server: Postgresql) -> None:
    url = server.fresh()
    database = connected(url)
    sizes = text(
        "SELECT sum(pg_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'telemetry.predictions'::regclass"
    )

    def has_some() -> bool:
        with database.read() as db:
            return int(db.execute(sizes).scalar_one()) > 0

    # Less than 64 kB, of which PostgreSQL would insert nothing before the end.
    rows = Watched(row_of(record(f"{number:03d}")) for number in range(100))
    rows.has_some = has_some
    assert not has_some()
    table = PostgresqlTable(said(url))
    table.put(rows)
    table.close()
    database.close()
    server.drop(url)
