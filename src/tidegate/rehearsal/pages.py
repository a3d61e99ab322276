"""A rehearsal for the record: as one JSON document, and from it as a table, as Markdown and as HTML. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from tidegate.contract.quantities import Duration
from tidegate.contract.request import DeploymentRequest
from tidegate.rehearsal.findings import Finding
from tidegate.rehearsal.script import blind_spots, left_out

HEADINGS = ("fault", "detected", "by", "after", "requests that would have failed", "rolled back to")

_CSS = """
:root { color-scheme: light dark; }
body { margin: 0 auto; padding: 1.25rem; max-width: 68rem; font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; } h2 { font-size: 1.15rem; }
.good { color: #15803d; } .bad { color: #b91c1c; }
@media (prefers-color-scheme: dark) { .good { color: #4ade80; } .bad { color: #f87171; } }
.table { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4rem .75rem .4rem 0; border-bottom: 1px solid #8888; }
"""


def document(
    *,
    name: str,
    revision: int,
    request: DeploymentRequest,
    found: Sequence[Finding],
    traffic: Mapping[str, Any],
    time_limit: Duration,
    began: datetime,
    ended: datetime,
) -> dict[str, Any]:
    """Return all that a rehearsal found.

    Keys: `deployment`, `revision` (that the copies were made of), `holds` (every fault was taken back and stable failed
    nobody), `holes` (a sentence for each fault that was not, and for each failure of stable), `faults` (a finding
    each), `traffic` (`rps`, `rate` in words, `inputs`, `different` bodies), `time_limit`, `left_out` (what the copies
    did without), `blind_spots` (by kind of fault, what to add to the request so that anything can see it), `began_at`,
    `ended_at`.
    """
    kinds = [finding.fault.kind for finding in found]
    return {
        "deployment": name,
        "revision": revision,
        "holds": all(finding.holds for finding in found),
        "holes": [hole for finding in found for hole in holes_of(finding)],
        "faults": [finding.as_dict() for finding in found],
        "traffic": dict(traffic),
        "time_limit": str(time_limit),
        "left_out": list(left_out(request)),
        "blind_spots": {kind.value: list(advice) for kind, advice in blind_spots(request, kinds).items()},
        "began_at": began.isoformat(),
        "ended_at": ended.isoformat(),
    }


def holes_of(finding: Finding) -> list[str]:
    """Return a sentence for each hole in the net that a fault showed."""
    holes = [] if finding.detected else [f"{finding.fault} was not taken back: {finding.reason}"]
    if finding.answers.failed_of_stable:
        holes.append(f"{finding.fault}: stable itself failed {finding.answers.failed_of_stable} requests")
    return holes


def row(fault: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cells of one finding, in the order of `HEADINGS`."""
    detected = "yes" if fault["detected"] else f"no: {fault['ending']}"
    by = ", ".join(fault["signals"]) or "-"
    back = "-"
    if fault["back_to"] is not None:
        took = fault["in_force_ms"]
        back = f"revision {fault['back_to']}" + (f", at 0 % after {took:.0f} ms" if took else "")
    return (fault["fault"], detected, by, _after(fault), _hit(fault["requests"]), back)


def _after(fault: Mapping[str, Any]) -> str:
    if not fault["detected"]:
        return "-"
    if fault["seconds"] is None:
        return "before any request"
    share = f" at {fault['percent']:g} %" if fault["percent"] else ""
    return f"{fault['seconds']:.1f} s{share}"


def _hit(requests: Mapping[str, int]) -> str:
    parts = [f"{requests[kind]} {kind}" for kind in ("failed", "wrong", "slow") if requests[kind]]
    of_all = f"{requests['bad']} of {requests['sent']}"
    return f"{of_all} ({', '.join(parts)})" if parts else of_all


def sentences(told: Mapping[str, Any]) -> list[str]:
    """Return what is to be said below the table."""
    traffic = told["traffic"]
    said = [f"Traffic: {traffic['rate']}; {different(traffic['different'])}: {traffic['inputs']}."]
    said += [f"In the rehearsal {sentence}." for sentence in told["left_out"]]
    return said


def different(count: int) -> str:
    return "always the same request" if count == 1 else f"{count} different requests in turn"


def advice(told: Mapping[str, Any]) -> list[str]:
    """Return what would mend the net, each fault by its name."""
    return [f"{fault['fault']}: {sentence}" for fault in told["faults"] for sentence in fault["advice"]]


def verdict(told: Mapping[str, Any]) -> str:
    """Return the one sentence that sums it up."""
    count = len(told["faults"])
    if told["holds"]:
        what = "the fault was" if count == 1 else f"all {count} faults were"
        return f"{told['deployment']}: the net holds; {what} taken back, and stable served all the time."
    missed = sum(not fault["detected"] for fault in told["faults"])
    what = f"{missed} of {count} faults {'was' if missed == 1 else 'were'} not taken back"
    if not missed:
        what = "stable itself failed requests"
    return f"{told['deployment']}: the net has a hole; {what}."


def markdown(told: Mapping[str, Any]) -> str:
    """Return the report as a page for people."""
    lines = [
        f"# Rehearsal of {told['deployment']}, revision {told['revision']}",
        "",
        verdict(told),
        "",
        "| " + " | ".join(HEADINGS) + " |",
        "|" + "---|" * len(HEADINGS),
        *("| " + " | ".join(cell.replace("|", "\\|") for cell in row(fault)) + " |" for fault in told["faults"]),
        "",
        *(f"- {sentence}" for sentence in sentences(told)),
        f"- From {told['began_at']} to {told['ended_at']}, at most {told['time_limit']} for each fault.",
    ]
    if mended := advice(told):
        lines += ["", "## What would mend it", "", *(f"- {sentence}" for sentence in mended)]
    lines += ["", "## Why each ended", ""]
    lines += [f"- **{fault['fault']}**: {fault['ending']}: {fault['reason']}" for fault in told["faults"]]
    return "\n".join(lines) + "\n"


def html(told: Mapping[str, Any]) -> str:
    """Return the report as one page that needs nothing else to be shown."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in HEADINGS)
    rows = "".join(f"<tr>{''.join(_cell(cell) for cell in row(fault))}</tr>" for fault in told["faults"])
    title = escape(f"Rehearsal of {told['deployment']}, revision {told['revision']}")
    said = [*sentences(told), f"From {told['began_at']} to {told['ended_at']}."]
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_CSS}</style></head><body>',
        f'<h1>{title}</h1><p class="{"good" if told["holds"] else "bad"}">{escape(verdict(told))}</p>',
        f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>',
        _list(said),
    ]
    if mended := advice(told):
        parts += ["<h2>What would mend it</h2>", _list(mended)]
    reasons = [f"{fault['fault']}: {fault['ending']}: {fault['reason']}" for fault in told["faults"]]
    parts += ["<h2>Why each ended</h2>", _list(reasons), "</body></html>\n"]
    return "".join(parts)


def _cell(text: str) -> str:
    style = ' class="good"' if text == "yes" else ' class="bad"' if text.startswith("no: ") else ""
    return f"<td{style}>{escape(text)}</td>"


def _list(sentences: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in sentences)}</ul>"
