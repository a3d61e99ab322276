"""What a dry run says, for people. Pure: lines from the preview that the controller made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tidegate.cli.humanize import clock
from tidegate.cli.preview_plan import check_lines, hook_lines, judge_lines, notification_lines, people_lines, plan_lines

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
    lines += _part("golden", _golden(preview["golden"]))
    lines += _part("ready", _readiness(preview["readiness"]))
    lines += _part("freezes", _freezes(preview["freezes"]))
    if preview["action"] == "none":
        lines += _part("plan", [f"nothing: revision {preview['stable']} is exactly this model with these settings"])
    else:
        lines += _all_of_the_plan(preview["plan"], preview["stable"])
    if preview["judge"] is not None:
        lines += _part("judge", judge_lines(preview["judge"]))
    lines += _part("warnings", preview["warnings"])
    return [*lines, "", _verdict(preview)]


def _all_of_the_plan(plan: Mapping[str, Any], stable: int | None) -> list[str]:
    return [
        *_part("plan", plan_lines(plan, stable)),
        *_part("people", people_lines(plan)),
        *_part("checks", check_lines(plan)),
        *_part("hooks", hook_lines(plan)),
        *_part("tells", notification_lines(plan)),
    ]


def _golden(golden: Mapping[str, Any] | None) -> Iterator[str]:
    if golden is not None:
        count = golden["requests"]
        yield (
            f"{count} request{'s' if count != 1 else ''} of {golden['file']}, asked before any user meets it; a wrong "
            "answer takes it back"
        )


def _freezes(freezes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for freeze in freezes:
        whom = freeze["deployment"] or "every deployment"
        holds = "holds" if freeze["holds"] else f"will hold from {clock(freeze['starts_at'])}"
        yield f"{freeze['id']} of {whom} {holds} until {clock(freeze['ends_at'])} ({freeze['by']}: {freeze['reason']})"


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


def _verdict(preview: Mapping[str, Any]) -> str:
    count = len(preview["refusals"])
    if count:
        return f"It would be refused, for {count} reason{'s' if count != 1 else ''}:"
    return "Nothing to do." if preview["action"] == "none" else "It would begin. Deploy without --dry-run."
