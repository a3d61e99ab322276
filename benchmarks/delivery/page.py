"""The page for people about what was measured. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.delivery.cases import CASES

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
    yield from ("## What users notice of a shadow", "")
    yield (
        f"At {found['rate']:g} requests/s, in windows of {found['window_seconds']:g} s without copies and with them, "
        "in turn, with the same processes in the same rollout. All of it shares the machine: stable, candidate, "
        "controller, gateway and users."
    )
    yield ""
    yield "| Copied | Pairs of windows | p50, p95, p99 without, ms | With, ms | p99, ratio | 95 % interval | Busy |"
    yield "|---|---|---|---|---|---|---|"
    for row in found["shares"]:
        without, with_copies = (", ".join(f"{ms:.2f}" for ms in row[f"ms_{name}"]) for name in ("without", "with"))
        low, high = row["interval"]
        yield (
            f"| {row['share']:g} % | {row['pairs']} | {without} | {with_copies} | **{row['ratio']:.3f}** "
            f"| {low:.3f} to {high:.3f} | {row['busy_percent_without']:g} %, {row['busy_percent_with']:g} % |"
        )
    yield ""
    yield from (f"- {row['share']:g} % copied: {kept(row)}." for row in found["shares"])
    yield (
        f"- Of the {sum(row['requests_with'] for row in found['shares']):,} requests in windows with copies "
        f"{sum(row['copies_with'] for row in found['shares']):,} were copied, in those without "
        f"{sum(row['copies_without'] for row in found['shares']):,}. Failed: {found['failed']}."
    )
    yield f"- While no rollout is under way the p99 is {found['p99_ms_alone']:.2f} ms."


def kept(row: Mapping[str, Any]) -> str:
    """Return whether the p99 is within 5 % of that without copies, and how sure that is."""
    high = row["interval"][1]
    if row["ratio"] > MOST_RATIO:
        return "the p99 is not within 5 % of that without"
    if high > MOST_RATIO:
        return f"the p99 is within 5 % of that without, as measured; the interval allows {100 * (high - 1):.0f} %"
    return "the p99 is within 5 % of that without, by all of the interval"


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
