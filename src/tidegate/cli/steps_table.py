"""The steps of a rollout as rows of a table: the same for a list of steps and for the plan of a dry run. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tidegate.cli.humanize import duration, percent

HEADINGS = ("STEP", "USERS ON THE CANDIDATE", "WHAT HAPPENS", "ENDS WELL WITH", "TAKES")

Kind = Literal["weight", "shadow", "pause", "bake", "preview", "switch", "exchange", "arms"]

_WAITS = "until you say so"


@dataclass(frozen=True)
class Told:
    """One step.

    Attributes:
        kind: what it is; `preview` and `switch` are steps of a blue-green, `exchange` of a rolling rollout.
        weight: percent of the users that the candidate has, from this step on.
        mirror: percent of the requests that are copied to it.
        takes: how long it takes, at most or exactly; None where it waits for a person.
        replicas: that the candidate has in it; None for all of them.
        of_replicas: all that it has in the end; None where nobody knows.
        stable_replicas: that stable keeps; None for all of them.
    """

    kind: Kind
    weight: float
    mirror: float = 0
    takes: str | None = None
    replicas: int | None = None
    of_replicas: int | None = None
    stable_replicas: int | None = None


def planned(plan: Mapping[str, Any]) -> list[Told]:
    """Return the steps of the plan of a dry run."""
    return [
        Told(
            step["kind"],
            step["weight"],
            step["mirror"],
            None if step["until"] == "person" else duration(step["duration_seconds"]),
            step["replicas"],
            plan["replicas"],
            step["stable_replicas"],
        )
        for step in plan["steps"]
    ]


def rows(steps: Sequence[Told]) -> Iterator[tuple[str, ...]]:
    """Return a row for each step, below `HEADINGS`."""
    for number, step in enumerate(steps, start=1):
        users = percent(step.weight) if step.weight else "none"
        yield (str(number), users, _happens(step), *_ends(step))


def lines(steps: Sequence[Told]) -> list[str]:
    """Return the table as lines of plain text, its columns below each other."""
    table = [HEADINGS, *rows(steps)]
    widths = [max(len(row[at]) for row in table) for at in range(len(HEADINGS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def _happens(step: Told) -> str:
    match step.kind:
        case "weight":
            return f"the judge compares it with stable{_few(step)}"
        case "shadow":
            return f"{percent(step.mirror)} of the requests are copied to it{_few(step)}"
        case "pause":
            return "everything stays as it is"
        case "bake":
            return "stable stays ready beside it"
        case "preview":
            return "it stands ready at its preview address"
        case "switch":
            return "it gets all requests, and stable stays ready beside it"
        case "exchange":
            kept = "none" if step.stable_replicas == 0 else step.stable_replicas
            return f"stable keeps {kept} of its replicas{_few(step)}"
        case "arms":
            return "each user stays with an arm, and the arms are compared"


def _few(step: Told) -> str:
    if step.replicas is None:
        return ""
    whole = "" if step.of_replicas is None else f"{step.of_replicas} "
    return f", on {step.replicas} of its {whole}replicas"


def _ends(step: Told) -> tuple[str, str]:
    """Return what ends a step well, and how long that takes."""
    if step.kind in ("weight", "shadow"):
        return "the judge's pass", f"at most {step.takes}"
    if step.kind == "arms":
        return "tidegate promote", _WAITS
    return ("tidegate resume", _WAITS) if step.takes is None else ("time without harm", step.takes)
