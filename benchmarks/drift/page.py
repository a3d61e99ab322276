"""The page of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.drift.alarms import RULES, interval
from benchmarks.drift.goals import ratio

TITLES = {
    "tidegate": "Tidegate: PSI and KS, and with them Jensen–Shannon, Wasserstein and χ²",
    "numpy": "NumPy alone: PSI and KS by the same definitions",
    "evidently": "Evidently: a report with PSI and KS of each column",
    "evidently-tests": "Evidently's two tests by themselves, without the report",
}

_HOW = """Each contender runs in a process of its own, one after the other, with the data in memory in the form that it
takes before the clock starts, and after a first call with few rows. A reference is made and compared with within the
time. What counts is CPU time: no contender uses more than one thread, and by the clock each takes longer the more else
the machine does, which the load averages tell. Memory is the largest that the process had, and what the data took.
Who is not in a table was not asked. Evidently copies the whole table for each of its figures, so that its time for a
feature grows with the number of features. Nearly all of Tidegate's time goes into sorting.
"""

_AGREE = """\
KS: Evidently tells a probability, not the distance. SciPy's formula makes one of ours, for the numbers that are there.
PSI: Evidently gives each number a bin where the reference has at most 20 different ones, as Tidegate does; it drops
what is missing. With nothing missing the values are to be equal there. Where there are more, its bins are of equal
width over reference and current data together, so the same reference has other bins for every current data, and an
outlier empties most of them; Tidegate's hold a tenth of the reference each, so that counts add up over replicas and
days, and one more holds what is missing. Those values differ by definition. Tidegate's formula, given Evidently's bins,
is to give Evidently's value, but where a bin is empty on one side: that counts as half a row here, and there as a share
of 0.0001 or, where a bin has less than that, a millionth of the smallest.
"""

_ALARMS = """\
Windows of rows like those of the reference, drawn at random from the same: each alarm is a false one. Each has a
reference of its own. "As it comes" asks for a PSI of 0.1 and for a chance of at most 1 % over all
columns. "Chance alone" asks for no PSI, so it shows whether the chance is what it says. Rates have exact 95 % intervals
(Clopper–Pearson). A goal is missed where the whole interval lies above the stated rate.
"""


def as_markdown(run: Mapping[str, Any]) -> str:
    """Return the page; a part that was not measured is not in it."""
    lines = ["# Drift of large tables", "", "## Goals", "", "| goal | found | |", "|---|---|---|"]
    for goal in run["goals"]:
        met = f"**missed**: {goal['missed']}" if goal["missed"] else "met"
        lines.append(f"| {goal['wanted']} | {goal['found']} | {met} |")
    if "speed" in run:
        sizes = run["speed"]
        lines += ["", "## Time and memory", "", _HOW]
        for rows, size in sizes.items():
            lines += _times(rows, size)
        lines += ["## Equal values", "", _AGREE, *_agreement(sizes)]
    if "alarms" in run:
        alarms = run["alarms"]
        lines += ["", "## False alarms", "", _about(alarms), "", _ALARMS]
        lines += _rates(alarms["data"])
    if "months" in run:
        months = run["months"]
        lines += ["", "## The flights of 2013 against January", "", _about(months), "", *months_table(months)]
    return "\n".join(lines) + "\n"


def _about(part: Mapping[str, Any]) -> str:
    about = part["about"]
    machine, load = about["machine"], about["load_average"]
    return (
        f"`{about['command']}`, {about['at']}, {about['seconds']:,.0f} s, revision {about['revision']}.\n"
        f"{machine['cpus']} cores of {machine['cpu_model']}, {machine['memory_gib']} GiB, {machine['system']}, Python "
        f"{machine['python']}, NumPy {about['numpy']}.\n"
        f"Load average (1, 5, 15 min) before {load['before']}, after {load['after']}, to which this adds 1."
    )


def _times(rows: str, size: Mapping[str, Any]) -> list[str]:
    contenders = size["contenders"]
    versions = ", ".join(f"{name} {number}" for name, number in size["versions"].items())
    lines = [f"### {rows} features, reference and current data alike", ""]
    lines += [_about(size), f"Evidently's environment: {versions}.", ""]
    lines += [
        "| | CPU seconds | of Tidegate's | seconds by the clock | memory, GiB | of it data | rounds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in contenders.items():
        if "failed" in found:
            lines.append(f"| {TITLES[name]} | {found['failed']} | | | | | |")
            continue
        times = ratio(contenders, name)
        lines.append(
            f"| {TITLES[name]} | {found['cpu']:.2f} | {'' if times is None else f'{times:.1f}×'} | "
            f"{found['seconds']:.2f} | {found['peak'] / 2**30:.2f} | {found['data'] / 2**30:.2f} | {found['rounds']} |"
        )
    return [*lines, ""]


def _agreement(sizes: Mapping[str, Any]) -> list[str]:
    lines = ["| rows × features | values | features | largest difference |", "|---|---|---|---|"]
    named = (
        ("ks", "KS, as Evidently's probability"),
        ("same", "PSI, Evidently's, a bin for each number"),
        ("formula", "PSI, Evidently's, our formula in its bins"),
        ("empty", "the same where a bin is empty on one side: by definition not equal"),
    )
    for rows, size in sizes.items():
        agree = size["agree"]
        for what, title in (("psi", "PSI, NumPy's"), ("ks", "KS, NumPy's")):
            if "numpy" in agree:
                lines.append(f"| {rows} | {title} | {size['features']} | {agree['numpy'][what]:.1e} |")
        for what, title in named:
            group = agree.get("evidently", {}).get(what)
            if group and group["features"]:
                lines.append(f"| {rows} | {title} | {len(group['features'])} | {group['difference']:.1e} |")
    return lines


def _rates(alarms: Mapping[str, Any]) -> list[str]:
    names = [name for name, _, _ in RULES]
    titles = ("data", "rows of a reference", "of a window", *names)
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    for data, found in alarms.items():
        for size, counts in found["counts"].items():
            cells = " | ".join(_rate(counts[name], found["windows"]) for name in names)
            of = f"{data.split(',')[0]}, {found['columns']} columns"
            lines.append(f"| {of} | {found['reference']:,} | {int(size):,} | {cells} |")
    return lines


def _rate(alarms: int, windows: int) -> str:
    low, high = interval(alarms, windows)
    return f"{alarms} of {windows:,}: {100 * alarms / windows:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def months_table(months: Mapping[str, Any]) -> list[str]:
    """Return the PSI of each column, month by month, what is drift in bold; the columns that drift most come first."""
    names = by_size(months)
    numbers = list(months["months"])
    lines = [f"| | {' | '.join(map(month_name, numbers))} |", f"|---{'|---:' * len(numbers)}|"]
    for name in names:
        cells = [_psi(months["months"][number]["columns"][name]) for number in numbers]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def by_size(months: Mapping[str, Any]) -> list[str]:
    """Return the columns, that with the largest PSI of any month first."""
    found: dict[str, float] = {}
    for month in months["months"].values():
        for name, column in month["columns"].items():
            found[name] = max(found.get(name, 0.0), column["psi"])
    return sorted(found, key=lambda name: -found[name])


def month_name(number: str) -> str:
    return _MONTHS[int(number) - 1]


def _psi(column: Mapping[str, Any]) -> str:
    told = f"{column['psi']:.2f}"
    return f"**{told}**" if column["state"] in _DRIFT else told


_MONTHS: Sequence[str] = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DRIFT = ("moderate", "large")
