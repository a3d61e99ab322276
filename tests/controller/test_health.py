"""Checks of running replicas, between the request and the rollout."""

from __future__ import annotations

from pathlib import Path

from tests.controller.test_reconciling import request_of
from tidegate.controller.health import checks_of, critical_failure, failing, happened, said, unwell
from tidegate.health.base import Affects, Check, CommandProbe, GoldenProbe, HttpProbe, PythonProbe
from tidegate.target.base import CheckHealth, ReplicaHealth, RevisionHealth

GOLDEN = Path("/home/golden")


def health(*passing: bool | None, affects: Affects = "readiness", critical: bool = False) -> RevisionHealth:
    """Return the health of a revision with a replica for each of these, and one check of each."""
    return RevisionHealth(
        tuple(
            ReplicaHealth(
                index,
                "127.0.0.1:1",
                1,
                passing is True,
                0,
                None,
                unwell=None if passing else "the check smoke fails: answered 500",
                checks=(CheckHealth("smoke", affects, critical, passing, "answered 500", None),),
            )
            for index, passing in enumerate(passing)
        )
    )


def test_replicas_that_a_check_finds_unwell_are_counted_by_check() -> None:
    assert failing(health(True, False, None, False)) == {"smoke": 2}
    assert failing(health(True, None)) == {"smoke": 0}
    assert failing(RevisionHealth(())) == {}


def test_a_request_without_checks_asks_for_none() -> None:
    assert checks_of(request_of(), GOLDEN) == ()


def test_each_check_of_a_request_becomes_one_of_its_replicas() -> None:
    request = request_of(
        healthChecks={
            "startup": {"period": "1s", "failureThreshold": 300},
            "liveness": {"timeout": "5s", "initialDelay": "3s"},
            "readiness": {"http": {"path": "/warm", "headers": {"x-a": "b"}}, "successThreshold": 2},
            "custom": [
                {"name": "a", "command": ["./a.sh", "{url}"], "folder": "/checks", "affects": "liveness"},
                {"name": "b", "python": "checks:b", "folder": "/checks", "affects": "nothing", "critical": True},
                {"name": "c", "golden": "/elsewhere/abc.yaml"},
            ],
        }
    )
    assert checks_of(request, GOLDEN) == (
        Check("startup", "startup", HttpProbe("/v2/health/ready"), period_seconds=1.0, failure_threshold=300),
        Check("liveness", "liveness", HttpProbe("/v2/health/live"), timeout_seconds=5.0, initial_delay_seconds=3.0),
        Check("readiness", "readiness", HttpProbe("/warm", (("x-a", "b"),)), success_threshold=2),
        Check("a", "liveness", CommandProbe(("./a.sh", "{url}"), Path("/checks"))),
        Check("b", "nothing", PythonProbe("checks:b", Path("/checks")), critical=True),
        Check("c", "readiness", GoldenProbe(GOLDEN / "abc.yaml")),
    )


def test_a_failure_and_its_end_are_each_told_once() -> None:
    known: dict[tuple[int, str], bool] = {}
    told = []
    for found in (health(None), health(True), health(False), health(False), health(None), health(True), health(True)):
        told += [(event.kind, event.data["replica"]) for event in happened(2, found, known)]
        known |= said(found)
    assert told == [("check_failed", 0), ("check_passed", 0)]


def test_an_event_says_which_check_of_which_replica_and_what_follows() -> None:
    [event] = happened(2, health(True, False), {})
    assert event.message == "the check smoke of replica 1 of revision 2 fails (answered 500): it gets no requests"
    assert event.revision == 2
    [dead] = happened(2, health(False, affects="liveness"), {})
    assert dead.message.endswith(": the replica is restarted when no other one is")


def test_only_a_critical_check_takes_a_candidate_back_and_not_one_that_stable_fails_as_well() -> None:
    ill = health(True, False, critical=True)
    assert critical_failure(ill, None) == "the critical check smoke fails on the candidate: answered 500"
    assert critical_failure(ill, health(True)) is not None
    assert critical_failure(ill, health(True, False)) is None
    assert critical_failure(health(False), None) is None
    assert critical_failure(None, None) is None


def test_the_first_replica_that_is_not_well_is_named() -> None:
    assert unwell(health(True, True)) is None
    assert unwell(None) is None
    assert unwell(health(True, False, False)) == "replica 1: the check smoke fails: answered 500"
