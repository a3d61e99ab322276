"""What happened in a rollout, for the record: built from its events, as JSON and as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tidegate.controller import ranges
from tidegate.controller.arms import arms_view, compared
from tidegate.controller.checking import CHECKED
from tidegate.controller.counted import in_words
from tidegate.controller.promise import promise
from tidegate.rollout import Phase, Rollout
from tidegate.store import Event, RevisionRow, RolloutRow


def build(
    row: RolloutRow, candidate: RevisionRow, events: Sequence[Event], looks: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Return the report.

    Keys: `rollout`, `deployment`, `from_revision`, `to_revision`, `bundle`, `outcome` (None while it runs), `reason`,
    `decided_by` ("tidegate" or a person's name), `started_at`, `ended_at`, `duration_seconds`, `warnings` (what was
    said when it began), `checks` (what came of the checks before traffic; None when there were none), `arms` (of an A/B
    test, each with its revision, its weight in the end, what the judge said of it last and why it is out) and
    `comparison` (how they compared, see `controller.arms`), `baseline` (stable's counts before the first step),
    `ranges` (what is normal for stable before the first step, and what stable and candidate do since: throughput,
    failed, latency; None where nothing was counted), `steps` (each with what was asked, what was observed, how long the
    split took to be in force, the counts per revision and the verdict), `rollback` (time from the verdict to 0 %, None
    when there was none), `disagreements` (the first copied requests that the candidate answered otherwise: id, output,
    both values), `requests` (per revision over the rollout), `promise` (how seldom a healthy candidate is taken back,
    see `controller.promise`), `looks` (what the judge saw on its way, thinned), `events`.
    """
    rollout = Rollout.from_storage(row.state)
    steps = _steps(rollout, events)
    arms = _arms(rollout, events)
    is_judged = bool(arms) or any(step["verdict"] for step in steps)
    return {
        "rollout": str(row.id),
        "deployment": row.deployment,
        "from_revision": row.from_revision,
        "to_revision": row.to_revision,
        "bundle": f"sha256:{candidate.digest}",
        "artifact": candidate.request["modelArtifact"]["path"],
        "outcome": row.phase if row.ended_at is not None else None,
        "phase": row.phase,
        "reason": rollout.reason,
        "decided_by": _decided_by(events),
        "started_at": row.started_at.isoformat(),
        "ended_at": row.ended_at.isoformat() if row.ended_at is not None else None,
        "duration_seconds": _seconds(row.started_at, row.ended_at),
        "preparing_seconds": _seconds(row.started_at, _first_at(events, Phase.BASELINE, Phase.PROMOTING)),
        "warnings": _last_data(events, "warnings") or [],
        "checks": _checks(events),
        "arms": arms,
        "comparison": _last_data(events, "comparison"),
        "baseline": _last_data(events, "baseline"),
        "ranges": _last_data(events, "ranges"),
        "steps": steps,
        "rollback": _rollback(rollout, events),
        "promotion_split_in_force_ms": _in_force(events, Phase.PROMOTED),
        "disagreements": _last_data(events, "disagreements") or [],
        "requests": _last_data(events, "requests"),
        "promise": promise(candidate.request, rollout.plan.steps) if is_judged else "",
        "looks": [dict(look) for look in looks],
        "events": [event.as_dict() for event in events],
    }


def markdown(report: dict[str, Any]) -> str:
    """Return the report as a page for people."""
    outcome = (report["outcome"] or f"under way ({report['phase']})").replace("_", " ")
    lines = [
        f"# Rollout {report['rollout']} of {report['deployment']}: {outcome}",
        "",
        report["reason"] + ".",
        "",
        f"- from revision {report['from_revision'] or 'none'} to revision {report['to_revision']}",
        f"- artifact `{report['artifact']}`, bundle `{report['bundle'][:19]}…`",
        f"- started {report['started_at']}, ended {report['ended_at'] or 'not yet'}"
        + (f" ({report['duration_seconds']:.1f} s)" if report["duration_seconds"] is not None else ""),
        f"- decided by {report['decided_by']}",
    ]
    if report["rollback"] is not None:
        back = report["rollback"]
        took = back["split_in_force_ms"]
        lines.append(f"- taken back at {back['decided_at']}" + (f", at 0 % after {took:g} ms" if took else ""))
    lines += [f"- warning: {warning}" for warning in report["warnings"]]
    if report["checks"] is not None:
        lines.append(f"- before traffic: {report['checks']['message']}")
    if report["steps"]:
        lines += ["", "## Steps", ""]
        lines += ["| step | asked | observed | in force after | time | candidate | stable | verdict |"]
        lines += ["|---|---|---|---|---|---|---|---|"]
        lines += [_row(step, report) for step in report["steps"]]
    lines += _arms_lines(report)
    if report["ranges"] is not None:
        lines += ["", "## Normal ranges", "", "| | stable before | stable meanwhile | candidate |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(row)} |" for row in ranges.rows(report["ranges"])]
    verdict = next((step["verdict"] for step in reversed(report["steps"]) if step["verdict"]), None)
    if verdict is not None and not report["arms"]:
        lines += ["", "## Last verdict", "", f"**{verdict['outcome']}**: {verdict['reason']}", ""]
        lines += [f"- {said['reason']}" for said in (*verdict["signals"], *verdict.get("metrics", ()))]
        lines += ["", report["promise"]]
    lines += _distributions(verdict)
    if report["disagreements"]:
        lines += [
            "",
            "## Answered otherwise than by stable",
            "",
            "| request | output | stable | candidate |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| `{shown['request_id']}` | {shown['output']} | {shown['stable']} | {shown['candidate']} |"
            for shown in report["disagreements"]
        ]
    lines += ["", "## Events", ""]
    lines += [f"- {event['at']} **{event['kind']}** {event['message']}" for event in report["events"]]
    return "\n".join(lines) + "\n"


def _arms_lines(report: Mapping[str, Any]) -> list[str]:
    """Return the arms of an A/B test as a table, with what is shown of them; nothing for another strategy."""
    if not report["arms"]:
        return []
    lines = ["", "## Arms", "", "| arm | revision | weight | counted | beside stable |", "|---|---|---|---|---|"]
    counts = report["requests"] or {}
    for arm in report["arms"]:
        said = arm["verdict"]
        beside = f"{said['outcome']}: {said['reason']}" if said else "–"
        if arm["out"]:
            beside = f"out: {arm['out']}"
        counted = in_words(counts.get(str(arm["revision"])))
        lines.append(f"| {arm['name']} | {arm['revision']} | {arm['weight']:g} % | {counted} | {beside} |")
    promised = ["", report["promise"]] if report["promise"] else []
    return [*lines, "", *(f"- {sentence}" for sentence in compared(report["comparison"])), *promised]


def _arms(rollout: Rollout, events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return the arms as they stood before the decision, and why each is out that is."""
    if not rollout.plan.arms:
        return []
    told = _last_data(events, "arms") or arms_view(rollout, {})
    return [{**arm, "out": rollout.gone.get(arm["name"], arm["out"])} for arm in told]


def _distributions(verdict: Mapping[str, Any] | None) -> list[str]:
    """Return a table of the distributions that lay farthest apart at the last verdict."""
    shifts = [
        (signal["signal"], shift)
        for signal in (verdict or {}).get("signals", ())
        for shift in signal.get("shifts", ())
        if sum(shift["candidate"])
    ]
    if not shifts:
        return []
    lines = ["", "## Distributions", "", "| signal | of | distance | at most | requests |", "|---|---|---|---|---|"]
    return lines + [
        f"| {signal} | {shift['feature']} | {shift['distance']:.1%} | {shift['bound']:.1%} | "
        f"{sum(shift['candidate'])} against {sum(shift['stable'])} |"
        for signal, shift in shifts
    ]


def _row(step: dict[str, Any], report: dict[str, Any]) -> str:
    counts = step["requests"] or {}
    candidate, stable = counts.get(str(report["to_revision"])), counts.get(str(report["from_revision"]))
    observed = f"{step['observed_percent']:.1f} %" if step["observed_percent"] is not None else "–"
    in_force = f"{step['split_in_force_ms']:g} ms" if step["split_in_force_ms"] is not None else "–"
    seconds = f"{step['seconds']:.1f} s" if step["seconds"] is not None else "–"
    verdict = step["verdict"]["outcome"] if step["verdict"] else "–"
    return (
        f"| {step['step'] + 1} | {step['weight']} % | {observed} | {in_force} | {seconds} | {in_words(candidate)} | "
        f"{in_words(stable)} | {verdict} |"
    )


def _steps(rollout: Rollout, events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return one entry per stay in `analyzing`, or at a step that waits for a person; a paused step has several."""
    steps: list[dict[str, Any]] = []
    for event in events:
        # An A/B test has one step, and an entry for each split in it.
        is_new = not steps or steps[-1]["step"] != event.data.get("step") or bool(rollout.plan.arms)
        is_gate = event.data.get("waits_at_step") and is_new
        if event.kind == Phase.ANALYZING or is_gate:
            steps.append(_begun(event))
        elif steps and steps[-1]["ended_at"] is None and "from" in event.data:
            _end(steps[-1], event, rollout)
    return steps


def _begun(event: Event) -> dict[str, Any]:
    return {
        "step": event.data["step"],
        "weight": event.data["weight"],
        "split_in_force_ms": event.data.get("split_in_force_ms"),
        "started_at": event.at.isoformat(),
        "ended_at": None,
        "seconds": None,
        "ended_as": None,
        "requests": None,
        "by_role": None,
        "observed_percent": None,
        "verdict": None,
    }


def _end(step: dict[str, Any], event: Event, rollout: Rollout) -> None:
    counts = event.data.get("in_step") or {}
    step["ended_at"] = event.at.isoformat()
    step["seconds"] = _seconds(datetime.fromisoformat(step["started_at"]), event.at)
    step["ended_as"] = event.kind
    step["requests"] = counts
    plan = rollout.plan
    step["by_role"] = {"candidate": counts.get(str(plan.candidate)), "stable": counts.get(str(plan.stable))}
    step["verdict"] = event.data.get("verdict")
    observed = event.data.get("split_observed")
    if observed:
        of_candidate = observed.get(str(rollout.plan.candidate))
        of_arms = [observed.get(str(arm.revision), 0) for arm in plan.arms]
        step["observed_percent"] = round(sum(of_arms), 2) if of_arms else of_candidate


def _checks(events: Sequence[Event]) -> dict[str, Any] | None:
    made = next((event for event in reversed(events) if event.kind == CHECKED), None)
    return None if made is None else {"message": made.message, **made.data}


def _rollback(rollout: Rollout, events: Sequence[Event]) -> dict[str, Any] | None:
    decided = next((event for event in reversed(events) if event.kind == Phase.ROLLING_BACK), None)
    if decided is None:
        return None
    ended = next((event for event in events if event.seq > decided.seq and event.kind == rollout.phase.value), None)
    took = ended.data.get("split_in_force_ms") if ended is not None else None
    return {
        "decided_at": decided.at.isoformat(),
        "reason": decided.message,
        "weight_before": _weight_before(events, decided),
        "split_in_force_ms": took,
    }


def _weight_before(events: Sequence[Event], decided: Event) -> int:
    weights = [event.data["weight"] for event in events if event.seq < decided.seq and "weight" in event.data]
    return weights[-1] if weights else 0


def _decided_by(events: Sequence[Event]) -> str:
    """Return who decided the outcome: a person's name, or "tidegate".

    A return to a past revision has no trial; who asked for it decided it, unless the replicas never got ready.
    """
    asked = next((event.data["by"] for event in events if event.kind == Phase.PREPARING and "by" in event.data), None)
    for event in reversed(events):
        if event.kind == Phase.PROMOTING:
            return str(event.data.get("by") or asked or "tidegate")
        if event.kind == Phase.ROLLING_BACK:
            return str(event.data.get("by") or "tidegate")
    return "nobody yet"


def _first_at(events: Sequence[Event], *kinds: Phase) -> datetime | None:
    return next((event.at for event in events if event.kind in kinds), None)


def _in_force(events: Sequence[Event], kind: Phase) -> float | None:
    found = next((event for event in events if event.kind == kind), None)
    return found.data.get("split_in_force_ms") if found is not None else None


def _last_data(events: Sequence[Event], key: str) -> Any:
    return next((event.data[key] for event in reversed(events) if event.data.get(key)), None)


def _seconds(start: datetime, end: datetime | None) -> float | None:
    return None if end is None else round((end - start).total_seconds(), 3)
