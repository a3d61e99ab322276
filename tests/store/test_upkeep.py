"""Maintenance that nobody waits for: what is too old goes, some of it at a time, and only where that is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import URL, text

from tests.server.processes import wait_until
from tests.support.postgresql import Postgresql
from tests.support.telemetry_rows import put, put_outcomes, put_refused, refused, request_ids, row
from tidegate.store import Store, pace, upkeep
from tidegate.store.address import Address
from tidegate.store.database import Database
from tidegate.store.definition import AHEAD, CONTROLLER, OWNER
from tidegate.store.leadership import LEADING, Leadership, NoLongerLeading
from tidegate.store.maintenance import days_kept, is_managed, maintain
from tidegate.store.pace import DELETED_AT_ONCE, Pace, Stopped, next_piece
from tidegate.store.partitions import Period, period_of, periods_from
from tidegate.store.schema.telemetry import outcomes, predictions
from tidegate.store.upkeep import Upkept, is_behind, keep_up
from tidegate.store.versions import connected

NOW = datetime.now(UTC)


def day(days: float) -> datetime:
    """Return the moment so many days after now."""
    return NOW + timedelta(days=days)


def kept_up(database: Database) -> Upkept:
    return keep_up(database, NOW, lambda: None)


def managed(database: Database) -> bool:
    """Say whether pg_partman makes and drops partitions."""
    if database.is_sqlite:
        return False
    with database.read() as db:
        return is_managed(db, predictions)


@pytest.fixture
def database(address: Address) -> Iterator[Database]:
    store = Store(address)
    yield store.database
    store.close()


@pytest.fixture
def owner(url: URL) -> Iterator[Database]:
    found = connected(url)
    yield found
    found.close()


@pytest.fixture
def member(url: URL, server: Postgresql) -> Iterator[Database]:
    """The database as a controller of a team has it."""
    name = f"delivery_{url.database}"
    server.run(f"CREATE ROLE {name} LOGIN IN ROLE {CONTROLLER}")
    found = connected(url.set(username=name, password=None))
    yield found
    found.close()
    server.run(f"DROP ROLE {name}")


def test_predictions_and_outcomes_past_retention_go_and_younger_ones_stay(database: Database) -> None:
    ages = {"old": -90.5, "young": -89, "new": 0}
    put(database, [row(day(at), name) for name, at in ages.items()])
    put_outcomes(database, [(day(at), name) for name, at in ages.items()])
    put_refused(database, [day(at) for at in ages.values()])
    done = kept_up(database)
    assert (done.left, done.is_unfinished) == ((), False)
    assert request_ids(database) == request_ids(database, outcomes) == ["new", "young"]
    assert refused(database) == [2, 3]


def test_a_retention_that_was_set_holds_for_it(database: Database) -> None:
    maintain(database, NOW, {"outcomes": 10, "predictions": None})
    put(database, [row(day(-5000), "old")])
    put_outcomes(database, [(day(-11), "old"), (day(-9), "young")])
    kept_up(database)
    assert request_ids(database) == ["old"]
    assert request_ids(database, outcomes) == ["young"]
    with database.read() as db:
        assert days_kept(db)["outcomes"] == 10


def test_of_many_rows_a_run_deletes_some_and_says_that_there_are_more(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "MOST_ROWS", DELETED_AT_ONCE)
    put(database, [row(day(-100), "old") for _ in range(3 * DELETED_AT_ONCE)])
    put_outcomes(database, [(day(-100), "old"), (day(0), "new")])
    runs = []
    while not runs or runs[-1].is_unfinished:
        runs.append(kept_up(database))
        assert len(runs) < 10
    assert runs[0].is_unfinished
    # pg_partman moves what is left into a partition of its time, and drops that.
    assert len(runs) >= (2 if managed(database) else 3)
    assert request_ids(database) == []
    assert request_ids(database, outcomes) == ["new"]


def test_others_have_their_turn_between_its_transactions_and_it_ends_when_it_is_told_to(database: Database) -> None:
    put(database, [row(day(-100), "old") for _ in range(3 * DELETED_AT_ONCE)])
    turns = []

    def between() -> None:
        with database.write() as db:
            turns.append(db.execute(text("SELECT 1")).scalar_one())
        if len(request_ids(database)) <= 2 * DELETED_AT_ONCE:
            raise Stopped

    with pytest.raises(Stopped):
        keep_up(database, NOW, between)
    assert len(turns) > 1
    assert len(request_ids(database)) == 2 * DELETED_AT_ONCE


def test_who_does_not_lead_any_more_lets_go_of_nothing(url: URL) -> None:
    first, second = Store(url), Store(url)
    try:
        put(second.database, [row(day(-100), "old")])
        led = Leadership(first.database, "a")
        assert led.try_take(NOW)
        with second.database.engine.connect() as db:
            db.execute(text(_CUT), {"leading": LEADING})
        leads = Leadership(second.database, "b")
        wait_until(lambda: leads.try_take(NOW), "the other one leads")
        with pytest.raises(NoLongerLeading):
            kept_up(first.database)
        assert request_ids(second.database) == ["old"]
        kept_up(second.database)
        assert request_ids(second.database) == []
        leads.release()
        led.release()
    finally:
        first.close()
        second.close()


#: Ends the connection that keeps the lead.
_CUT = """
SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = :leading
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


def test_partitions_that_nobody_made_are_made_ahead(owner: Database) -> None:
    put(owner, [row(NOW), row(day(-1))])
    (report,) = (one for one in kept_up(owner).tables if one.table == "predictions")
    if report.manager == "tidegate":
        assert (len(report.made), report.moved) == (AHEAD + 2, 2)
    again = kept_up(owner)
    assert [(one.made, one.dropped, one.moved, one.deleted) for one in again.tables] == [((), (), 0, 0)] * 5


def test_a_role_that_may_not_is_told_as_long_as_nobody_else_does_it(owner: Database, member: Database) -> None:
    role = member.engine.url.username
    # There are none yet, but where pg_partman has made some.
    assert bool(kept_up(member).left) is not managed(owner)
    done = keep_up(member, day(400), lambda: None)
    assert done.tables == ()
    assert done.left[0].startswith("nobody makes and drops the partitions of features.feature_history, telemetry.")
    assert f"GRANT {OWNER} TO {role}" in done.left[0]
    maintain(owner, NOW)
    assert kept_up(member) == Upkept()
    assert keep_up(member, day(AHEAD + 32), lambda: None).left != ()


def test_a_role_that_may_act_as_the_owner_and_is_none_maintains(
    url: URL, server: Postgresql, owner: Database, member: Database
) -> None:
    with owner.read() as db:
        version = int(db.execute(text("SELECT current_setting('server_version_num')")).scalar_one())
    how = " WITH INHERIT FALSE, SET TRUE" if version >= 160_000 else ""
    server.run(f"GRANT {OWNER} TO {member.engine.url.username}{how}")
    put_outcomes(owner, [(day(-100), "old"), (day(0), "new")])
    done = kept_up(member)
    assert (done.left, len(done.tables)) == ((), 5)
    assert request_ids(owner, outcomes) == ["new"]


def test_while_somebody_else_maintains_it_comes_back_soon(owner: Database) -> None:
    with owner.engine.begin() as db:
        db.execute(text("SELECT pg_advisory_xact_lock(:a, :b)"), {"a": upkeep.LOCKS, "b": upkeep.MAINTAINING})
        assert kept_up(owner) == Upkept(is_unfinished=True)
    assert not kept_up(owner).is_unfinished


def test_what_takes_long_is_left_and_the_rest_is_done(owner: Database) -> None:
    if managed(owner):
        pytest.skip("pg_partman moves the rows here")
    put(owner, [row(NOW)])
    with owner.engine.begin() as db:
        for statement in _SLOW:
            db.execute(text(statement))
    impatient = Pace(blocking_seconds=0.5)
    (first, *_) = (one for one in maintain(owner, NOW, pace=impatient) if one.table == "predictions")
    assert (len(first.made), first.moved) == (AHEAD, 0)
    assert [one.partition(": ")[2] for one in first.left] == ["it takes longer than a run may be in the way of others"]
    with owner.engine.begin() as db:
        db.execute(text("DROP TRIGGER slow ON telemetry.predictions_default"))
    (second, *_) = (one for one in kept_up(owner).tables if one.table == "predictions")
    assert (len(second.made), second.moved, second.left) == (1, 1, ())


#: Has each row that leaves the default partition take its time.
_SLOW = (
    "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN OLD; END'",
    "CREATE TRIGGER slow BEFORE DELETE ON telemetry.predictions_default FOR EACH ROW EXECUTE FUNCTION slow()",
)


NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def periods(since: int, until: int) -> list[Period]:
    return [period_of(NOON + timedelta(days=at), "day") for at in range(since, until + 1)]


@pytest.mark.parametrize(
    ("existing", "days", "expected"),
    [
        ([], 90, True),
        (periods(-90, 7), 90, False),
        (periods(-90, 1), 90, False),  # it is maintained once a day, and six days of seven have passed
        (periods(-90, 0), 90, True),
        (periods(-93, 7), 90, False),  # a drop that is a day or two late
        (periods(-95, 7), 90, True),
        (periods(-95, 7), None, False),
    ],
)
def test_nobody_maintains_when_partitions_of_tomorrow_lack_or_old_ones_stay(
    existing: list[Period], days: int | None, expected: bool
) -> None:
    assert is_behind(existing, NOON, "day", days) is expected


def test_months_are_ahead_as_days_are() -> None:
    months = periods_from(NOON, "month")
    this, following = next(months), next(months)
    assert is_behind([this], NOON, "month", None)
    assert not is_behind([this, following], NOON, "month", None)


@pytest.mark.parametrize(
    ("rows", "seconds", "expected"),
    [
        (500, pace.PIECE_SECONDS, 500),
        (500, 4 * pace.PIECE_SECONDS, 125),
        (100, pace.PIECE_SECONDS / 50, 200),  # twice as many at most
        (400, pace.PIECE_SECONDS / 50, 500),
        (10, 100.0, 10),
        (1, 0.0, 10),
    ],
)
def test_pieces_are_as_large_as_others_wait_for_little(rows: int, seconds: float, expected: int) -> None:
    assert next_piece(rows, seconds) == expected
