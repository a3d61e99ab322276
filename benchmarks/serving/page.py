"""The page `benchmarks/results/serving.md`, from what `serving.json` says and from nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.serving.forms import FORMS

Run = dict[str, Any]

_STAGES = {
    "equal": "equal load",
    "half": "half of its own capacity",
}


def as_markdown(runs: Sequence[Run]) -> str:
    """Return the page: the last run in full, the earlier ones as a line each."""
    run = runs[-1]
    parts = [
        "# Tidegate's server and its peers",
        _made(run),
        "## Goals",
        _goals(run),
        *(_model(run, model) for model in run["models"]),
        "## Start-up and memory",
        _starts(run),
        *_failures(run),
        *_profiles(run),
        "## How it was measured",
        _method(run),
        "## Settings",
        _settings(run),
        "## Runs",
        _history(runs),
    ]
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *(f"| {' | '.join(cells)} |" for cells in rows)])


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _made(run: Run) -> str:
    kind, load = run["machine"], run["load_average"]
    quick = " **A quick run: too short for figures to quote.**" if run["quick"] else ""
    return (
        f"`{run['command']}`, {run['at']}, {run['seconds']:,.0f} s, revision {run['revision']}.{quick}\n"
        f"{kind['cpus']} cores of {kind['cpu_model']}, {kind['memory_gib']} GiB, {kind['system']}, Python "
        f"{kind['python']}; the server on core {_cores(run, 'server')}, the load generator on core "
        f"{_cores(run, 'client')}. Load average (1, 5, 15 min) before {load['before']}, after {load['after']}."
    )


def _cores(run: Run, side: str) -> str:
    return ", ".join(str(core) for core in run["cores"][side])


def _goals(run: Run) -> str:
    said = {True: "met", False: "**missed**", None: "not measured"}
    return _table(
        ("model", "goal", "found", ""),
        ((goal["model"], goal["wanted"], goal["found"], said[goal["met"]]) for goal in run["goals"]),
    )


def _model(run: Run, model: str) -> str:
    mine = [row for row in run["table"] if row["model"] == model]
    parts = [f"## {run['models'][model]}", "Most requests per second (closed loop; lowest to highest in brackets):"]
    rows = []
    for server in run["servers"]:
        most = {row["rows"]: row for row in mine if row["server"] == server and row["stage"] == "most"}
        if most:
            cells = [f"{_rate(row['requests_per_second'])} ({_span(row)})" for row in most.values()]
            rows.append((run["servers"][server]["title"], *cells))
    parts.append(_table(("server", "1 row", "100 rows"), rows))
    for stage, title in _STAGES.items():
        sizes = sorted({row["rows"] for row in mine if row["stage"] == stage})
        parts += [_latencies(run, mine, stage, size, title) for size in sizes]
    parts += [_large(run, mine, model)]
    return "\n\n".join(parts)


def _span(row: dict[str, Any]) -> str:
    return " to ".join(_rate(value) for value in row["spread"])


def _latencies(run: Run, mine: list[dict[str, Any]], stage: str, size: int, title: str) -> str:
    picked = [row for row in mine if row["stage"] == stage and row["rows"] == size]
    offered = f", {_rate(picked[0]['offered_per_second'])} requests/s" if stage == "equal" else ""
    rows = [
        (
            run["servers"][row["server"]]["title"],
            _rate(row["offered_per_second"]),
            *(_ms(row[name]) for name in ("p50_ms", "p99_ms", "p999_ms")),
            f"{row['sent']:,}",
            str(row["failed"]),
        )
        for row in picked
    ]
    head = ("server", "requests/s", "p50 ms", "p99 ms", "p99.9 ms", "requests", "failed")
    return f"{size} row{'s' * (size > 1)} per request, {title}{offered}:\n\n{_table(head, rows)}"


def _large(run: Run, mine: list[dict[str, Any]], model: str) -> str:
    own = run["own_times"].get(model)
    picked = [row for row in mine if row["stage"] == "one-by-one"]
    rows = [
        (
            run["servers"][row["server"]]["title"],
            row["form"],
            _ms(row["p50_ms"]),
            "–" if own is None or row["p50_ms"] is None else f"{row['p50_ms'] / own['median_ms']:.2f}",
            str(row["sent"]),
        )
        for row in sorted(picked, key=lambda row: row["p50_ms"] or 0.0)
    ]
    head = ("server", "form", "p50 ms", "times the model's own", "requests")
    said = (
        ""
        if own is None
        else f" The model alone, in a bare process with Tidegate's runtime: {own['median_ms']:.1f} ms."
    )
    return f"10,000 rows per request, one after the other.{said}\n\n{_table(head, rows)}"


def _starts(run: Run) -> str:
    rows = [
        (
            run["servers"][row["server"]]["title"],
            row["model"],
            "–" if row["startup_seconds"] is None else f"{row['startup_seconds']:.1f}",
            "–" if row["memory_idle_mib"] is None else f"{row['memory_idle_mib']:.0f}",
            "–" if row["memory_mib"] is None else f"{row['memory_mib']:.0f}",
        )
        for row in run["starts"]
    ]
    head = ("server", "model", "first right answer after s", "MiB when idle", "MiB after the load")
    return _table(head, rows)


def _failures(run: Run) -> list[str]:
    lines = [
        f"- {run['servers'][row['server']]['title']}, {row['model']}: {_plain(failure)}"
        for row in run["starts"]
        for failure in row["failures"]
    ]
    return ["## What failed", "\n".join(lines)] if lines else []


def _plain(text: str) -> str:
    return " ".join(text.replace("|", "/").replace("<", "‹").replace("`", "'").split())[:600]


def _profiles(run: Run) -> list[str]:
    if not run["profiles"]:
        return []
    said = (
        "Samples of Tidegate's process under load, by py-spy, where a goal was missed; those in which a thread waited "
        "are left out. `pthread_cond_signal` hands the interpreter to another thread."
    )
    parts = ["## What is in the way", said]
    for profile in run["profiles"]:
        title = f"### {profile['model']}, {profile['rows']:,} rows, {profile['form']}"
        if "reason" in profile:
            parts += [title, f"No profile: {_plain(profile['reason'])}"]
            continue
        own = [(_plain(name), f"{share:.1f}") for name, share in profile["own"].items()]
        highest = max(profile["below"].values(), default=0.0)
        # What is in (nearly) every sample is the frame around everything else.
        inner = [(name, share) for name, share in profile["below"].items() if share < 0.9 * highest]
        below = [(_plain(name), f"{share:.1f}") for name, share in inner[: len(own)]]
        pairs = zip(own, below + [("", "")] * (len(own) - len(below)), strict=True)
        head = ("innermost function", "% of samples", "function and what it calls", "% of samples")
        parts += [title, _table(head, ((*left, *right) for left, right in pairs))]
    return parts


def _method(run: Run) -> str:
    forms = "\n".join(f"- `{form.name}`: {form.description}." for form in FORMS.values())
    return (
        "Every server runs alone, as one process where it can (LitServe has an API process and a worker, BentoML a "
        "supervisor and a worker, Ray the processes of its node), kept to one core; the load generator has another. "
        f"{run['lengths']['rounds']} round(s): in each, every server is started anew with every model. Figures are "
        "medians over rounds and repetitions; a quantile for which one round has too few requests is that of all "
        "rounds' requests together, and – where even those are too few.\n\n"
        "Closed loop: 16 connections, each sends its next request when it has its answer. Open loop: Poisson arrivals "
        "fixed beforehand, the same for all; a latency runs from when the request should have been sent, so waiting "
        "for a server that stalls counts. "
        f"The generator itself sent a request at most {_latest(run):.2f} ms late (p99 of its worst stage). "
        "Answers are checked: status 200, and a sample of them equal to the framework's own prediction within 1e-6. "
        "Start-up ends with the first right answer. Memory is the proportional set size of all of a server's "
        "processes.\n\n"
        "Compared is like with like: servers that speak the Open Inference Protocol with Tidegate over that protocol, "
        f"the others, each with the JSON that its documentation shows, with Tidegate's `/predict`. Forms:\n\n{forms}"
    )


def _latest(run: Run) -> float:
    return max((row["generator_late_p99_ms"] for row in run["table"]), default=0.0)


def _settings(run: Run) -> str:
    rows = [
        (
            known["title"],
            ", ".join(f"{name} {version}" for name, version in known["versions"].items()),
            known["form"],
            known["settings"],
            ", ".join(known["sources"]),
        )
        for known in run["servers"].values()
    ]
    return _table(("server", "versions", "form", "settings", "after"), rows)


def _history(runs: Sequence[Run]) -> str:
    rows = []
    for run in reversed(runs):
        met = sum(goal["met"] is True for goal in run["goals"])
        judged = sum(goal["met"] is not None for goal in run["goals"])
        best = [
            f"{row['model']} {_rate(row['requests_per_second'])}"
            for row in run["table"]
            if row["server"] == "tidegate-json" and row["stage"] == "most" and row["rows"] == 1
        ]
        rows.append((run["at"], run["revision"], f"`{run['command']}`", f"{met} of {judged}", ", ".join(best)))
    return _table(("when", "revision", "command", "goals met", "Tidegate's /predict, single rows/s"), rows)
