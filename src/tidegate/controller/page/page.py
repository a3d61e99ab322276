"""The page: what happened and why, the plots, the steps and the events. Whatever it is given is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from html import escape
from typing import Any

from tidegate.controller import ranges
from tidegate.controller.arms import compared
from tidegate.controller.counted import in_words
from tidegate.controller.page import plots, shapes
from tidegate.drawing.sheet import document, figure, table

Report = Mapping[str, Any]

_TONES = {"promoted": "good", "rolled_back": "bad", "failed": "bad", "aborted": "wait", "paused": "wait"}
_TITLES = {"errors": "Errors", "latency": "Slow requests", "rejections": "Rejected requests"}
_PERCENT = round(100 * (1 - plots.INTERVAL_DELTA))


def html(report: Report) -> str:
    """Return the report of `controller.report.build` as a page."""
    title = f"Rollout {report['rollout']} of {report['deployment']}"
    return document(
        title,
        [
            *_head(report, title),
            *_plots(report),
            *_steps(report),
            *_arms(report),
            *_ranges(report),
            *_verdict(report),
            *_events(report),
            _footer(report),
        ],
    )


def _head(report: Report, title: str) -> Iterable[str]:
    phase = str(report["phase"])
    tone = _TONES.get(phase, "")
    outcome = (report["outcome"] or f"under way: {phase}").replace("_", " ")
    facts = [
        ("revisions", f"{report['from_revision'] or 'none'} → {report['to_revision']}"),
        ("decided by", report["decided_by"]),
        ("started", f"{_when(report['started_at'])} UTC"),
        ("ended", f"{_when(report['ended_at'])} UTC" if report["ended_at"] else "not yet"),
        ("took", _seconds(report["duration_seconds"])),
        ("artifact", report["artifact"]),
        ("bundle", f"{report['bundle'][:19]}…"),
        *(("warning", warning) for warning in report["warnings"]),
    ]
    back = report["rollback"]
    if back is not None and back["split_in_force_ms"] is not None:
        facts.insert(2, ("at 0 %", f"{back['split_in_force_ms']:.1f} ms after the decision"))
    yield f'<header><h1>{escape(title)} <span class="outcome {tone}">{escape(outcome)}</span></h1>'
    yield f'<p class="verdict {tone}">{escape(_sentence(report))}</p><dl>'
    yield from (f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts)
    yield "</dl></header>"


def _footer(report: Report) -> str:
    command = escape(f"tidegate report {report['rollout']} --format json")
    return f"<footer>Written by Tidegate. The same report for programs: <code>{command}</code></footer>"


def _plots(report: Report) -> Iterable[str]:
    figures = []
    if (split := plots.split_plot(report)) is not None:
        legend = [("asked rule", "asked"), ("candidate", "observed")]
        figures.append(figure("The candidate's share of the requests", legend, split, ""))
    roles = [("candidate", "candidate"), ("stable", "stable"), ("asked rule", "objective")]
    further = {name: name.capitalize() for name in plots.further_signals(report)}
    for signal, name in {**_TITLES, **further}.items():
        rates = plots.rates_plot(report, signal)
        if rates is not None and (signal != "rejections" or _any_rejected(report)):
            note = f"A row per step. Each interval holds at every look with {_PERCENT} %, for independent requests."
            figures.append(figure(name, roles, rates, note))
    for signal, shift in shapes.shifts_of(report):
        title = f"Where {signal} lie: {shift['feature']}"
        note = (
            f"In the last step that compared them. Distance {100 * shift['distance']:.3g} %, chance included; the true "
            f"one is at most {100 * shift['bound']:.3g} % at every look with 95 %."
        )
        figures.append(figure(title, roles[:2], shapes.shift_plot(shift), note))
    named = [(plots.style_of(report, signal), signal) for signal in plots.signal_names(report)]
    for kind, name, note in (
        ("harm", "Evidence against the candidate", "At 100 % the candidate is taken back."),
        ("safety", "Evidence for the candidate", "Begun anew with each step, which passes when all are at 100 %."),
    ):
        if (drawn := plots.evidence_plot(report, kind)) is not None:
            figures.append(figure(name, [*named, ("asked rule", "needed")], drawn, note))
    if figures:
        yield '<h2>Plots</h2><div class="plots">'
        yield from figures
        yield "</div>"


def _any_rejected(report: Report) -> bool:
    return any(
        counts["rejections"] for step in report["steps"] for counts in (step["by_role"] or {}).values() if counts
    )


def _steps(report: Report) -> Iterable[str]:
    if not report["steps"]:
        return
    headings = ("step", "asked", "observed", "in force after", "time", "candidate", "stable", "verdict")
    rows = []
    for step in report["steps"]:
        roles = step["by_role"] or {}
        observed = step["observed_percent"]
        took = step["split_in_force_ms"]
        rows.append(
            (
                str(step["step"] + 1),
                f"{step['weight']:g} %",
                f"{observed:.1f} %" if observed is not None else "–",
                f"{took:.1f} ms" if took is not None else "–",
                _seconds(step["seconds"]),
                in_words(roles.get("candidate")),
                in_words(roles.get("stable")),
                step["verdict"]["outcome"] if step["verdict"] else "–",
            )
        )
    yield "<h2>Steps</h2>"
    yield table(headings, rows, ("fixed",) * 5 + ("", "", "fixed"))


def _arms(report: Report) -> Iterable[str]:
    if not report["arms"]:
        return
    rows = []
    for arm in report["arms"]:
        said = arm["verdict"]
        beside = f"out: {arm['out']}" if arm["out"] else f"{said['outcome']}: {said['reason']}" if said else "–"
        counted = in_words((report["requests"] or {}).get(str(arm["revision"])))
        rows.append((arm["name"], str(arm["revision"]), f"{arm['weight']:g} %", counted, beside))
    yield "<h2>Arms</h2>"
    headings = ("arm", "revision", "weight", "counted", "beside stable")
    yield table(headings, rows, ("fixed", "fixed", "fixed", "", "words"))
    yield from (f"<p>{escape(sentence)}</p>" for sentence in compared(report["comparison"]))
    if report.get("promise"):
        yield f"<p>{escape(str(report['promise']))}</p>"


def _ranges(report: Report) -> Iterable[str]:
    if report["ranges"] is None:
        return
    yield "<h2>Normal ranges</h2>"
    headings = ("", "stable before", "stable meanwhile", "candidate")
    yield table(headings, ranges.rows(report["ranges"]), ("", "", "", ""))
    yield (
        "<p>In brackets: an interval of 95 % for failed and latency, the slowest and the fastest look for requests per "
        "second. They decide nothing; the judge does.</p>"
    )


def _verdict(report: Report) -> Iterable[str]:
    verdict = next((step["verdict"] for step in reversed(report["steps"]) if step["verdict"]), None)
    if verdict is None or report["arms"]:
        return
    yield f"<h2>Last verdict: {escape(str(verdict['outcome']))}</h2><ul>"
    said = (*verdict["signals"], *verdict.get("metrics", ()))
    yield from (f"<li>{escape(_whole(str(one['reason'])))}</li>" for one in said)
    yield f"</ul><p>{escape(str(report.get('promise', '')))}</p>"


def _events(report: Report) -> Iterable[str]:
    rows = [
        (_when(event["at"]), str(event["kind"]).replace("_", " "), _whole(str(event["message"])))
        for event in report["events"]
    ]
    yield "<h2>Events</h2>"
    yield table(("when (UTC)", "what", "why"), rows, ("fixed", "fixed", "words"), kind="stack")


_SENTENCES = {
    "promoted": "Revision {0} was promoted",
    "rolled_back": "Revision {0} was taken back",
    "aborted": "Revision {0} was taken back",
    "failed": "Revision {0} failed",
    "paused": "Revision {0} waits for a person",
}


def _sentence(report: Report) -> str:
    begin = _SENTENCES.get(str(report["phase"]), "Revision {0} is on trial").format(report["to_revision"])
    reason = _whole(str(report["reason"]).rstrip("."))
    return f"{begin}: {reason}." if reason else f"{begin}."


def _whole(text: str) -> str:
    """Keep a number and its percent sign on one line."""
    return text.replace(" %", "\u00a0%")


def _when(at: str) -> str:
    return datetime.fromisoformat(at).strftime("%Y-%m-%d %H:%M:%S")


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"
