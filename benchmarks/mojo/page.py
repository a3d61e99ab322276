"""The page of results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.mojo.goals import MANY_COLUMNS, in_turns

TITLES = {
    "gbm-small": "GBM, 50 trees of depth 5",
    "gbm": "GBM, 300 trees of depth 6, 1,500 levels",
    "gbm-4": "GBM, 4 classes, 400 trees of depth 5",
    "drf": "DRF, 100 trees of depth 20",
    "xgboost": "XGBoost, 300 trees of depth 6",
    "glm": "GLM, 2,000 coefficients",
    "dl": "deep learning, 1,900-128-64-2",
    "ensemble": "stacked ensemble: GBM, DRF, GLM",
}

#: Who is started; see `measure.started`.
STARTS = ("java", "ours", "library")

_HOW = """Both sides run on this machine in processes of their own, with the model loaded and warm: H2O's genmodel in a
JVM after some seconds of the same calls, Tidegate with its kernels compiled. They are timed in turn, piece by piece.
Times are CPU time of the thread that calls, so the JVM's own threads cost it nothing here; ratios are medians of Java's
time to Tidegate's, pair by pair. Each call has another of 10,000 rows. The sums of all predictions are compared first.
"""

_ROW = """\
Microseconds of a row: the whole of a dict, its reading alone by the same compiled code, a call from Python that does
nothing with what the scorer of a row is handed, and what a row takes among 10,000 numeric ones, where the work for
several rows overlaps. Then how many nodes of its trees a row goes through, what one step takes in memory of the model's
size when each waits for the one before, and what all take where 16 such chains overlap, which is about what a processor
can ask its memory for at a time. Steps near the roots find their nodes in the caches, so that a row may take less.

Where a goal is missed these are the floors, and the table of goals names the one that is in the way. A dict takes at
least its reading, which Java does, too, and what a row takes among others, or its steps where 16 chains overlap. Half
of EasyPredict's time is out of reach where these come to more. The numeric row of the GLM is a sum of 300 products,
each of which waits for the one before on both sides, since the sum is to be Java's to the bit; Java's code is called by
compiled code, and ours from Python, which the empty call shows.
"""

_TWO = """\
How many times as many rows two threads score as one; two processes as one, each by itself with a model of its own,
which is what this machine has to give; and how many times faster two threads add up the numbers that a model must read
at least once (where these are more than the caches hold).
"""


def as_markdown(run: Mapping[str, Any]) -> str:
    machine, models = run["machine"], run["models"]
    about = (
        f"`{run['command']}`, {run['at']}, {run['seconds']:,.0f} s, revision {run['revision']}, "
        f"{run['rounds']} rounds in each of three pairs of processes.\n"
        f"{machine['cpus']} cores of {machine['cpu_model']}, {machine['memory_gib']} GiB, {machine['system']}, Python "
        f"{machine['python']}; {run['java']}; H2O {run['h2o']}; numba {run['numba']}. "
        f"Load average (1, 5, 15 min) before "
        f"{run['load_average']['before']}, after {run['load_average']['after']}."
    )
    lines = ["# H2O's models without a JVM, and with one", "", about, "", _HOW, "## Goals", ""]
    lines += ["| goal | found | | floor |", "|---|---|---|---|"]
    for goal in run["goals"]:
        missed = f"**missed**: {', '.join(goal['missed'])}" if goal["missed"] else "met"
        lines.append(f"| {goal['wanted']} | {goal['found']} | {missed} | {'; '.join(goal['floors'])} |")
    lines += ["", "## Times", "", "Microseconds per row: Java / Tidegate = ratio.", ""]
    lines += ["| model | a numeric row, `score0` | a dict, EasyPredict | of 10,000 rows | of 10,000, as columns |"]
    lines += ["|---|---|---|---|---|"]
    for name, found in models.items():
        cells = [_ratio(found[what], 1e6) for what in ("row", "dict", "batch", "columns")]
        lines.append(f"| {TITLES[name]} | {' | '.join(cells)} |")
    lines += [
        "",
        "Two threads, loading and memory. Java's memory is what the model keeps of the heap; Tidegate's, by how ",
    ]
    lines[-1] += "much a process grows that loads it once more. Start: from a process's start to its first prediction; "
    lines[-1] += "Tidegate's with machine code that numba keeps / with the library of all kernels, as in images."
    lines += [
        "",
        "| model | 2 threads | load again, ms | model, MB | start, s (CPU s) | process, MB |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in models.items():
        size, start = found["bytes"], found["start"]
        lines.append(
            f"| {TITLES[name]} | {found['threads']['ratio']:.2f} | {_ratio(found['load'], 1e3)} | "
            f"{size['java'] / 1e6:.1f} / {size['ours'] / 1e6:.1f} | "
            f"{' / '.join(_start(start[side]) for side in STARTS)} | "
            f"{' / '.join(format(start[side]['bytes'] / 1e6, '.0f') for side in STARTS)} |"
        )
    lines += _serving(run.get("serve"))
    lines += _contained(run.get("container"))
    lines += ["", *_floors(models)]
    return "\n".join(lines) + "\n"


def _serving(found: Mapping[str, float] | None) -> list[str]:
    if found is None:
        return []
    times = (
        f"{found['warm']:.1f} s with the machine code on disk, {found['cold']:.1f} s where it must be compiled first"
    )
    return ["", f"`tidegate serve` of the small GBM, from the start of the command to the first 200: {times}."]


def _contained(found: Mapping[str, float] | None) -> list[str]:
    if found is None:
        return []
    times = f"**{found['seconds']:.2f} s**, of which Docker takes {found['empty']:.2f} s for one that runs nothing"
    what = "A container of an image that `tidegate pack` made of it, from the start of `docker run` to the first 200"
    return ["", f"{what}: {times}."]


def _floors(models: Mapping[str, Any]) -> list[str]:
    lines = ["## What the time goes to", "", _ROW]
    lines += ["| model | dict | reading | empty call | among 10,000 | steps | a step, ns | all, 16 at a time, µs |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for name, found in models.items():
        own, steps = found["own"], found["steps"]
        step = own["walk"] / 1000
        walk = f"{steps:,.0f} | {step * 1e9:.1f} | {_number(in_turns(found) * 1e6)}" if steps else "– | – | –"
        lines.append(
            f"| {TITLES[name]} | {_number(own['dict'] * 1e6)} | {_number(own['read'] * 1e6)} | "
            f"{_number(own['call'] * 1e6)} | {_number(found['batch']['ours'] * 1e6)} | {walk} |"
        )
    lines += ["", _TWO]
    lines += ["| model | two threads | two processes | numbers added up, ms (MB) | in two threads |"]
    lines += ["|---|---|---|---|---|"]
    for name, found in models.items():
        touch = f"{found['own']['touch'] * 1e3:.1f} ({found['features'] * 0.08:.1f})"
        lines.append(
            f"| {TITLES[name]} | {found['threads']['ratio']:.2f} | {found['processes']:.2f} | {touch} | "
            f"{_twice(found)} |"
        )
    return lines


def _twice(found: Mapping[str, Any]) -> str:
    """Return how many times faster two threads add the numbers up; less than some megabytes lie in the caches."""
    return f"{found['bandwidth']:.2f}" if found["features"] >= MANY_COLUMNS else "–"


def _start(found: Mapping[str, float]) -> str:
    return f"{found['seconds']:.2f} ({found['cpu']:.2f})"


def _ratio(found: Mapping[str, float], scale: float) -> str:
    return f"{_number(found['java'] * scale)} / {_number(found['ours'] * scale)} = **{found['ratio']:.1f}**"


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"
