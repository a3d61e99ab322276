"""What a dry run says, for people. Pure: lines from the preview that the controller made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tidegate.cli.humanize import duration, percent

#: Inputs and outputs that a line names.
_MOST_NAMED = 8
_INDENT = 11


def preview_lines(preview: Mapping[str, Any]) -> list[str]:
    """Return what `deploy` would do, check and be refused for."""
    name = preview["deployment"]
    lines = [f"{name}: what deploy would do; nothing is changed.", ""]
    if not preview["arms"]:
        lines += _part("model", _model(preview["artifact"]))
    for arm in preview["arms"]:
        lines += _part(f"arm {arm['name']}", _model(arm["artifact"]))
    lines += _part("clients", _contract(preview["contract"], preview["action"]))
    if preview["golden"] is not None:
        count = preview["golden"]["requests"]
        lines += _part("golden", [f"{count} request{'s' if count != 1 else ''}, asked before any user meets it"])
    lines += _part("ready", _readiness(preview["readiness"]))
    if preview["action"] == "none":
        lines += _part("plan", [f"nothing: revision {preview['stable']} is exactly this model with these settings"])
    else:
        lines += _part("plan", _plan(preview["plan"], preview["stable"]))
    if preview["judge"] is not None:
        lines += _part("judge", _judge(preview["judge"]))
    lines += _part("warnings", preview["warnings"])
    return [*lines, "", _verdict(preview)]


def _part(label: str, texts: Sequence[str] | Iterator[str]) -> list[str]:
    return [f"{label if at == 0 else '':<{_INDENT}}{text}" for at, text in enumerate(texts)]


def _model(artifact: Mapping[str, Any] | None) -> Iterator[str]:
    if artifact is None:
        yield "was refused, see below"
        return
    version = f" {artifact['framework_version']}" if artifact["framework_version"] else ""
    trusted = ", trusted" if artifact["trusted"] else ""
    yield f"{artifact['runtime']}{version} ({artifact['format']}{trusted}); loaded and tried"
    signature = artifact["signature"]
    if signature["kind"] == "opaque":
        yield "takes and gives what its command does"
        return
    yield f"takes {_specs(signature['inputs'])}"
    yield f"gives {_specs(signature['outputs'])}"


def _specs(specs: Sequence[Mapping[str, Any]]) -> str:
    named = []
    for spec in specs[:_MOST_NAMED]:
        shape = "" if spec["shape"] == [-1] else f" {spec['shape']}"
        named.append(f"{spec['name']} {spec['datatype']}{shape}")
    more = len(specs) - _MOST_NAMED
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def _contract(contract: Mapping[str, Any], action: str) -> Iterator[str]:
    against = contract["against"]
    if against is None:
        yield "none yet: the first revision"
        return
    if contract["unknown"] is not None:
        yield f"may break, or not: {contract['unknown']}"
        return
    breaking = contract["breaking"]
    if breaking:
        yield f"of revision {against} break{' (allowed)' if contract['allowed'] else ''}:"
    elif action != "none":
        yield f"of revision {against} can go on as they are"
    yield from (f"  {difference}" for difference in breaking)
    yield from (f"  {difference}" for difference in contract["harmless"])


def _readiness(findings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    width = max((len(finding["check"]) for finding in findings), default=0)
    for finding in findings:
        yield f"{finding['level']:<5}{finding['check']:<{width}}  {finding['reason']}"


def _plan(plan: Mapping[str, Any], stable: int | None) -> Iterator[str]:
    replicas = f"{plan['replicas']} replicas" + (f" of {plan['workers']} workers" if plan["workers"] > 1 else "")
    yield f"start {replicas}, within {duration(plan['ready_within_seconds'])}"
    if stable is None:
        yield "then all traffic"
        return
    yield f"measure revision {stable} for {duration(plan['baseline_seconds'])}"
    for arm in plan["arms"]:
        yield f"{percent(arm['weight'])} of the users get {arm['name']}"
    for step in plan["steps"]:
        share = f"{percent(step['weight'])} of the traffic"
        if step["until"] == "person":
            yield f"{share} until a person decides"
        else:
            yield f"{share} for {duration(step['duration_seconds'])} at most"
    undecided = {
        "pause": "wait for a person",
        "rollback": "take it back",
        "continue": "go on",
    }[plan["on_inconclusive"]]
    yield f"without a verdict in that time: {undecided}; more than {plan['max_restarts']} dead replicas: take it back"


def _judge(judge: Mapping[str, Any]) -> Iterator[str]:
    yield (
        "takes it back when more of its requests are bad than of stable's, and than the objective allows "
        f"(wrongly with a chance of {percent(judge['alpha'] * 100)} at most, over the whole rollout)"
    )
    for signal in judge["signals"]:
        yield (
            f"  {signal['signal']}: requests that {signal['verb']}; objective {percent(signal['objective'] * 100)}, "
            f"margin {percent(signal['margin'] * 100)}, {signal['min_requests']} requests at least"
        )
    for shift in judge.get("shifts", ()):
        then = "takes it back" if shift["critical"] else "a warning"
        yield (
            f"  {shift['signal']}: {then} when they are distributed otherwise than stable's by more than "
            f"{percent(shift['tolerance'] * 100)}; margin {percent(shift['margin'] * 100)}, "
            f"{shift['min_requests']} requests at least"
        )
    for metric in judge.get("metrics", ()):
        then = "takes it back" if metric["critical"] else "a warning"
        then = "only shown" if metric["dry_run"] else then
        yield (
            f"  {metric['metric']}: measured every {duration(metric['interval_seconds'])}; "
            f"{then} when {metric['too_many']}: {metric['fails_when']}"
        )
    for resource, condition in judge.get("resources", {}).items():
        yield f"  {resource}: takes it back when {condition}"
    yield f"lets it pass a step after {judge['requests_to_pass']} good requests at the earliest"


def _verdict(preview: Mapping[str, Any]) -> str:
    count = len(preview["refusals"])
    if count:
        return f"It would be refused, for {count} reason{'s' if count != 1 else ''}:"
    return "Nothing to do." if preview["action"] == "none" else "It would begin. Deploy without --dry-run."
