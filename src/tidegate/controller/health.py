"""Checks of running replicas, between the request that asks for them and the rollout that heeds them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePath

from tidegate.contract.health import CustomCheck, HealthCheck
from tidegate.contract.request import DeploymentRequest
from tidegate.health.base import Affects, Check, CommandProbe, GoldenProbe, HttpProbe, Probe, PythonProbe
from tidegate.store import NewEvent
from tidegate.target.base import CheckHealth, ReplicaHealth, RevisionHealth

#: What the three ask where the request does not say: the server that answers the Open Inference Protocol.
_OWN = {"startup": "/v2/health/ready", "liveness": "/v2/health/live", "readiness": "/v2/health/ready"}

#: Kinds of events.
CHECK_FAILED, CHECK_PASSED = "check_failed", "check_passed"

#: What the checks of a revision said last, by replica and name.
Known = Mapping[tuple[int, str], bool]


def checks_of(request: DeploymentRequest, golden: Path) -> tuple[Check, ...]:
    """Return the checks that a request asks for.

    Args:
        golden: the folder of the home in which copies of golden requests lie.
    """
    return tuple(_check(name, check, golden) for name, check in request.health_checks.every().items())


def _check(name: str, asked: HealthCheck, golden: Path) -> Check:
    affects, critical = (asked.affects, asked.critical) if isinstance(asked, CustomCheck) else (_three(name), False)
    return Check(
        name=name,
        affects=affects,
        probe=_probe(name, asked, golden),
        initial_delay_seconds=asked.initial_delay.seconds,
        period_seconds=asked.period.seconds,
        timeout_seconds=asked.timeout.seconds,
        success_threshold=asked.success_threshold,
        failure_threshold=asked.failure_threshold,
        critical=critical,
    )


def _three(name: str) -> Affects:
    match name:
        case "startup" | "liveness" | "readiness":
            return name
        case _:
            raise ValueError(f"no check of its own: {name}")


def _probe(name: str, asked: HealthCheck, golden: Path) -> Probe:
    folder = Path(asked.folder or "/")
    if asked.http is not None:
        return HttpProbe(asked.http.path, tuple(asked.http.headers.items()))
    if asked.command is not None:
        return CommandProbe(asked.command, folder)
    if asked.python is not None:
        return PythonProbe(asked.python, folder)
    if asked.golden is not None:
        return GoldenProbe(golden / PurePath(asked.golden).name)
    return HttpProbe(_OWN[name])


def said(health: RevisionHealth) -> dict[tuple[int, str], bool]:
    """Return what each check of each replica says; those that have not reached a threshold yet are left out."""
    return {
        (replica.index, check.name): check.passing
        for replica in health.replicas
        for check in replica.checks
        if check.passing is not None
    }


def failing(health: RevisionHealth) -> dict[str, int]:
    """Return of how many replicas each check says that they are not well; a check that nothing fails counts zero."""
    replicas = Counter({check.name: 0 for replica in health.replicas for check in replica.checks})
    replicas.update(name for (_, name), passes in said(health).items() if not passes)
    return dict(replicas)


def happened(number: int, health: RevisionHealth, known: Known) -> list[NewEvent]:
    """Return an event for each check of a revision that says something else than it last did.

    That a check passes for the first time is no event: nobody waited to hear it.
    """
    return [
        _event(number, replica, check)
        for replica in health.replicas
        for check in replica.checks
        if check.passing is not None and check.passing is not known.get((replica.index, check.name), True)
    ]


def _event(number: int, replica: ReplicaHealth, check: CheckHealth) -> NewEvent:
    what = f"the check {check.name} of replica {replica.index} of revision {number}"
    data = {
        "replica": replica.index,
        "check": check.name,
        "affects": check.affects,
        "critical": check.critical,
        "detail": check.detail,
    }
    if check.passing:
        return NewEvent(CHECK_PASSED, f"{what} passes again ({check.detail})", number, data)
    return NewEvent(CHECK_FAILED, f"{what} fails ({check.detail}){_MEANS[check.affects]}", number, data)


_MEANS = {
    "startup": ": the replica is started again",
    "liveness": ": the replica is restarted when no other one is",
    "readiness": ": it gets no requests",
    "nothing": "",
}


def critical_failure(candidate: RevisionHealth | None, stable: RevisionHealth | None) -> str | None:
    """Return why a candidate is to be taken back by a critical check, None when it is not.

    What fails on a replica of stable, too, is no fault of the candidate's.
    """
    if candidate is None:
        return None
    shared = {check.name for check in _failing(stable)} if stable is not None else set()
    found = next((check for check in _failing(candidate) if check.critical and check.name not in shared), None)
    return None if found is None else f"the critical check {found.name} fails on the candidate: {found.detail}"


def _failing(health: RevisionHealth) -> list[CheckHealth]:
    return [check for replica in health.replicas for check in replica.checks if check.passing is False]


def unwell(health: RevisionHealth | None) -> str | None:
    """Return what the checks say of the first replica that they do not find well."""
    found = (replica for replica in (health.replicas if health is not None else ()) if replica.unwell)
    first = next(found, None)
    return None if first is None else f"replica {first.index}: {first.unwell}"
