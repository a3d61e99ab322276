"""What a dry run says of the plan and of the judge, for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tidegate.cli import steps_table
from tidegate.cli.humanize import duration, percent

_UNDECIDED = {"pause": "wait for a person", "rollback": "take it back", "continue": "go on"}
_AFTER_HOOK = {"rollback": "it is taken back", "continue": "the rollout goes on"}
#: What the failure of a check of a running replica means.
_AFFECTS = {
    "startup": "the replica is started again",
    "liveness": "the replica is started again",
    "readiness": "the replica gets no requests",
    "nothing": "it is told of",
}


def plan_lines(plan: Mapping[str, Any], stable: int | None) -> Iterator[str]:
    """Return what happens from the start of the replicas on."""
    replicas = _count(plan["replicas"], "replica") + (f" of {plan['workers']} workers" if plan["workers"] > 1 else "")
    yield f"{plan['strategy']}: start {replicas}, within {duration(plan['ready_within_seconds'])}"
    if stable is None:
        yield "then all traffic"
        return
    yield f"measure revision {stable} for {duration(plan['baseline_seconds'])}"
    for arm in plan["arms"]:
        yield f"{percent(arm['weight'])} of the users get {arm['name']}"
    yield from steps_table.lines(steps_table.planned(plan))
    yield (
        f"without a verdict in the time of a step: {_UNDECIDED[plan['on_inconclusive']]}; "
        f"a warning: {_UNDECIDED[plan['on_warning']]}; more than {plan['max_restarts']} dead replicas: take it back"
    )
    yield _way_back(plan)


def _way_back(plan: Mapping[str, Any]) -> str:
    back = plan["way_back"]
    if back["is_instant"]:
        kept = _count(plan["stable_replicas"], "replica")
        return f"way back: to revision {back['revision']}, whose {kept} stay ready to the end, by a change of the split"
    return (
        f"way back: to revision {back['revision']}, whose replicas that are gone by then are started again; traffic "
        "follows as they become ready"
    )


def people_lines(plan: Mapping[str, Any]) -> Iterator[str]:
    """Return what is demanded of who decides."""
    if plan["reason_required"]:
        who = "promotes, resumes or gives an arm more weight" if plan["arms"] else "promotes or resumes"
        yield f"who {who} must say why (--reason); to pause, abort or roll back takes no reason"


def check_lines(plan: Mapping[str, Any]) -> Iterator[str]:
    """Return the checks of running replicas that the request asks for."""
    for check in plan["checks"]:
        asks = f"asks {check['asks']}" if check["asks"] else "asks its server"
        then = _AFFECTS[check["affects"]] + (", and a candidate is taken back" if check["critical"] else "")
        yield (
            f"{check['name']}: {asks} every {duration(check['period_seconds'])}, for "
            f"{duration(check['timeout_seconds'])} at most; {check['failure_threshold']} failures in a row: {then}"
        )


def hook_lines(plan: Mapping[str, Any]) -> Iterator[str]:
    for hook in plan["hooks"]:
        yield f"{hook['type']}: {hook['name']} at {hook['where']}{_after(hook)}"


def _after(hook: Mapping[str, Any]) -> str:
    """Return how long a hook is waited for, or what it may do."""
    then, every = _AFTER_HOOK[hook["on_failure"]], f"; asked every {duration(hook['interval_seconds'])}"
    match hook["type"]:
        case "confirm-rollout" | "confirm-traffic-increase" | "confirm-promotion":
            longest = hook["wait_at_most_seconds"]
            return "; waits for a 200" + (f" for {duration(longest)} at most, then {then}" if longest else "")
        case "pre-rollout":
            return f"; more than {_count(hook['retries'], 'failed call')} in a row: {then}"
        case "rollout":
            return f"{every}; without a 2xx it is taken back"
        case "rollback":
            return f"{every}; a 2xx takes it back; more than {_count(hook['retries'], 'failed call')} in a row: {then}"
        case _:
            return "; is told"


def notification_lines(plan: Mapping[str, Any]) -> Iterator[str]:
    for told in plan["notifications"]:
        yield f"{told['name']} at {told['where']}: {', '.join(told['when'])}"


def judge_lines(judge: Mapping[str, Any]) -> Iterator[str]:
    """Return what the candidate is held to, and what follows from harm on each signal."""
    yield (
        "harm: more of its requests are bad than of stable's, and than the objective allows "
        f"(wrongly found with a chance of {percent(judge['alpha'] * 100)} at most, over the whole rollout)"
    )
    for signal in judge["signals"]:
        yield (
            f"  {signal['signal']}: {_then(signal)} for requests that {signal['verb']}; objective "
            f"{percent(signal['objective'] * 100)}, margin {percent(signal['margin'] * 100)}, "
            f"{signal['min_requests']} requests at least{_weight(signal)}"
        )
    for shift in judge["shifts"]:
        yield (
            f"  {shift['signal']}: {_then(shift)} when they are distributed otherwise than stable's by more than "
            f"{percent(shift['tolerance'] * 100)}; margin {percent(shift['margin'] * 100)}, "
            f"{shift['min_requests']} requests at least{_weight(shift)}"
        )
    for metric in judge["metrics"]:
        yield (
            f"  {metric['metric']}: measured every {duration(metric['interval_seconds'])}; "
            f"{_then(metric)} when {metric['too_many']}: {metric['fails_when']}{_weight(metric)}"
        )
    for resource in judge["resources"]:
        yield f"  {resource['resource']}: {_then(resource)} when {resource['fails_when']}{_weight(resource)}"
    yield f"lets it pass a step after {judge['requests_to_pass']} good requests at the earliest"


def _then(held: Mapping[str, Any]) -> str:
    if held["dry_run"]:
        return "only shown"
    return "takes it back" if held["critical"] else "a warning"


def _weight(held: Mapping[str, Any]) -> str:
    """Return a signal's share of the score where it is not the usual one."""
    return "" if held["weight"] == 1 else f", weight {held['weight']:g} in the score"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
