"""A team's store: PostgreSQL that is killed, controllers of which one leads, and rollouts that end right."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from sqlalchemy import URL, select, text

from tests.e2e.conftest import Tidegate, belonging_to, eventually, up
from tests.support import models
from tests.support.postgresql import Postgresql, postgresql
from tests.support.prediction_log import Written, logged
from tidegate.contract.errors import Conflict, InvalidInput, Unavailable
from tidegate.controller import launch
from tidegate.store import Store
from tidegate.store.address import whole
from tidegate.store.definition import CONTROLLER, OWNER, SERVING
from tidegate.store.maintenance import maintain
from tidegate.store.schema.telemetry import outcomes
from tidegate.store.versions import connected
from tidegate.target.process import SERVING_STORE_VARIABLE

pytestmark = pytest.mark.e2e

NAME = "arrivals"
#: Within which another controller is to lead.
SUCCESSION_SECONDS = 10.0
LOG = {"sink": "store:", "sample": "100%"}


@pytest.fixture(scope="module")
def server() -> Iterator[Postgresql]:
    with postgresql() as running:
        yield running


@pytest.fixture(scope="module")
def url(server: Postgresql) -> URL:
    return server.fresh()


@pytest.fixture(scope="module")
def logins(server: Postgresql, url: URL) -> Iterator[dict[str, URL]]:
    """The database as members of one role each have it, made as users are told to."""
    with ExitStack() as stack:
        yield {role: stack.enter_context(server.login(url, role)) for role in (OWNER, CONTROLLER, SERVING)}


@pytest.fixture(scope="module")
def team(logins: dict[str, URL], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tidegate]:
    owned = connected(logins[OWNER])
    maintain(owned, datetime.now(UTC))
    owned.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SERVING_STORE_VARIABLE, whole(logins[SERVING]))
        with up(tmp_path_factory.mktemp("team"), whole(logins[CONTROLLER])) as running:
            yield running


@pytest.fixture(scope="module")
def serving(team: Tidegate, good_model: Path) -> Tidegate:
    assert team.ended(deploy(team, good_model))["outcome"] == "promoted"
    return team


def deploy(team: Tidegate, model: Path) -> str:
    """Deploy a revision whose every prediction is logged in the database; return the rollout's id."""
    return team.deploy(NAME, model, predictionLog=LOG)


@dataclass
class Telling:
    """Outcomes that are told all the time, each once, while it is open.

    Attributes:
        acknowledged: those that got an answer: whether they are bad, by request id.
        refused: how many times there was none.
    """

    team: Tidegate
    acknowledged: dict[str, bool] = field(default_factory=dict)
    refused: int = 0
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Telling:
        self._thread = threading.Thread(target=self._go_on)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def tell(self) -> None:
        """Tell some outcomes, and raise `Unavailable` when they are not taken; for several threads."""
        told = {f"{time.monotonic_ns()}-{number}": number % 2 == 0 for number in itertools.islice(self._numbers, 5)}
        with self.team.client as client:
            client.tell_outcomes(NAME, [{"request_id": one, "bad": is_bad} for one, is_bad in told.items()])
        self.acknowledged |= told

    def _go_on(self) -> None:
        while not self._stopping.wait(0.05):
            try:
                self.tell()
            except Unavailable:
                self.refused += 1


def told(url: URL) -> dict[str, bool]:
    """Return all outcomes in the database: whether they are bad, by request id."""
    database = connected(url)
    with database.read() as db:
        found = db.execute(select(outcomes.c.request_id, outcomes.c.bad).where(outcomes.c.deployment == NAME)).all()
    database.close()
    return {row.request_id: row.bad for row in found}


def in_the_middle(serving: Tidegate, url: URL) -> dict[str, Any]:
    """Wait until predictions of a rollout's candidate are in the log while it is judged; return the status."""
    candidate = serving.in_phase(NAME, "analyzing")["candidate"]
    eventually("predictions of the candidate in the log", lambda: logged(url, NAME)[candidate])
    status = serving.status(NAME)
    assert status["candidate"] == candidate
    return status


def kinds(url: URL) -> list[tuple[int | None, str, str]]:
    """Return rollout, kind and message of all that happened to the deployment."""
    store = Store(url)
    try:
        events = store.events(store.deployment(NAME).id)
    finally:
        store.close()
    return [(event.rollout, event.kind, event.message) for event in events]


def test_what_was_deployed_is_in_the_database_and_not_in_a_file(serving: Tidegate, url: URL) -> None:
    assert "promoted" in {kind for _, kind, _ in kinds(url)}
    assert not (serving.home / "tidegate.db").exists()


def test_a_running_controller_is_not_mistaken_for_one_of_another_store(
    serving: Tidegate, logins: dict[str, URL], tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match="runs already, with another store"):
        launch.ensure_running(serving.home, None, None, store=str(tmp_path / "other.db"))
    same = unquote(whole(logins[CONTROLLER]))
    assert same != whole(logins[CONTROLLER]), "the folder of its socket has slashes"
    assert launch.ensure_running(serving.home, None, None, store=same).pid == serving.controller().pid


def test_a_second_controller_that_does_not_stand_by_is_refused(
    serving: Tidegate, logins: dict[str, URL], tmp_path: Path
) -> None:
    with pytest.raises((Conflict, Unavailable), match="another controller of this database leads"):
        launch.ensure_running(tmp_path / "home", 0, 0, store=logins[CONTROLLER].render_as_string())


def test_the_controller_and_its_replicas_connect_as_those_who_may_no_more_than_they_need(
    serving: Tidegate, url: URL, logins: dict[str, URL]
) -> None:
    row = models.records(models.flights(1))[0]
    httpx.post(f"{serving.status(NAME)['url']}/predict", json=[row]).raise_for_status()
    expected = {
        ("tidegate", logins[CONTROLLER].username),
        ("tidegate prediction log", logins[SERVING].username),
    }
    eventually("everybody connected as what they are", lambda: connections(url) == expected)
    assert logged(url, NAME)


def connections(url: URL) -> set[tuple[str, str]]:
    """Return of all other connections to the database what they are for, and of whom."""
    database = connected(url)
    query = (
        "SELECT DISTINCT application_name, usename FROM pg_stat_activity"
        " WHERE datname = :name AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    with database.engine.connect() as db:
        found = db.execute(text(query), {"name": url.database}).all()
    database.close()
    return {(row.application_name, row.usename) for row in found}


def test_a_killed_database_costs_no_request_and_nothing_that_was_acknowledged(
    serving: Tidegate, server: Postgresql, url: URL, better_model: Path
) -> None:
    if not server.is_ours:
        pytest.skip("the server is not of the tests, which do not kill it")
    written = Written()
    traffic = serving.traffic(NAME)
    with Telling(serving) as telling:
        rollout = deploy(serving, better_model)
        status = in_the_middle(serving, url)
        before = kinds(url)
        controller = serving.controller().pid
        counted = written.look(status)
        # What is acknowledged is on disk, and all that the log had written before is with it. Of what the log wrote
        # since, the last half second may go: it does not wait for the disk.
        telling.tell()
        server.kill()
        killed_at, seen = datetime.now(UTC), len(traffic.records())
        eventually("traffic without a database", lambda: len(traffic.records()) > seen + 40)
        eventually("outcomes that are not taken", lambda: telling.refused)
        at_risk = written.look(status) - counted
        started_at = datetime.now(UTC)
        server.start()
        acknowledged = len(telling.acknowledged)
        report = serving.ended(rollout)
        assert len(telling.acknowledged) > acknowledged
    assert report["outcome"] == "promoted", report["reason"]
    assert datetime.fromisoformat(report["ended_at"]) > started_at
    assert kinds(url)[: len(before)] == before
    assert serving.controller().pid == controller
    assert [record for record in traffic.stop() if record.failed] == []
    assert told(url).items() >= telling.acknowledged.items()
    counted = written.look(serving.status(NAME))
    assert logged(url, NAME) + at_risk >= counted
    assert logged(url, NAME, until=killed_at)[status["candidate"]]
    assert logged(url, NAME, since=started_at)[status["candidate"]]
    # These waited for the database.
    assert logged(url, NAME, since=killed_at, until=started_at)


def test_another_controller_takes_over_within_ten_seconds_and_nothing_is_lost_or_done_twice(
    serving: Tidegate, url: URL, good_model: Path
) -> None:
    standby = launch.stand_by(serving.home)
    begun, written = datetime.now(UTC), Written()
    # What the log had not on disk when the database was killed before.
    lost = written.look(serving.status(NAME)) - logged(url, NAME)
    traffic = serving.traffic(NAME)
    with Telling(serving) as telling:
        rollout = deploy(serving, good_model)
        status = in_the_middle(serving, url)
        replicas = serving.pids(NAME, 2) | serving.pids(NAME, 3)
        leader = serving.controller()
        assert leader.pid != standby
        leader.kill()
        killed_at = time.monotonic()
        leader.wait(10)
        eventually("the other one leads", lambda: leads(serving, standby))
        assert time.monotonic() - killed_at < SUCCESSION_SECONDS
        written.look(status)
        acknowledged = len(telling.acknowledged)
        report = serving.ended(rollout)
        assert len(telling.acknowledged) > acknowledged
    assert report["outcome"] == "promoted", report["reason"]
    assert serving.pids(NAME, 3) <= replicas
    happened = kinds(url)
    latest = [one for one in happened if one[0] == max(number or 0 for number, _, _ in happened)]
    assert [kind for _, kind, _ in latest].count("promoted") == 1
    assert len(latest) == len(set(latest))
    records = traffic.stop()
    assert [record for record in records if record.failed] == []
    assert told(url).items() >= telling.acknowledged.items()
    counted = written.look(serving.status(NAME))
    assert logged(url, NAME) + lost >= counted
    answered = Counter(record.revision for record in records)
    eventually("every answer in the log", lambda: logged(url, NAME, since=begun) >= answered)


def test_a_database_and_a_leader_that_are_killed_together_cost_no_request_and_nothing_that_was_acknowledged(
    serving: Tidegate, server: Postgresql, url: URL, better_model: Path
) -> None:
    if not server.is_ours:
        pytest.skip("the server is not of the tests, which do not kill it")
    standby = launch.stand_by(serving.home)
    begun, written = datetime.now(UTC), Written()
    # What the log had not on disk when the database was killed before.
    lost = written.look(serving.status(NAME)) - logged(url, NAME)
    traffic = serving.traffic(NAME)
    with Telling(serving) as telling:
        rollout = deploy(serving, better_model)
        status = in_the_middle(serving, url)
        stable, candidate = status["stable"], status["candidate"]
        replicas = serving.pids(NAME, stable) | serving.pids(NAME, candidate)
        before = kinds(url)
        leader = serving.controller()
        assert leader.pid != standby
        counted = written.look(status)
        telling.tell()
        server.kill(leader)
        killed_at, seen, refused = datetime.now(UTC), len(traffic.records()), telling.refused
        eventually("traffic with neither of them", lambda: len(traffic.records()) > seen + 40)
        eventually("outcomes that are not taken", lambda: telling.refused > refused)
        assert launch.running(serving.home) is None, "nobody leads without the database"
        # See above: it does not wait for the disk.
        at_risk = written.look(status) - counted
        started_at = datetime.now(UTC)
        server.start()
        back = time.monotonic()
        eventually("the other one leads", lambda: leads(serving, standby))
        assert time.monotonic() - back < SUCCESSION_SECONDS
        written.look(status)
        acknowledged = len(telling.acknowledged)
        report = serving.ended(rollout)
        assert len(telling.acknowledged) > acknowledged
    assert report["outcome"] == "promoted", report["reason"]
    assert datetime.fromisoformat(report["ended_at"]) > started_at
    assert serving.pids(NAME, candidate) <= replicas
    happened = kinds(url)
    assert happened[: len(before)] == before
    latest = [one for one in happened if one[0] == max(number or 0 for number, _, _ in happened)]
    assert [kind for _, kind, _ in latest].count("promoted") == 1
    assert len(latest) == len(set(latest))
    records = traffic.stop()
    assert [record for record in records if record.failed] == []
    assert told(url).items() >= telling.acknowledged.items()
    counted = written.look(serving.status(NAME))
    assert logged(url, NAME) + lost + at_risk >= counted
    # Those of the time without a database waited for it.
    assert logged(url, NAME, since=killed_at, until=started_at)[candidate]
    answered = Counter(record.revision for record in records)
    eventually("every answer in the log", lambda: logged(url, NAME, since=begun) + at_risk >= answered)


def test_a_leader_that_sleeps_is_succeeded_and_ended(serving: Tidegate, url: URL, good_model: Path) -> None:
    standby = launch.stand_by(serving.home)
    rollout = deploy(serving, good_model)
    serving.in_phase(NAME, "analyzing")
    traffic = serving.traffic(NAME)
    leader = serving.controller()
    leader.suspend()
    end_connections(url)
    eventually("the other one leads", lambda: leads(serving, standby))
    eventually("the one that slept is ended", lambda: leader.pid not in {one.pid for one in belonging_to(serving.home)})
    report = serving.ended(rollout)
    assert report["outcome"] == "promoted", report["reason"]
    latest = [one for one in kinds(url) if one[0] == max(number or 0 for number, _, _ in kinds(url))]
    assert len(latest) == len(set(latest))
    assert [record for record in traffic.stop() if record.failed] == []


def leads(team: Tidegate, pid: int) -> bool:
    info = launch.running(team.home)
    return info is not None and info.pid == pid


def end_connections(url: URL) -> None:
    """Have the database end all connections, as when the network is cut."""
    database = connected(url)
    with database.engine.connect() as db:
        query = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()"
        )
        db.execute(text(query), {"name": url.database})
    database.close()


def test_down_ends_those_that_stand_by_too(serving: Tidegate) -> None:
    standby = launch.stand_by(serving.home)
    ended = launch.stop(serving.home)
    assert any(f"standby (pid {standby})" in one for one in ended)
    assert standby not in {process.pid for process in belonging_to(serving.home)}
    assert launch.running(serving.home) is None
    serving.start()
    eventually("it serves again", lambda: serving.status(NAME)["replicas"])
