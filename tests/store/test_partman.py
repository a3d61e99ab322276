"""pg_partman, for real: it makes partitions and drops them as our retention says, for a year of its clock."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest
from sqlalchemy import URL, Connection, delete, insert, select, text

from tests.support.catalogues import facts_of
from tests.support.debian_postgresql import (
    INSTALLATION,
    PARTMAN_ASKED,
    PROGRAMS,
    Clock,
    DebianPostgresql,
    debian_postgresql,
    require,
)
from tests.support.partition_year import year
from tests.support.prometheus import until
from tests.support.telemetry_rows import count, put, request_ids, row
from tidegate.contract.errors import InvalidInput
from tidegate.contract.findings import Finding, Level
from tidegate.store import catalogue
from tidegate.store.administration import check, initialise, upgrade
from tidegate.store.database import Database
from tidegate.store.definition import AHEAD, ANALYST, OWNER
from tidegate.store.maintenance import Maintained, Partition, days_kept, maintain, partitions_of
from tidegate.store.migrations.run import statements
from tidegate.store.pace import Pace
from tidegate.store.partitions import period_of
from tidegate.store.schema import PARTITIONED, delivery
from tidegate.store.schema.telemetry import outcomes, predictions
from tidegate.store.upkeep import keep_up
from tidegate.store.versions import VERSION, bring_to_date, connected

START = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[DebianPostgresql]:
    require(partman=True, clock=True)
    with debian_postgresql(fake_clock=True) as running:
        yield running


@pytest.fixture
def clock(server: DebianPostgresql) -> Clock:
    assert server.clock is not None
    server.clock.set(START)
    return server.clock


@pytest.fixture
def database(server: DebianPostgresql, clock: Clock) -> Iterator[Database]:
    url = server.fresh()
    found = connected(url)
    yield found
    found.close()
    server.drop(url)


@pytest.fixture
def of_version_4(server: DebianPostgresql, clock: Clock) -> Iterator[URL]:
    """A database with pg_partman 4 and nothing else, in a server that has 5 as well."""
    url = server.empty()
    database = connected(url)
    with database.write() as db:
        query = (
            "SELECT min(version) FROM pg_available_extension_versions WHERE name = 'pg_partman' AND version ~ '^4[.]7'"
        )
        older = db.execute(text(query)).scalar_one()
        if INSTALLATION.has_partman("4") or older is None:
            pytest.skip(f"pg_partman 4.7 cannot be updated to 5 with what {INSTALLATION.programs} has")
        db.execute(text("CREATE SCHEMA partman"))
        db.execute(text(f"CREATE EXTENSION pg_partman SCHEMA partman VERSION '{older}'"))
    database.close()
    yield url
    server.drop(url)


def made(url: URL, version: str | None = None) -> Database:
    """Make the schema, that of an older Tidegate where a version is given."""
    database = connected(url)
    with database.write() as db:
        if version is None:
            bring_to_date(db, url)
            return database
        for statement in statements(version, "postgresql"):
            db.exec_driver_sql(statement)
        db.execute(delivery.schema_version.insert().values(version_num=version))
    return database


def brought_to_5(database: Database) -> None:
    with database.engine.begin() as db:
        before, now = "SELECT extversion FROM pg_extension WHERE extname = 'pg_partman'", INSTALLATION.partman
        assert db.execute(text(before)).scalar_one() != now
        db.execute(text("ALTER EXTENSION pg_partman UPDATE"))
        assert db.execute(text(before)).scalar_one() == now


def failures(url: URL) -> list[str]:
    return [str(one) for one in check(url) if one.level is Level.FAIL]


def of_predictions(reports: list[Maintained]) -> Maintained:
    return next(one for one in reports if one.table == "predictions")


def in_default(database: Database) -> int:
    with database.read() as db:
        return int(db.execute(text("SELECT count(*) FROM telemetry.predictions_default")).scalar_one())


def test_it_is_the_version_that_was_asked_for(database: Database) -> None:
    with database.read() as db:
        query = text("SELECT extversion FROM pg_extension WHERE extname = 'pg_partman'")
        assert db.execute(query).scalar_one() == INSTALLATION.partman
    assert PARTMAN_ASKED is None or INSTALLATION.has_partman(PARTMAN_ASKED)


def test_every_table_is_given_to_it_and_all_partitions_belong_to_the_owner(database: Database) -> None:
    partitioned = {table.name for table, _, _ in PARTITIONED}
    reports = [one for one in maintain(database, START) if one.table in partitioned]
    assert {(one.manager, one.left) for one in reports} == {("pg_partman", ())}
    with database.read() as db:
        for table, _, _ in PARTITIONED:
            assert {one.owner for one in partitions_of(db, table)} == {OWNER}


def test_a_year_of_its_clock_makes_and_drops_partitions_and_rows_are_where_they_belong(
    database: Database, clock: Clock
) -> None:
    weeks = list(year(database, clock, START, keep_days=30))
    assert {one.report.left for one in weeks} == {()}
    last = weeks[-1]
    assert last.in_default == 0
    assert sum(len(one.report.made) for one in weeks) >= 357
    assert sum(len(one.report.dropped) for one in weeks) >= 325
    assert len(last.periods) <= 30 + 2 + 2 * AHEAD
    assert last.periods[0].end > last.now - timedelta(days=30) - timedelta(seconds=60)
    assert last.periods[-1].start >= last.now + timedelta(days=AHEAD - 1)
    assert last.oldest is not None
    assert last.oldest > last.now - timedelta(days=32)


def test_its_retention_is_brought_in_line_with_ours(database: Database) -> None:
    maintain(database, START, {"predictions": 12, "drift_readings": None})
    with database.read() as db:
        query = text("SELECT parent_table, retention FROM partman.part_config")
        told = {one.parent_table: one.retention for one in db.execute(query)}
    assert told == {
        "telemetry.predictions": "12 days",
        "telemetry.outcomes": "90 days",
        "telemetry.drift_readings": None,
        "features.feature_history": None,
    }


def test_what_it_managed_under_another_name_is_brought_over_with_its_rows_and_retention(
    server: DebianPostgresql, clock: Clock
) -> None:
    url = server.empty()
    database = made(url, "0002")
    with database.write() as db:
        db.exec_driver_sql("UPDATE telemetry.retention SET days = 12 WHERE table_name = 'observations'")
        db.exec_driver_sql("INSERT INTO telemetry.observations VALUES (now(), 'a', 'churn', '1')")
    with database.write() as db:
        bring_to_date(db, url)
        known = [row.request_id for row in db.execute(select(outcomes))]
        config = db.execute(text("SELECT parent_table, retention FROM partman.part_config"))
        kept = {row.parent_table: row.retention for row in config}
        query = text("SELECT count(*) FROM pg_class WHERE relname LIKE '%observations%'")
        assert db.execute(query).scalar_one() == 0
    assert known == ["a"]
    assert kept["telemetry.outcomes"] == "12 days"
    assert "telemetry.observations" not in kept
    assert {one.left for one in maintain(database, START)} == {()}
    assert failures(url) == []
    database.close()
    server.drop(url)


def test_rows_in_the_default_partition_are_moved_those_of_a_wrong_clock_stay_and_old_ones_go(
    database: Database,
) -> None:
    days = {"old": -200, "gap": -50, "today": 0, "ahead": AHEAD, "far": 26_000}
    put(database, [row(START + timedelta(days=at), name) for name, at in days.items()])
    report = of_predictions(maintain(database, START))
    assert report.moved == 1
    assert report.deleted == 1
    assert len(report.made) < 20
    assert in_default(database) == 1
    assert request_ids(database) == sorted(set(days) - {"old"})
    assert count(database) == len(days) - 1


def test_what_is_in_its_way_is_told_and_done_by_the_next_run() -> None:
    require(partman=True)
    # By its own clock: where that is set, it waits for locks without end.
    with debian_postgresql() as running:
        database = connected(running.fresh())
        now = datetime.now(UTC)
        with database.engine.begin() as db:
            db.execute(text("UPDATE partman.part_config SET premake = 9 WHERE parent_table = 'telemetry.predictions'"))
        with database.engine.begin() as reader:
            reader.execute(text("LOCK TABLE telemetry.predictions IN ACCESS SHARE MODE"))
            held = of_predictions(maintain(database, now, pace=Pace(lock_seconds=0.2, tries=2)))
            assert held.made == ()
            why = "canceling statement due to lock timeout; the next run tries it again"
            assert held.left == (f"telemetry.predictions, by pg_partman: {why}",)
        free = of_predictions(maintain(database, now))
        assert free.left == ()
        assert len(free.made) >= 2
        database.close()


def test_what_the_owner_may_not_use_of_it_is_told_and_given_back_by_who_may(
    server: DebianPostgresql, database: Database
) -> None:
    url = server.url.set(database=database.engine.url.database)
    with database.engine.begin() as db:
        db.execute(text("REVOKE INSERT ON partman.part_config FROM tidegate_owner"))
    with server.login(url, OWNER) as keeper, server.login(url, ANALYST) as analyst:
        for who in (url, keeper, analyst):
            (failure,) = [one for one in check(who) if one.level is Level.FAIL]
            assert "tidegate_owner may not use partman.part_config, as" in failure.reason
            assert failure.fix == "as a superuser: tidegate db upgrade"
        with pytest.raises(InvalidInput, match="tidegate_owner may not use pg_partman") as refused:
            maintain(database, START, {"predictions": 12})
        assert "tidegate db upgrade" in str(refused.value.hint)
        with pytest.raises(InvalidInput, match="the role may not"):
            upgrade(keeper)
        assert upgrade(url).given_back == ("partman.part_config",)
        assert upgrade(url).given_back == ()
        assert [failures(who) for who in (url, keeper, analyst)] == [[], [], []]
    with database.read() as db:
        assert days_kept(db)["predictions"] == 90
    assert of_predictions(maintain(database, START, {"predictions": 12})).days == 12


def test_where_it_is_in_another_schema_no_tables_are_made_and_those_that_are_there_are_not_its_business(
    server: DebianPostgresql, clock: Clock
) -> None:
    urls = (server.empty(), server.plain())
    for url in urls:
        database = connected(url)
        with database.engine.begin() as db:
            db.execute(text("CREATE EXTENSION pg_partman SCHEMA public"))
        database.close()
    with pytest.raises(InvalidInput, match="in another schema") as refused:
        initialise(urls[0])
    assert refused.value.got == "it is in public"
    database = connected(urls[1])
    assert {one.manager for one in maintain(database, datetime.now(UTC))} == {"tidegate"}
    database.close()
    assert failures(urls[1]) == []
    (told,) = [one for one in check(urls[1]) if one.check == "pg_partman"]
    assert "does not manage features.feature_history" in told.reason
    for url in urls:
        server.drop(url)


def test_an_update_of_it_in_place_needs_the_upgrade_and_all_goes_on(of_version_4: URL, clock: Clock) -> None:
    database = made(of_version_4)
    put(database, [row(START + timedelta(days=at), str(at)) for at in (-50, 0, 5)])
    maintain(database, START)
    brought_to_5(database)
    assert "as after an update from version 4" in failures(of_version_4)[0]
    with pytest.raises(InvalidInput, match="as after an update of it from version 4"):
        keep_up(database, START, lambda: None)
    assert upgrade(of_version_4).given_back == ("partman.part_config", "partman.part_config_sub")
    assert failures(of_version_4) == []
    weeks = list(islice(year(database, clock, START, keep_days=30), 10))
    assert {one.report.left for one in weeks} == {()}
    assert weeks[-1].in_default == 0
    assert weeks[-1].periods[0].start > START
    assert weeks[-1].periods[-1].start >= weeks[-1].now + timedelta(days=AHEAD - 1)
    assert failures(of_version_4) == []
    database.close()


def test_an_update_of_it_in_place_may_come_before_a_newer_tidegate(of_version_4: URL) -> None:
    database = made(of_version_4, "0002")
    brought_to_5(database)
    changed = upgrade(of_version_4)
    assert (changed.found, changed.version) == ("0002", VERSION)
    assert failures(of_version_4) == []
    assert {one.left for one in maintain(database, START)} == {()}
    database.close()


def test_the_file_for_psql_gives_the_same_with_it(server: DebianPostgresql, clock: Clock) -> None:
    url = server.empty()
    script = Path(__file__).resolve().parents[2] / "stack" / "warehouse" / "init.sql"
    address = url.render_as_string(hide_password=False)
    subprocess.run(
        [PROGRAMS / "psql", "-X", "-q", f"--dbname={address}", f"--file={script}"],
        check=True,
        capture_output=True,
        env={"PGTZ": "Asia/Kolkata"},
    )
    assert facts_of(url) == catalogue.expected()
    assert failures(url) == []
    database = connected(url)
    with database.read() as db:
        starts = {one.period.start.hour for one in partitions_of(db, predictions) if one.period is not None}
    database.close()
    server.drop(url)
    assert starts == {0}


def test_its_background_worker_maintains_by_itself() -> None:
    require(partman=True)
    settings = {
        "pg_partman_bgw.interval": "1",
        "pg_partman_bgw.role": "keeper",
        "pg_partman_bgw.dbname": "kept",
    }
    with debian_postgresql(settings) as running:
        running.run("CREATE DATABASE kept")
        _with_schema(running)
        running.run(f"CREATE ROLE keeper LOGIN IN ROLE {OWNER}")
        # Not before there are tables: the worker stays away for ten minutes where a run ends before it is looked at.
        running.run("ALTER SYSTEM SET shared_preload_libraries = 'pg_partman_bgw'")
        running.stop()
        running.start()
        database = connected(running.url.set(database="kept"))
        try:
            with database.engine.begin() as db:
                db.execute(text("UPDATE partman.part_config SET premake = 20"))
            # What is made when the tables are is for a week.
            last = period_of(datetime.now(UTC) + timedelta(days=19), "day")
            _until(database, lambda there: last in {one.period for one in there})
            # It is at work each second: beside it the controller's own does no harm, and finds nothing in its way.
            assert {_kept_up(database) for _ in range(5)} == {()}
            _drops_what_is_too_old(database)
            _leaves_another_retention_of_its_own_alone(database)
            with database.read() as db:
                assert {one.owner for one in partitions_of(db, predictions)} == {OWNER}
            told = _of_partman(running.url.set(database="kept"))
            assert (told.level, told.reason) == (
                Level.PASS,
                f"{INSTALLATION.partman}, with its background worker as keeper",
            )
        finally:
            database.close()


def test_what_its_background_worker_lacks_or_has_too_much_of_is_told() -> None:
    require(partman=True)
    settings = {"shared_preload_libraries": "pg_partman_bgw", "pg_partman_bgw.role": "keeper"}
    with debian_postgresql(settings) as running:
        url = running.fresh()
        steps = (
            ("SELECT 1", Level.PASS, "looks after no database and not after", "add it to pg_partman_bgw.dbname"),
            (_set("dbname", f"other, {url.database}"), Level.FAIL, "keeper, which there is not", "CREATE ROLE keeper"),
            ("CREATE ROLE keeper NOLOGIN", Level.FAIL, "which may not log in", "ALTER ROLE keeper LOGIN"),
            ("ALTER ROLE keeper LOGIN", Level.FAIL, f"has not what {OWNER} may do", f"GRANT {OWNER} TO keeper"),
            (f"GRANT {OWNER} TO keeper", Level.PASS, "with its background worker as keeper", ""),
            (_set("role", "postgres"), Level.WARN, "as postgres, a superuser", "CREATE ROLE keeper LOGIN"),
        )
        for statement, level, reason, fix in steps:
            running.run(statement)
            running.run("SELECT pg_reload_conf()")
            _until_told(url, level, reason, fix)
        # That of 5.5 may wait for ever for a worker that it wanted to start as the server was told to end.
        running.kill()


def _set(name: str, value: str) -> str:
    return f"ALTER SYSTEM SET pg_partman_bgw.{name} = '{value}'"


def _until_told(url: URL, level: Level, reason: str, fix: str) -> None:
    def is_told() -> bool:
        told = _of_partman(url)
        return told.level is level and reason in told.reason and fix in (told.fix or "")

    until(is_told, 20)


def _of_partman(url: URL) -> Finding:
    (told,) = [one for one in check(url) if one.check == "pg_partman"]
    return told


def _drops_what_is_too_old(database: Database) -> None:
    now = datetime.now(UTC)
    days = {"old": -120, "young": -60}
    made: dict[str, str] = {}
    with database.engine.begin() as db:
        # It looks each second, and sees nothing of this before the end of the transaction.
        db.execute(text(f"SET LOCAL ROLE {OWNER}"))
        make = text("SELECT partman.create_partition_time('telemetry.predictions', ARRAY[CAST(:at AS timestamptz)])")
        for name, at in days.items():
            before = _names(db)
            db.execute(make, {"at": now + timedelta(days=at)})
            (made[name],) = _names(db) - before
        db.execute(insert(predictions), [row(now + timedelta(days=at), name) for name, at in days.items()])
    _until(database, lambda there: made["old"] not in {one.name for one in there})
    with database.engine.begin() as db:
        assert db.execute(text("SELECT to_regclass(:name)"), {"name": made["old"]}).scalar_one() is None
        assert made["young"] in _names(db)
        assert db.execute(delete(predictions).returning(predictions.c.request_id)).scalars().all() == ["young"]


def _names(db: Connection) -> set[str]:
    return {one.name for one in partitions_of(db, predictions)}


def _until(database: Database, condition: Callable[[list[Partition]], bool]) -> None:
    """Wait until the partitions are as they ought to be."""
    from tests.support.prometheus import until

    def there() -> bool:
        with database.read() as db:
            return condition(partitions_of(db, predictions))

    until(there)


def _leaves_another_retention_of_its_own_alone(database: Database) -> None:
    now = datetime.now(UTC)
    with database.engine.begin() as db:
        kept = "UPDATE partman.part_config SET retention = '365 days' WHERE parent_table = 'telemetry.predictions'"
        db.execute(text(kept))
    put(database, [row(now - timedelta(days=at), str(at)) for at in (100, 0)])
    for _ in range(2):
        assert [one.partition(":")[0] for one in _kept_up(database)] == ["telemetry.predictions, by pg_partman"]
        assert request_ids(database) == ["0", "100"]
    maintain(database, now, {"predictions": 365})
    assert _kept_up(database) == ()
    maintain(database, now, {"predictions": 90})
    assert _kept_up(database) == ()
    assert request_ids(database) == ["0"]


def _kept_up(database: Database) -> tuple[str, ...]:
    return keep_up(database, datetime.now(UTC), lambda: None).left


def _with_schema(running: DebianPostgresql) -> None:
    url = running.url.set(database="kept")
    database = connected(url)
    with database.write() as db:
        bring_to_date(db, url)
    database.close()
