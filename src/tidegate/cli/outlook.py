"""Forecasts as tables for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tidegate.cli.humanize import count, duration, percent


def forecast_view(told: Mapping[str, Any], *, boxed: bool) -> RenderableType:
    """Return the whole forecast: what was assumed, the steps, whole rollouts, what to change."""
    parts: list[RenderableType] = [*_assumed(told), _steps(told, boxed=boxed)]
    if told["rollouts"]:
        parts += [Text(), _rollouts(told, boxed=boxed)]
    if told["without_requests"]:
        words = ", ".join(_without_requests(step) for step in told["without_requests"])
        parts += [Text(), Text(f"No request reaches the candidate, and nothing is seen: {words}.", style="yellow")]
    if told["suggestions"]:
        parts += [Text(), Text("To see more:", style="bold")]
        parts += [Text(f"- {sentence[0].upper()}{sentence[1:]}.") for sentence in told["suggestions"]]
    return Group(*parts)


def _assumed(told: Mapping[str, Any]) -> Iterator[Text]:
    settings = told["settings"]
    rates = ", ".join(f"{signal} {_share(rate)}" for signal, rate in settings["baseline_rates"].items())
    yield Text.assemble(
        (told["name"], "bold"),
        f": {settings['traffic']}; stable's bad requests: {rates}; alpha {_share(settings['alpha'])}",
    )
    if told["strategy"] == "ab-test":
        yield Text("An A/B test has no end of its own: a person ends it, with the evidence. Harm is watched all along.")
        yield Text()
        return
    if told["waits_for_person"]:
        yield Text("It waits for a person. The times are those of one who resumes at once.")
    help_from = "once people have said so" if told["waits_for_person"] else "without anybody's help"
    promoted = f"{_share(told['promoted'])} of healthy candidates are promoted {help_from}"
    if told["promotion_seconds"] is not None:
        promoted += f", half of them within {duration(told['promotion_seconds'])}"
    yield Text(promoted + f"; {_share(told['waits'])} wait for a person, {_share(told['taken_back'])} are taken back.")
    yield Text()


def _steps(told: Mapping[str, Any], *, boxed: bool) -> Table:
    title = "Harm that begins with a step: median time until the judge fails it (users hit), share caught in the step"
    table = _table(title, boxed=boxed)
    for heading in ("STEP", "PASSED AFTER", "SIGNAL", "DETECTS FROM", *(f"{factor:g}×" for factor in _factors(told))):
        table.add_column(heading)
    for step in told["steps"]:
        first, passed = _stage(step), _passed(step)
        for signal in step["signals"]:
            smallest = signal["smallest_rate"]
            cells = [_regression(worse) for worse in signal["regressions"]]
            least = "-" if step["until"] == "person" else "nothing"
            table.add_row(first, passed, signal["signal"], least if smallest is None else _share(smallest), *cells)
            first = passed = ""
    return table


def _stage(step: Mapping[str, Any]) -> str:
    what = f"{100 * step['mirror']:g} % copied" if step["mirror"] else f"{100 * step['share']:g} %"
    if "arm" in step:
        return f"{step['arm']}: {what}"
    if step["until"] == "person":
        return f"{what} until a person says so"
    return f"{what} {'held' if step['until'] == 'time' else 'for'} {duration(step['seconds'])}"


def _passed(step: Mapping[str, Any]) -> str:
    if step["until"] == "person":
        return "waits for a person"
    if step["until"] == "time":
        return "its time"
    return duration(step["pass_seconds"]) if step["pass_seconds"] is not None else "not by itself"


def _without_requests(step: Mapping[str, Any]) -> str:
    return "until a person says so" if step["until"] == "person" else f"for {duration(step['seconds'])}"


def _regression(worse: Mapping[str, Any]) -> Text:
    if not worse["harmful"]:
        return Text("within the objective", style="dim")
    share, caught, style = worse["caught"], "", ""
    if share is not None:
        caught, style = f", {100 * share:.0f} %", "green" if share >= 0.8 else "yellow" if share >= 0.5 else "red"
    if worse["between"] is not None:
        sooner, later = worse["between"]
        until = duration(later) if later is not None else "over 7 d"
        return Text(f"{duration(sooner)} to {until}{caught}", style=style)
    if worse["seconds"] is None:
        return Text(f"not within 7 d{caught}", style=style)
    return Text(f"{duration(worse['seconds'])} ({count(worse['users_hit'])}){caught}", style=style)


def _rollouts(told: Mapping[str, Any], *, boxed: bool) -> Table:
    table = _table("A candidate that is worse from its first request on, through all steps", boxed=boxed)
    for heading in ("SIGNAL", "BAD", "TAKEN BACK", "AFTER", "WAITS", "PROMOTED", "USERS HIT"):
        table.add_column(heading)
    for whole in told["rollouts"]:
        bad = f"{whole['factor']:g}×, {_share(whole['rate'])}"
        table.add_row(
            whole["signal"],
            bad if whole["harmful"] else f"{bad}, within the objective",
            _share(whole["taken_back"]),
            duration(whole["seconds"]) if whole["seconds"] is not None else "-",
            _share(whole["waits"]),
            _share(whole["promoted"]),
            f"{whole['users_hit']:.3g}",
        )
    return table


def _factors(told: Mapping[str, Any]) -> list[float]:
    return [worse["factor"] for worse in told["steps"][0]["signals"][0]["regressions"]]


def _share(ratio: float) -> str:
    value = 100 * ratio
    return percent(float(f"{value:.2g}") if value < 10 else round(value, 1))


def _table(title: str, *, boxed: bool) -> Table:
    return Table(
        title=title, title_justify="left", box=box.ROUNDED if boxed else None, pad_edge=False, title_style="bold"
    )


def replay_view(told: Mapping[str, Any], *, boxed: bool) -> RenderableType:
    """Return a replay: settings, verdicts over time, and what would have been different."""
    parts: list[RenderableType] = [
        Text.assemble(
            (f"rollout {told['rollout']} of {told['deployment']}", "bold"),
            f": revision {told['from_revision']} to {told['to_revision']}, {told['looks']} looks"
            + ("" if told["complete"] else ", up to the bound of its recording"),
        ),
        Text(_settings_text(told["settings"])),
        *_objective_used(told["latency"]),
        Text(_exactness(told)),
        Text(),
    ]
    table = _table("Verdicts over time", boxed=boxed)
    for heading in ("AT", "STEP", "RECORDED", "REPLAYED", "BECAUSE"):
        table.add_column(heading)
    for change in told["verdicts"]:
        differs = change["recorded"] != change["replayed"]
        replayed = Text(change["replayed"], style="yellow" if differs else "")
        step = str(change["step"] + 1)
        table.add_row(duration(change["at"]), step, change["recorded"] or "-", replayed, change["reason"])
    parts += [table, Text(), Text("What the settings change:", style="bold")]
    differences = told["differences"] or ["nothing: every step would have ended as it did"]
    parts += [Text(f"- {sentence[0].upper()}{sentence[1:]}.") for sentence in differences]
    return Group(*parts)


def _settings_text(settings: Mapping[str, Any]) -> str:
    was, now = settings["recorded"], settings["replayed"]
    words = [
        f"{name.replace('_', ' ')} {now[name]}" + (f" (was {was[name]})" if now[name] != was[name] else "")
        for name in now
    ]
    return ", ".join(words)


def _objective_used(latency: Mapping[str, Any]) -> Iterator[Text]:
    """Say at which duration slow requests were counted where it is not the one that was asked for."""
    asked, used = latency["asked_ms"], latency["used_ms"]
    if asked != used:
        bounds = ", ".join(f"{bound:g}" for bound in latency["bounds_ms"])
        yield Text(
            f"Judged at a p99 of {used:g} ms, the next recorded above {asked:g} ms (recorded: {bounds} ms).",
            style="yellow",
        )


def _exactness(told: Mapping[str, Any]) -> str:
    unlike = told["unlike_the_record"]
    if not unlike:
        return "With the recorded settings the replay gives every verdict of the record."
    return f"With the recorded settings {unlike} of {told['looks']} verdicts are not those of the record."
