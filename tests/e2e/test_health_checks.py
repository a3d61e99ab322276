"""Health checks of a real model's replicas, while they serve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Tidegate, eventually
from tidegate.client import Client
from tidegate.contract.errors import InvalidInput

pytestmark = pytest.mark.e2e

NAME = "watched"


def checks(folder: Path, **settings: Any) -> dict[str, Any]:
    """Return a check that fails as long as the folder has a file `ill-REVISION-REPLICA`."""
    program = ["sh", "-c", "test ! -e ill-{revision}-{replica} || { echo as the file says; exit 1; }"]
    smoke = {"name": "smoke", "command": program, "folder": str(folder), "period": "300ms", "timeout": "20s"}
    return {"healthChecks": {"custom": [{**smoke, "failureThreshold": 1, **settings}]}}


def events(client: Client, kind: str) -> list[dict[str, Any]]:
    return [event for event in client.events(NAME) if event["kind"] == kind]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checks")


@pytest.fixture(scope="module")
def serving(tidegate: Tidegate, good_model: Path, folder: Path) -> None:
    report = tidegate.ended(tidegate.deploy(NAME, good_model, **checks(folder)))
    assert report["outcome"] == "promoted", report["reason"]


def test_a_check_that_cannot_be_made_is_refused_before_anything_changes(tidegate: Tidegate, good_model: Path) -> None:
    with pytest.raises(InvalidInput, match=r"custom\[0\].command: there is no program never-heard-of-it"):
        tidegate.deploy("refused", good_model, **checks(good_model.parent, command=["never-heard-of-it"]))
    wrong = {"name": "smoke", "python": "nowhere:check", "folder": str(good_model.parent)}
    with pytest.raises(InvalidInput, match="No module named 'nowhere'"):
        tidegate.deploy("refused", good_model, healthChecks={"custom": [wrong]})
    with tidegate.client as client:
        assert "refused" not in [deployment["name"] for deployment in client.list()]


@pytest.mark.usefixtures("serving")
def test_an_unwell_replica_gets_no_requests_says_why_and_comes_back(tidegate: Tidegate, folder: Path) -> None:
    traffic = tidegate.traffic(NAME)
    (folder / "ill-1-0").touch()

    def ready(count: int) -> dict[str, Any] | None:
        status = tidegate.status(NAME)
        return status if status["replicas"]["1"]["ready"] == count else None

    ill = eventually("one replica less", lambda: ready(1))["replicas"]["1"]["replicas"][0]
    assert ill["unwell"] == "the check smoke fails: exit code 1: as the file says"
    assert ill["checks"][0]["passing"] is False
    (folder / "ill-1-0").unlink()
    well = eventually("both again", lambda: ready(2))
    assert well["replicas"]["1"]["restarts"] == 0
    assert not [record for record in traffic.stop() if record.failed]
    with tidegate.client as client:
        [failed], [passed] = events(client, "check_failed"), events(client, "check_passed")
    assert failed["message"].startswith("the check smoke of replica 0 of revision 1 fails (exit code 1: as the file")
    assert passed["seq"] > failed["seq"]


@pytest.mark.usefixtures("serving")
def test_a_candidate_that_is_not_ready_meets_no_user_and_the_reason_is_told(
    tidegate: Tidegate, better_model: Path, folder: Path
) -> None:
    (folder / "ill-2-1").touch()
    asked = checks(folder)
    asked["healthChecks"]["readyWithin"] = "30s"
    report = tidegate.ended(tidegate.deploy(NAME, better_model, **asked))
    assert report["outcome"] == "rolled_back"
    assert report["steps"] == []
    assert "1 of 2 replicas were ready after 30 s" in report["reason"]
    assert "replica 1: the check smoke" in report["reason"]
    assert "as the file says" in report["reason"]


@pytest.mark.usefixtures("serving")
def test_a_critical_check_takes_a_candidate_back_under_traffic(
    tidegate: Tidegate, better_model: Path, folder: Path
) -> None:
    traffic = tidegate.traffic(NAME)
    steps = [{"weight": 20}, {"pause": "person"}, {"weight": 100}]
    rollout = tidegate.deploy(
        NAME, better_model, steps=steps, **checks(folder, name="quality", affects="nothing", critical=True)
    )
    tidegate.in_phase(NAME, "paused")
    candidate = tidegate.status(NAME)["candidate"]
    (folder / f"ill-{candidate}-0").touch()
    report = tidegate.ended(rollout)
    assert report["outcome"] == "rolled_back"
    assert report["reason"] == ("the critical check quality fails on the candidate: exit code 1: as the file says")
    assert report["rollback"]["weight_before"] == 20
    told = report["ranges"]
    assert told["stable_before"]["requests"] > 0
    assert told["stable_before"]["error_rate"]["observed"] == 0
    assert told["candidate"]["requests"] > 0
    for span in (told["stable_before"], told["stable"], told["candidate"]):
        p50, p99 = span["latency_ms"]["p50"], span["latency_ms"]["p99"]
        assert 0 <= p50["low"] <= p50["observed"] <= p99["observed"] <= p99["high"]
    with tidegate.client as client:
        assert "## Normal ranges" in client.report_markdown(rollout)
    assert not [record for record in traffic.stop() if record.failed]
