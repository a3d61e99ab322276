"""A team's store: PostgreSQL that is killed, controllers of which one leads, and rollouts that end right."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, text

from tests.e2e.conftest import Tidegate, belonging_to, eventually
from tests.support.postgresql import Postgresql, postgresql
from tidegate.contract.errors import Conflict, InvalidInput, Unavailable
from tidegate.controller import launch
from tidegate.store import Store
from tidegate.store.versions import connected

pytestmark = pytest.mark.e2e

NAME = "arrivals"
#: Within which another controller is to lead.
SUCCESSION_SECONDS = 10.0


@pytest.fixture(scope="module")
def server() -> Iterator[Postgresql]:
    with postgresql() as running:
        yield running


@pytest.fixture(scope="module")
def url(server: Postgresql) -> URL:
    return server.fresh()


@pytest.fixture(scope="module")
def team(url: URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tidegate]:
    folder = tmp_path_factory.mktemp("team")
    running = Tidegate(folder / "home", folder)
    launch.ensure_running(running.home, 0, 0, store=url.render_as_string())
    try:
        yield running
    finally:
        launch.stop(running.home)
    eventually("no process left behind", lambda: not belonging_to(running.home), 15)


@pytest.fixture(scope="module")
def serving(team: Tidegate, good_model: Path) -> Tidegate:
    assert team.ended(team.deploy(NAME, good_model))["outcome"] == "promoted"
    return team


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


def test_a_running_controller_is_not_mistaken_for_one_of_another_store(serving: Tidegate, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="runs already, with another store"):
        launch.ensure_running(serving.home, None, None, store=str(tmp_path / "other.db"))


def test_a_second_controller_that_does_not_stand_by_is_refused(serving: Tidegate, url: URL, tmp_path: Path) -> None:
    with pytest.raises((Conflict, Unavailable), match="another controller of this database leads"):
        launch.ensure_running(tmp_path / "home", 0, 0, store=url.render_as_string())


def test_a_killed_database_costs_no_request_and_nothing_that_was_acknowledged(
    serving: Tidegate, server: Postgresql, url: URL, better_model: Path
) -> None:
    if not server.is_ours:
        pytest.skip("the server is not of the tests, which do not kill it")
    traffic = serving.traffic(NAME)
    rollout = serving.deploy(NAME, better_model)
    serving.in_phase(NAME, "analyzing")
    before = kinds(url)
    controller = serving.controller().pid
    server.kill()
    seen = len(traffic.records())
    eventually("traffic without a database", lambda: len(traffic.records()) > seen + 40)
    server.start()
    report = serving.ended(rollout)
    assert report["outcome"] == "promoted", report["reason"]
    assert kinds(url)[: len(before)] == before
    assert serving.controller().pid == controller
    assert [record for record in traffic.stop() if record.failed] == []


def test_another_controller_takes_over_within_ten_seconds_and_nothing_is_done_twice(
    serving: Tidegate, url: URL, good_model: Path
) -> None:
    standby = launch.stand_by(serving.home)
    traffic = serving.traffic(NAME)
    rollout = serving.deploy(NAME, good_model)
    serving.in_phase(NAME, "analyzing")
    replicas = serving.pids(NAME, 2) | serving.pids(NAME, 3)
    leader = serving.controller()
    assert leader.pid != standby
    leader.kill()
    killed_at = time.monotonic()
    leader.wait(10)
    eventually("the other one leads", lambda: leads(serving, standby))
    assert time.monotonic() - killed_at < SUCCESSION_SECONDS
    report = serving.ended(rollout)
    assert report["outcome"] == "promoted", report["reason"]
    assert serving.pids(NAME, 3) <= replicas
    happened = kinds(url)
    latest = [one for one in happened if one[0] == max(number or 0 for number, _, _ in happened)]
    assert [kind for _, kind, _ in latest].count("promoted") == 1
    assert len(latest) == len(set(latest))
    assert [record for record in traffic.stop() if record.failed] == []


def test_a_leader_that_sleeps_is_succeeded_and_ended(serving: Tidegate, url: URL, better_model: Path) -> None:
    standby = launch.stand_by(serving.home)
    rollout = serving.deploy(NAME, better_model)
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
