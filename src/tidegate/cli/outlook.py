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
    parts: list[RenderableType] = [*_assumed(told), _steps(told, boxed=boxed), Text(), _rollouts(told, boxed=boxed)]
    if told["left_out"]:
        words = "; ".join(", ".join(f"{key} {value}" for key, value in step.items()) for step in told["left_out"])
        parts += [Text(), Text(f"Not in these figures, and on top of the times: {words}.", style="yellow")]
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
    promoted = f"{_share(told['promoted'])} of healthy candidates are promoted without anybody's help"
    if told["promotion_seconds"] is not None:
        promoted += f", half of them within {duration(told['promotion_seconds'])}"
    yield Text(promoted + f"; {_share(told['waits'])} wait for a person, {_share(told['taken_back'])} are taken back.")
    yield Text()


def _steps(told: Mapping[str, Any], *, boxed: bool) -> Table:
    title = "Harm that begins with a step: median time until the judge fails it (bad answers), share caught in the step"
    table = _table(title, boxed=boxed)
    for heading in ("STEP", "PASSED AFTER", "SIGNAL", "DETECTS FROM", *(f"{factor:g}×" for factor in _factors(told))):
        table.add_column(heading)
    for step in told["steps"]:
        first = f"{100 * step['share']:g} % for {duration(step['seconds'])}"
        passed = duration(step["pass_seconds"]) if step["pass_seconds"] is not None else "not by itself"
        for signal in step["signals"]:
            smallest = signal["smallest_rate"]
            cells = [_regression(worse) for worse in signal["regressions"]]
            table.add_row(first, passed, signal["signal"], "nothing" if smallest is None else _share(smallest), *cells)
            first = passed = ""
    return table


def _regression(worse: Mapping[str, Any]) -> Text:
    if not worse["harmful"]:
        return Text("within the objective", style="dim")
    caught = f"{100 * worse['caught']:.0f} %"
    style = "green" if worse["caught"] >= 0.8 else "yellow" if worse["caught"] >= 0.5 else "red"
    if worse["seconds"] is None:
        return Text(f"not within 7 d, {caught}", style=style)
    return Text(f"{duration(worse['seconds'])} ({count(worse['bad_answers'])}), {caught}", style=style)


def _rollouts(told: Mapping[str, Any], *, boxed: bool) -> Table:
    table = _table("A candidate that is worse from its first request on, through all steps", boxed=boxed)
    for heading in ("SIGNAL", "BAD", "TAKEN BACK", "AFTER", "WAITS", "PROMOTED", "BAD ANSWERS"):
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
            f"{whole['bad_answers']:.3g}",
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


def _exactness(told: Mapping[str, Any]) -> str:
    unlike = told["unlike_the_record"]
    if not unlike:
        return "With the recorded settings the replay gives every verdict of the record."
    return f"With the recorded settings {unlike} of {told['looks']} verdicts are not those of the record."
