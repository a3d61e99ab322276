"""The page of results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

GOAL_SECONDS = 2.0

_TITLES = {"require": "with hadolint", "off": "without it"}


def as_markdown(run: Mapping[str, Any]) -> str:
    machine, load = run["machine"], run["load_average"]
    about = (
        f"`make bench-scan`, {run['at']}: `tidegate scan` of {run['files']} Dockerfiles, from the start of the command "
        f"to its end, {run['runs']} times. {machine['cpus']} cores of {machine['cpu_model']}, Python "
        f"{machine['python']}; load average before {load['before']}, after {load['after']}."
    )
    lines = [
        "# A scan of Dockerfiles",
        "",
        about,
        "",
        "| | median, s | from | to | of a processor, s |",
        "|---|---|---|---|---|",
    ]
    for how, found in run["hadolint"].items():
        numbers = " | ".join(f"{found[name]:.2f}" for name in ("least", "most", "processor"))
        lines.append(f"| {_TITLES[how]} | **{found['median']:.2f}** | {numbers} |")
    met = "met" if run["hadolint"]["require"]["median"] < GOAL_SECONDS else "**missed**"
    return "\n".join([*lines, "", f"The goal, under {GOAL_SECONDS:g} s with hadolint, is {met}."]) + "\n"
