"""Maintenance: partitions are there before their time, rows go after it, none is lost, and nobody waits long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import IntegrityError

from tests.support.postgresql import Postgresql
from tests.support.telemetry_rows import count, put, put_outcomes, put_refused, refused, request_ids, row
from tidegate.contract.errors import InvalidInput
from tidegate.features import FeatureStore
from tidegate.store.address import Address, whole
from tidegate.store.database import Database
from tidegate.store.definition import AHEAD, OWNER
from tidegate.store.maintenance import Maintained, default_of, maintain, partitions_of
from tidegate.store.pace import DELETED_AT_ONCE, Pace
from tidegate.store.schema.telemetry import outcomes, predictions, retention
from tidegate.store.versions import bring_to_date, connected
from tidegate.telemetry.postgresql import PostgresqlTable
from tidegate.telemetry.rows import Row

#: When we make partitions ourselves.
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
#: Where pg_partman may make them: it goes by the server's own clock.
TODAY = datetime.now(UTC)


def day(days: int) -> datetime:
    """Return noon, so many days after NOW."""
    return NOW + timedelta(days=days)


def from_today(days: int) -> datetime:
    return TODAY + timedelta(days=days)


@pytest.fixture
def database(address: Address) -> Iterator[Database]:
    found = connected(address)
    if found.is_sqlite:
        with found.write() as db:
            bring_to_date(db, address)
    yield found
    found.close()


@pytest.fixture
def plain(server: Postgresql) -> Iterator[Database]:
    """PostgreSQL whose partitions we make ourselves."""
    url = server.plain()
    found = connected(url)
    yield found
    found.close()
    server.drop(url)


def of_predictions(reports: list[Maintained]) -> Maintained:
    return next(one for one in reports if one.table == "predictions")


def in_default(database: Database) -> int:
    with database.read() as db:
        return int(db.execute(text("SELECT count(*) FROM telemetry.predictions_default")).scalar_one())


def names(db: Connection) -> list[str]:
    return [one.name.rpartition("_")[2] for one in partitions_of(db, predictions)]


def test_rows_past_retention_go_and_others_stay(database: Database) -> None:
    ages = {"old": from_today(-91), "young": from_today(-89), "new": from_today(0)}
    put(database, [row(at, name) for name, at in ages.items()])
    put_outcomes(database, [(at, name) for name, at in ages.items()])
    put_refused(database, list(ages.values()))
    maintain(database, TODAY)
    assert request_ids(database) == request_ids(database, outcomes) == ["new", "young"]
    assert refused(database) == [2, 3]


def test_rows_of_each_deployment_go_when_they_are_too_old(database: Database) -> None:
    ages = {"a": -100, "churn": -91, "z": -89}
    put(database, [row(from_today(at), name, deployment=name) for name, at in ages.items()])
    maintain(database, TODAY)
    assert request_ids(database) == ["z"]


def test_a_retention_that_is_set_is_kept_from_then_on(database: Database) -> None:
    put(database, [row(from_today(-10), "old"), row(from_today(0), "new")])
    report = of_predictions(maintain(database, TODAY, {"predictions": 3}))
    assert report.days == 3
    assert request_ids(database) == ["new"]
    assert of_predictions(maintain(database, TODAY)).days == 3
    with database.read() as db:
        told = {one.table_name: one.days for one in db.execute(select(retention))}
    assert (told["predictions"], told["outcomes"], told["feature_history"]) == (3, 90, None)


def test_rows_are_kept_for_ever_when_that_is_said(database: Database) -> None:
    put(database, [row(from_today(-5000))])
    assert of_predictions(maintain(database, TODAY, {"predictions": None})).days is None
    assert count(database) == 1


@pytest.mark.parametrize(("keep", "said"), [({"prediction": 3}, "no such table"), ({"predictions": 0}, "a day")])
def test_a_wrong_retention_is_refused_and_changes_nothing(
    database: Database, keep: dict[str, int | None], said: str
) -> None:
    put(database, [row(from_today(-50))])
    with pytest.raises(InvalidInput, match=said):
        maintain(database, TODAY, {"outcomes": 1, **keep})
    assert of_predictions(maintain(database, TODAY)).days == 90
    assert count(database) == 1


def test_more_rows_than_are_deleted_at_once_all_go(database: Database) -> None:
    many = 2 * DELETED_AT_ONCE + 7
    put(database, [*(row(from_today(-100), "old") for _ in range(many)), row(from_today(0), "new")])
    report = of_predictions(maintain(database, TODAY))
    assert report.deleted == many
    assert request_ids(database) == ["new"]


def test_a_second_run_has_nothing_to_do(database: Database) -> None:
    put(database, [row(from_today(at), str(at)) for at in range(-100, 5)])
    maintain(database, TODAY)
    again = maintain(database, TODAY)
    assert [(one.made, one.dropped, one.moved, one.deleted, one.left) for one in again] == [((), (), 0, 0, ())] * 5


def test_partitions_are_made_ahead_and_belong_to_the_owner(plain: Database) -> None:
    report = of_predictions(maintain(plain, NOW))
    assert len(report.made) == AHEAD + 1
    assert report.made[0] == "telemetry.predictions_p20261129"
    with plain.read() as db:
        assert {one.owner for one in partitions_of(db, predictions)} == {OWNER}
    put(plain, [row(day(at)) for at in range(AHEAD + 1)])
    assert in_default(plain) == 0


def test_a_partition_that_is_dropped_while_somebody_looks_is_gone(plain: Database) -> None:
    maintain(plain, NOW)
    with plain.read() as db:
        before = names(db)
        with plain.write() as other:
            other.execute(text("DROP TABLE telemetry.predictions_p20261129"))
        assert names(db) == [one for one in before if one != "p20261129"]


def test_a_partition_has_the_indexes_and_constraints_of_its_table(plain: Database) -> None:
    maintain(plain, NOW)
    with plain.read() as db:
        query = text("SELECT count(*) FROM pg_index WHERE indrelid = to_regclass(:name)")
        there = [
            db.execute(query, {"name": name}).scalar_one()
            for name in ("telemetry.predictions", "telemetry.predictions_p20261129")
        ]
        assert there[0] == there[1] > 0


def test_rows_in_the_default_partition_are_moved_and_none_is_lost(plain: Database) -> None:
    put(plain, [row(day(at), f"{at:04d}") for at in range(-20, AHEAD + 30)])
    report = of_predictions(maintain(plain, NOW, {"predictions": 10}))
    # Those of far ahead wait for their time: a clock that was wrong has no partitions made.
    assert in_default(plain) == 30 - 1
    assert (report.moved, report.deleted) == (11 + AHEAD, 10)
    kept = [f"{at:04d}" for at in range(-10, AHEAD + 30)]
    assert request_ids(plain) == sorted(kept)


def test_weeks_after_weeks_make_and_drop_one_partition_each_day(plain: Database) -> None:
    for at in range(0, 43, 7):
        put(plain, [row(day(at + some)) for some in range(7)])
        reports = maintain(plain, day(at), {"predictions": 10})
        assert not any(one.left for one in reports)
    with plain.read() as db:
        there = [one.period for one in partitions_of(db, predictions) if one.period is not None]
    last = day(42)
    assert (min(there).start.date(), max(there).start.date()) == (day(42 - 10).date(), day(42 + AHEAD).date())
    assert len(there) == 10 + 1 + AHEAD
    assert in_default(plain) == 0
    with plain.read() as db:
        oldest = db.execute(select(predictions.c.at).order_by(predictions.c.at).limit(1)).scalar_one()
    assert last - timedelta(days=11) < oldest


def test_two_runs_at_once_while_rows_are_written_lose_nothing_and_make_each_partition_once(plain: Database) -> None:
    put(plain, [row(day(at), f"before{at}") for at in range(-5, 5)])
    reports: list[list[Maintained]] = []
    begun, ends, written = threading.Barrier(3), threading.Event(), [0]

    def run() -> None:
        begun.wait()
        reports.append(maintain(plain, NOW))

    def write() -> None:
        begun.wait()
        while not ends.is_set():
            try:
                put(plain, [row(day(written[0] % 20 - 5), f"during{written[0]}")])
            except IntegrityError:
                # It was about to go into the default partition when its own was made.
                continue
            written[0] += 1

    threads = [threading.Thread(target=run), threading.Thread(target=run), threading.Thread(target=write)]
    for thread in threads:
        thread.start()
    for thread in threads[:2]:
        thread.join(60)
    ends.set()
    threads[2].join(60)
    made = [name for report in reports for name in of_predictions(report).made]
    assert len(made) == len(set(made)) == AHEAD + 1 + 5
    assert count(plain) == 10 + written[0] > 10
    assert not any(one.left for report in reports for one in report)


def test_who_writes_rows_of_a_partition_that_is_just_made_waits_and_is_not_refused(plain: Database) -> None:
    log = PostgresqlTable(whole(plain.engine.url.set(drivername="postgresql")))

    def written_by_the_log(at: datetime, name: str) -> None:
        log.put([Row(at.isoformat(), name, "churn", 1, 1, b"{}", b"{}")])

    def written_after_a_look(at: datetime, name: str) -> None:
        with plain.engine.begin() as db:
            db.execute(select(predictions.c.at).where(predictions.c.request_id == name)).all()
            db.execute(insert(predictions), [row(at, name)])

    def loaded(at: datetime, name: str) -> None:
        # What is true of any time may be told at any.
        months = [at - timedelta(days=30 * ago) for ago in range(12)]
        features.load("customers", [{"customer": name, "at": month} for month in months])

    features = FeatureStore(plain.engine.url.set(drivername="postgresql"))
    features.create("customers", "customer")
    writers = {
        "row": lambda at, name: put(plain, [row(at, name)]),
        "log": written_by_the_log,
        "look": written_after_a_look,
        "load": loaded,
    }
    begun, ends = threading.Barrier(len(writers) + 1), threading.Event()

    def write(kind: str) -> int:
        number = 0
        while not ends.is_set():
            writers[kind](NOW, f"{kind}{number}")
            if not number:
                begun.wait()
            number += 1
        return number

    with ThreadPoolExecutor(len(writers)) as pool:
        written = {kind: pool.submit(write, kind) for kind in writers}
        try:
            begun.wait(60)
            reports = maintain(plain, NOW)
        finally:
            ends.set()
        counts = {kind: one.result() for kind, one in written.items()}
    log.close()
    held = features.holdings("customers")
    features.close()
    assert [one.left for one in reports if one.left] == []
    assert of_predictions(reports).moved >= 3
    assert in_default(plain) == 0
    ids = [f"{kind}{number}" for kind in counts if kind != "load" for number in range(counts[kind])]
    assert request_ids(plain) == sorted(ids)
    assert held.vectors == 12 * counts["load"]


def test_a_table_that_somebody_reads_for_long_is_left_for_the_next_run(plain: Database) -> None:
    maintain(plain, NOW)
    put(plain, [row(NOW)])
    with plain.read() as db:
        db.execute(text("SELECT count(*) FROM telemetry.predictions_default"))
        db.execute(text("SELECT count(*) FROM telemetry.predictions_p20261129"))
        held = of_predictions(maintain(plain, day(1), pace=Pace(lock_seconds=0.5, tries=1)))
    assert held.made == ()
    assert "telemetry.predictions, the partition from 2026-12-07: another transaction held its lock" in held.left[0]
    assert of_predictions(maintain(plain, day(1))).made == ("telemetry.predictions_p20261207",)
    assert count(plain) == 1


def test_a_table_in_the_place_of_a_partition_is_told_and_left_alone(plain: Database) -> None:
    with plain.write() as db:
        db.execute(text("CREATE TABLE telemetry.predictions_p20261130 (mine integer)"))
    report = of_predictions(maintain(plain, NOW))
    assert len(report.made) == AHEAD
    assert "telemetry.predictions_p20261130: there is such a table" in report.left[0]


def test_who_is_no_member_of_the_owner_is_told_which_role_may(plain: Database, server: Postgresql) -> None:
    name = f"stranger_{plain.engine.url.database}"
    server.run(f"CREATE ROLE {name} LOGIN")
    stranger = connected(URL.create("postgresql").set(**_parts(plain.engine.url, name)))
    try:
        with pytest.raises(InvalidInput, match=f"member of {OWNER}"):
            maintain(stranger, NOW)
    finally:
        stranger.close()
        server.run(f"DROP ROLE {name}")


def _parts(url: URL, user: str) -> dict[str, object]:
    return {
        "username": user,
        "host": url.host,
        "port": url.port,
        "database": url.database,
        "query": url.query,
    }


def test_a_table_without_a_default_partition_is_maintained_as_well(plain: Database) -> None:
    with plain.write() as db:
        db.execute(text("DROP TABLE telemetry.predictions_default"))
    assert len(of_predictions(maintain(plain, NOW)).made) == AHEAD + 1
    with plain.read() as db:
        assert default_of(partitions_of(db, predictions)) is None
