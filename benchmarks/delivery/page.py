"""The page for people about what was measured. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.delivery.cases import CASES
from benchmarks.delivery.interval import median_interval

#: What is promised: of the p99 with copies against without, and from a decision to 0 %.
MOST_RATIO, MOST_MS = 1.05, 50.0


def page(result: dict[str, Any]) -> str:
    """Return the page, with a section for each part that was measured."""
    lines = ["# Delivery", "", "`python -m benchmarks.delivery`"]
    for part, section in _SECTIONS.items():
        if part in result:
            found = result[part]
            load = "/".join(f"{value:g}" for value in found["load_before"])
            quick = ", short windows: only to see that it runs" if found["quick"] else ""
            machine = found["machine"]
            on = f"{machine['cpus']} cores ({machine['cpu_model']}), load before {load}{quick}"
            lines += ["", *section(found["measured"]), "", f"Measured {found['at']} on {on}."]
    return "\n".join(lines) + "\n"


def fault_table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the table of the faults: medians over the runs of each, and the worst."""
    lines = [
        "| Fault | Taken back | Onset to 0 %, median (worst) | Decision to 0 %, worst | Bad answers, median (worst) |",
        "|---|---|---|---|---|",
    ]
    for fault in dict.fromkeys(row["fault"] for row in rows):
        runs = [row for row in rows if row["fault"] == fault]
        back = [row for row in runs if row["outcome"] == "rolled_back"]
        bad = [row["bad_answers"] for row in runs]
        whom = ", all of them copies that no user saw" if not any(row["bad_answers_to_users"] for row in runs) else ""
        zero = [row["onset_to_zero_seconds"] for row in back if row["onset_to_zero_seconds"] is not None]
        moved = [row["decision_to_zero_ms"] for row in back if row["decision_to_zero_ms"] is not None]
        told = f"{statistics.median(zero):.1f} s ({max(zero):.1f} s) | {max(moved):.0f} ms" if zero else "- | -"
        lines.append(
            f"| {fault} | {len(back)} of {len(runs)} | {told} | {statistics.median(bad):g} ({max(bad)}){whom} |"
        )
    return lines


def _splits(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield from ("## The split, as the replicas count", "")
    yield from (
        "| Strategy | Asked | Requests | Of the candidate | Observed | Off by | Allowed |",
        "|---|---|---|---|---|---|---|",
    )
    for row in rows:
        yield (
            f"| {row['strategy']} | {row['asked_percent']:g} % | {row['requests']:,} | {row['of_the_candidate']:,} "
            f"| {row['observed_percent']:g} % | {row['off_by']:+g} | ±{row['allowed']:g} |"
        )
    off = [row["strategy"] for row in rows if not row["within"]]
    yield ""
    yield "All within four standard deviations of the binomial." if not off else f"Not within: {', '.join(off)}."


def _shadow(found: dict[str, Any]) -> Iterator[str]:
    yield from ("## A shadow of every request", "")
    ratios, copied = found["ratios"], found.get("copies_without")
    none = "" if copied is None else f" Copies in the windows without: {copied}."
    if "busy_percent_with" in found:
        none += (
            f" Of the machine's processors {found['busy_percent_without']:g} % were in use without and "
            f"{found['busy_percent_with']:g} % with copies: both models share them, with the gateway and the users."
        )
    same = (
        "the same processes in the same rollout" if "median_p99_ms_alone" in found else "the same processes of stable"
    )
    yield (
        f"p99 of users' answers at {found['rate']:g} requests/s: {found['median_p99_ms_without']:.2f} ms without, "
        f"{found['median_p99_ms_with']:.2f} ms with a copy of each (medians of {len(ratios)} windows of "
        f"{found['window_seconds']:g} s each, in turn, with {same}). Median of the ratios of the pairs: "
        f"**{found['median_ratio']:.3f}**, {resolved(ratios)}; single ones from {min(ratios):.3f} to {max(ratios):.3f}."
        f"{none} Failed: {found['failed']}."
    )
    if "median_p99_ms_alone" in found:
        yield ""
        yield (
            f"While no rollout is under way it is {found['median_p99_ms_alone']:.2f} ms: on so few processors the tail "
            "tells that the controller looks after a rollout, whatever its strategy."
        )


def resolved(ratios: Sequence[float]) -> str:
    """Return what the ratios say of their median: it is within 5 % where all of its interval is."""
    interval = median_interval(ratios)
    if interval is None:
        return "too few pairs to say how sure that is"
    low, high = interval
    kept = "within 5 %" if high <= MOST_RATIO else "not shown to be within 5 %"
    return f"95 % interval by order statistics {low:.3f} to {high:.3f}: {kept}"


def _switch(found: dict[str, Any]) -> Iterator[str]:
    yield from ("## A blue-green switch and the way back", "")
    yield (
        f"{found['times']} switches and {found['times']} ways back at {found['rate']:g} requests/s: "
        f"{found['requests']:,} requests, {found['answered_by_candidates']:,} of them answered by candidates, "
        f"**{found['failed']} failed**. "
        f"The way back took {max(found['way_back_ms']):.0f} ms at most."
    )


def _faults(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield from ("## A candidate that turns bad in the middle of a step", "")
    yield "At 5 % of 200 requests/s; from the onset on a quarter of the candidate's answers is spoiled."
    yield ""
    yield from fault_table(rows)
    yield from ("", "Which setting each is found by:", "")
    tried = {row["fault"] for row in rows}
    yield from (f"- {case.name}: {case.setting}" for case in CASES if case.name in tried)
    moved = [row["decision_to_zero_ms"] for row in rows if row["decision_to_zero_ms"] is not None]
    if moved:
        kept = "under" if max(moved) < MOST_MS else "not under"
        yield from ("", f"From every decision to 0 %: {kept} {MOST_MS:g} ms.")


_SECTIONS = {"splits": _splits, "shadow": _shadow, "switch": _switch, "faults": _faults}
