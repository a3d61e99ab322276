"""Documents of the API as tables for a terminal. Pure: what they show is in the arguments, the time included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tidegate.cli.drift_lines import status_text
from tidegate.cli.humanize import ago, clock, count, duration, moment, percent
from tidegate.cli.ranges import ranges_table
from tidegate.cli.reasons import reason_asked
from tidegate.cli.signals import metrics_table, signals_table

PHASE_STYLES = {
    "serving": "green",
    "promoted": "green",
    "promoting": "green",
    "paused": "yellow",
    "rolling_back": "red",
    "rolled_back": "red",
    "aborted": "red",
    "failed": "red",
}


def phase_text(phase: str | None) -> Text:
    """Return a phase in words and colour; colour is never the only carrier of what it says."""
    return Text((phase or "unknown").replace("_", " "), style=PHASE_STYLES.get(phase or "", "cyan"))


def in_order(by_revision: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the items of a mapping keyed by revision numbers, lowest first."""
    return sorted(by_revision.items(), key=lambda item: int(item[0]))


def ready_text(health: Mapping[str, Any] | None) -> str:
    """Return ready of wanted replicas and how many died: "1/2 (3 restarts)"."""
    if not health:
        return "-"
    restarts = health.get("restarts", 0)
    tail = f" ({restarts} restart{'s' if restarts != 1 else ''})" if restarts else ""
    return f"{health.get('ready', 0)}/{health.get('wanted', 0)}{tail}"


def steps_text(rollout: Mapping[str, Any], now: datetime) -> Text:
    """Return the rollout's steps, those behind it, the present one and those to come.

    "✓ 5 %  ▶ 25 % (12 s of 60 s)  · 100 %"; the time is that of a step which is being judged.
    """
    present = rollout.get("step_index", -1)
    phase = rollout.get("phase")
    text = Text()
    for index, step in enumerate(rollout.get("steps") or []):
        if phase == "promoted" or index < present:
            mark, style = "✓", "green"
        elif index == present and phase in {"rolled_back", "rolling_back", "aborted", "failed"}:
            mark, style = "✗", "red"
        elif index == present:
            mark, style = "▶", "bold cyan"
        else:
            mark, style = "·", "dim"
        text.append(f"{mark} {step_text(step)}", style=style)
        since = moment(rollout.get("phase_since"))
        if mark == "▶" and phase == "analyzing" and since is not None and step.get("until") != "person":
            spent = max(0.0, (now - since).total_seconds())
            text.append(f" ({duration(spent)} of {duration(step['duration_seconds'])})", style="dim")
        text.append("  ")
    text.rstrip()
    return text


def step_text(step: Mapping[str, Any]) -> str:
    """Return what one step is: "5 %", "shadow 20 %", "hold 100 %", "50 % until you resume"."""
    share = f"shadow {percent(step['mirror'])}" if step.get("mirror") else percent(step["weight"])
    match step.get("until", "pass"):
        case "person":
            return f"{share} until you resume"
        case "time":
            return f"hold {share}"
        case _:
            return share


def elapsed_text(rollout: Mapping[str, Any], now: datetime) -> str:
    """Return how long the rollout took, or has taken so far."""
    start, end = moment(rollout.get("started_at")), moment(rollout.get("ended_at"))
    return duration(((end or now) - start).total_seconds()) if start is not None else "-"


def pairs(rows: Iterable[tuple[str, RenderableType]]) -> Table:
    """Return labelled values, one a line; a value that is empty is left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in rows:
        if not isinstance(value, str | Text) or str(value):
            table.add_row(label, value)
    return table


def status_view(status: Mapping[str, Any], now: datetime) -> RenderableType:
    """Return one deployment: where it is reached, its revisions, and the rollout when there is one."""
    rollout = status.get("rollout")
    head = pairs(
        [
            ("deployment", Text(status["name"], style="bold")),
            ("phase", phase_text(status.get("phase"))),
            ("url", Text(status.get("url") or "")),
            ("drift", status_text(status.get("drift"), now)),
        ]
    )
    parts: list[RenderableType] = [head, Text(), revisions_view(status), *unwell_lines(status)]
    if status.get("trouble"):
        parts += [Text(), Text(f"trouble: {status['trouble']}", style="bold red")]
    if rollout:
        parts += [Text(), rollout_view(rollout, now)]
    return Group(*parts)


def revisions_view(status: Mapping[str, Any]) -> Table:
    """Return one line per revision that serves or is on trial: traffic asked and observed, replicas, counts.

    Counts are those of the present step, or of the whole rollout where no step has begun or all are over.
    """
    rollout = status.get("rollout") or {}
    in_step = rollout.get("requests_in_step") or {}
    counts = in_step or rollout.get("requests") or {}
    asked, observed = status.get("split_asked") or {}, status.get("split_observed") or {}
    replicas = status.get("replicas") or {}
    roles = {str(status.get("stable")): "stable", str(status.get("candidate")): "candidate"}
    if rollout.get("ended_at") is None:
        roles |= {str(arm["revision"]): arm["name"] for arm in rollout.get("arms") or [] if not arm["out"]}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("revision", no_wrap=True)
    table.add_column("replicas ready", no_wrap=True)
    for heading in ("asked", "observed", "requests", "failed", "slow", "rejected"):
        table.add_column(heading, no_wrap=True, justify="right")
    known = {key: None for key in (*asked, *replicas, *roles) if key != "None"}
    for revision, _ in in_order(known):
        counted = counts.get(revision) or {}
        table.add_row(
            Text(f"{revision} {roles.get(revision, 'leaving')}", style="bold" if revision in roles else "dim"),
            ready_text(replicas.get(revision)),
            percent(asked.get(revision, 0)),
            percent(observed[revision]) if revision in observed else "-",
            *(count(counted[key]) if key in counted else "-" for key in ("requests", "errors", "slow", "rejections")),
        )
    return table


def unwell_lines(status: Mapping[str, Any]) -> list[Text]:
    """Return a line for each replica that checks do not find well, and for each other check that fails."""
    lines = []
    for revision, health in in_order(status.get("replicas") or {}):
        for replica in health.get("replicas") or []:
            told = [replica["unwell"]] if replica.get("unwell") else []
            told += [
                f"the check {check['name']} fails: {check['detail']}"
                for check in replica.get("checks") or []
                if check["passing"] is False and check["affects"] == "nothing"
            ]
            lines += [Text(f"revision {revision}, replica {replica['index']}: {one}", style="yellow") for one in told]
    return [Text(), *lines] if lines else []


def rollout_view(rollout: Mapping[str, Any], now: datetime) -> RenderableType:
    """Return one rollout: phase, steps, why it is there, and what the judge says of each signal."""
    verdict = rollout.get("verdict") or {}
    before = rollout.get("from_revision")
    journey = (
        f"{before} → {rollout['to_revision']}" if before is not None else f"first revision, {rollout['to_revision']}"
    )
    ended, why = rollout.get("ended_at") is not None, reason_asked(rollout)
    rows: list[tuple[str, RenderableType]] = [
        ("rollout", f"{rollout['id']}  ({journey})"),
        ("phase", phase_text(rollout.get("phase"))),
        ("steps", steps_text(rollout, now)),
        ("why", Text(rollout.get("reason") or "")),
        ("waiting for", Text(rollout.get("waiting_for") or "") if not ended else ""),
        ("to go on", Text("" if ended or not why else f"promote and resume take a reason:{why}")),
        ("took" if ended else "elapsed", elapsed_text(rollout, now)),
        ("verdict", verdict_text(verdict) if verdict and not rollout.get("arms") else ""),
    ]
    parts: list[RenderableType] = [pairs(rows)]
    if rollout.get("arms"):
        parts += [Text(), arms_table(rollout["arms"]), *comparison_lines(rollout.get("comparison"))]
    elif signals := verdict.get("signals"):
        parts.append(signals_table(signals))
    if metrics := verdict.get("metrics"):
        parts += [Text(), metrics_table(metrics)]
    if rollout.get("ranges") and not ended:
        parts += [Text(), ranges_table(rollout["ranges"])]
    return Group(*parts)


def arms_table(arms: Sequence[Mapping[str, Any]]) -> Table:
    """Return one line per arm of an A/B test: what the judge says of it beside stable, or why it is out."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("arm", no_wrap=True)
    table.add_column("weight", no_wrap=True, justify="right")
    table.add_column("beside stable", overflow="fold")
    for arm in arms:
        verdict = arm.get("verdict")
        if arm.get("out"):
            said = Text(f"out: {arm['out']}", style="red")
        else:
            said = verdict_text(verdict) if verdict else Text("-")
        table.add_row(Text(arm["name"], style="bold"), percent(arm["weight"]), said)
    return table


def comparison_lines(comparison: Mapping[str, Any] | None) -> list[Text]:
    """Return what is shown of the arms beside each other, and how far the rest is."""
    if not comparison:
        return []
    sure = percent(100 * (1 - comparison["alpha"]))
    lines = [Text(f"shown, all together with {sure} however often you look:", style="dim")]
    lines += [Text(f"  {statement}", style="green") for statement in comparison["statements"]]
    if not comparison["statements"]:
        near = next(iter(comparison["pairs"]), None)
        nearest = ""
        if near is not None and near["evidence"] > 0:
            way = percent(min(99.0, round(100 * near["evidence"])))
            nearest = f"; nearest: {near['better']} better than {near['worse']} on {near['signal']}, {way} of the way"
        lines.append(Text(f"  no arm is better than another yet{nearest}"))
    if comparison["best"]:
        lines.append(Text(f"  best: {comparison['best']}", style="bold green"))
    return lines


def verdict_text(verdict: Mapping[str, Any]) -> Text:
    style = {"pass": "green", "fail": "red"}.get(str(verdict.get("outcome")), "yellow")
    text = Text(str(verdict.get("outcome", "none yet")), style=style)
    if verdict.get("score") is not None:
        text.append(f" (score {verdict['score']})", style="dim")
    if verdict.get("reason"):
        text.append(f": {verdict['reason']}", style="default")
    return text


def deployments_table(statuses: Sequence[Mapping[str, Any]], now: datetime, *, boxed: bool) -> Table:
    """Return one line per deployment. During a rollout, stable and candidate stand side by side: "1 → 2"."""
    table = listing(boxed, "NAME", "PHASE", "REVISION", "TRAFFIC", "READY", "SINCE", "URL")
    for status in statuses:
        rollout = status.get("rollout") or {}
        arms = [arm["revision"] for arm in rollout.get("arms") or [] if not arm["out"] and not rollout.get("ended_at")]
        numbers = dict.fromkeys((status.get("stable"), status.get("candidate"), *arms))
        present = [str(number) for number in numbers if number is not None]
        asked, replicas = status.get("split_asked") or {}, status.get("replicas") or {}
        table.add_row(
            Text(status["name"], style="bold"),
            phase_text(status.get("phase")),
            " → ".join(present) or "-",
            " / ".join(percent(asked.get(number, 0)) for number in present) or "-",
            ", ".join(ready_text(replicas.get(number)) for number in present) or "-",
            ago(rollout.get("ended_at") or rollout.get("started_at"), now) or "-",
            status.get("url") or "-",
        )
    return table


def revisions_table(history: Mapping[str, Any], now: datetime, *, boxed: bool) -> Table:
    """Return one line per revision, oldest first."""
    table = listing(boxed, "REVISION", "MODEL", "P99", "BUNDLE", "CREATED")
    for revision in history.get("revisions") or []:
        table.add_row(
            str(revision["number"]),
            _or_dash(revision.get("artifact")),
            _or_dash((revision.get("request") or {}).get("servingRequirements", {}).get("latencyP99")),
            _or_dash((revision.get("digest") or "").removeprefix("sha256:")[:12]),
            ago(revision.get("created_at"), now),
        )
    return table


def rollouts_table(history: Mapping[str, Any], now: datetime, *, boxed: bool) -> Table:
    """Return one line per rollout, oldest first."""
    table = listing(boxed, "ROLLOUT", "REVISIONS", "PHASE", "STARTED", "TOOK", "WHY")
    for rollout in history.get("rollouts") or []:
        before = rollout.get("from_revision")
        table.add_row(
            str(rollout["id"]),
            f"{before if before is not None else '-'} → {rollout['to_revision']}",
            phase_text(rollout.get("phase")),
            ago(rollout.get("started_at"), now),
            elapsed_text(rollout, now),
            Text(rollout.get("reason") or "", overflow="fold"),
        )
    return table


def freezes_table(freezes: Sequence[Mapping[str, Any]], now: datetime, *, boxed: bool) -> Table:
    """Return one line per freeze, by its start."""
    table = listing(boxed, "FREEZE", "DEPLOYMENT", "STATE", "FROM", "TO", "BY", "WHY")
    for freeze in freezes:
        start, end = moment(freeze["starts_at"]), moment(freeze["ends_at"])
        state = Text("holds", style="yellow")
        if freeze["removed_at"] is not None:
            state = Text(f"removed by {freeze['removed_by']}", style="dim")
        elif end is not None and now >= end:
            state = Text("over", style="dim")
        elif start is not None and now < start:
            state = Text("to come")
        table.add_row(
            str(freeze["id"]),
            freeze["deployment"] or "every one",
            state,
            clock(freeze["starts_at"]),
            clock(freeze["ends_at"]),
            freeze["by"],
            Text(freeze["reason"], overflow="fold"),
        )
    return table


def outcomes_table(revisions: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return one line per revision: what came of the requests that it served."""
    table = listing(False, "REVISION", "SERVED", "GOOD", "BAD", "BAD SHARE", "OPEN", "MISSING", "LATE")
    for number, counts in in_order(revisions):
        told = counts["good"] + counts["bad"]
        role = f" ({counts['role']})" if counts["role"] else ""
        share = percent(100 * counts["bad"] / told) if told else "-"
        rest = (count(counts[name]) for name in ("open", "missing", "late"))
        table.add_row(
            f"{number}{role}", count(counts["served"]), count(counts["good"]), count(counts["bad"]), share, *rest
        )
    return table


def notifications_table(notifications: Sequence[Mapping[str, Any]], now: datetime, *, boxed: bool) -> Table:
    """Return one line per notification, newest last: what, to whom, and where it stands."""
    table = listing(boxed, "WHEN", "ROLLOUT", "MOMENT", "RECEIVER", "STATE", "ATTEMPTS", "LAST ANSWER", "NEXT")
    for one in notifications:
        attempts = one["attempts"]
        table.add_row(
            ago(one["created_at"], now),
            _or_dash(one["rollout"]),
            str(one["moment"]),
            Text(f"{one['receiver']} ({one['destination']})", overflow="fold"),
            Text(str(one["state"]).replace("_", " "), style=_DELIVERY_STYLES.get(one["state"], "")),
            str(len(attempts)),
            _answer(attempts[-1]) if attempts else "-",
            clock(one["next_at"]) if one["next_at"] is not None and attempts else "-",
        )
    return table


def tests_table(tests: Sequence[Mapping[str, Any]], *, boxed: bool) -> Table:
    """Return one line per receiver of a test."""
    table = listing(boxed, "RECEIVER", "STATE", "ANSWER", "TOOK")
    for one in tests:
        state = "delivered" if one["delivered"] else "failed"
        table.add_row(
            Text(f"{one['receiver']} ({one['destination']})", overflow="fold"),
            Text(state, style=_DELIVERY_STYLES[state]),
            _answer(one),
            f"{one['took_ms']} ms",
        )
    return table


_DELIVERY_STYLES = {"delivered": "green", "pending": "yellow", "given_up": "red", "failed": "red"}


def _answer(attempt: Mapping[str, Any]) -> str:
    if attempt["detail"]:
        return str(attempt["detail"])
    return f"answered {attempt['status']}" if attempt["status"] is not None else "taken"


def event_line(event: Mapping[str, Any]) -> str:
    """Return an event as one line of a log: when, what kind, what happened."""
    weight = (event.get("data") or {}).get("weight")
    share = f" [{weight:g} %]" if weight is not None else ""
    message = " ".join(str(event.get("message", "")).split())
    return f"{clock(event['at'])} {event.get('deployment', '')} {event.get('kind', '')}{share} {message}".rstrip()


def listing(boxed: bool, *headings: str) -> Table:
    """Return an empty table: ruled for a terminal, bare for a pipe."""
    table = Table(
        box=box.SIMPLE_HEAD if boxed else None,
        header_style="bold" if boxed else "",
        pad_edge=False,
        padding=(0, 2 if not boxed else 1),
    )
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _or_dash(value: Any) -> str:
    return "-" if value in (None, "") else str(value)
