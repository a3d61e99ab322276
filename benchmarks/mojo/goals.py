"""What the figures are to reach, where they do, and what keeps a model from it where it does not."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Model = Mapping[str, Any]
Models = Mapping[str, Model]

#: Fewer columns make fewer numbers than caches hold, so that adding them up in two threads tells nothing of memory.
MANY_COLUMNS = 100


@dataclass(frozen=True)
class Goal:
    """A goal: what was wanted and found, by how much it was met, the models that missed it, and the floor of each."""

    wanted: str
    found: str
    missed: tuple[str, ...]
    floors: tuple[str, ...] = ()


def judged(models: Models, container: Mapping[str, float] | None = None) -> list[Goal]:
    """Return each goal with what was found; that of a container only where one was started."""
    batches = {name: found["batch"]["ratio"] for name, found in models.items()}
    median = statistics.median(batches.values())
    starts = {name: found["start"]["ours"]["seconds"] for name, found in models.items()}
    return [
        _each("a numeric row: not slower than `score0`", models, "row", 1.0, _floor_of_row),
        _each("a dict: at most half of EasyPredict's time", models, "dict", 2.0, _floor_of_dict),
        _each("10,000 rows: at least twice Java's rate per thread, each model", models, "batch", 2.0, _no_floor),
        Goal(
            "10,000 rows: at least 4 times Java's rate at the median",
            f"{median:.1f} times",
            () if median >= 4.0 else ("median",),
        ),
        _each("two threads: at least 1.7 times one", models, "threads", 1.7, _floor_of_threads),
        Goal(
            "process start to first prediction: at most 1.5 s",
            f"{min(starts.values()):.2f} to {max(starts.values()):.2f} s",
            tuple(name for name, seconds in starts.items() if seconds > 1.5),
        ),
        *([] if container is None else [_of_container(container)]),
    ]


def _of_container(found: Mapping[str, float]) -> Goal:
    seconds, empty = found["seconds"], found["empty"]
    return Goal(
        "container start to first prediction: at most 1.5 s",
        f"{seconds:.2f} s",
        ("gbm-small",) if seconds > 1.5 else (),
        (f"gbm-small: a container that runs nothing takes {empty:.2f} s",) if seconds > 1.5 else (),
    )


def in_turns(found: Model) -> float:
    """Return the seconds that all steps of a row take where 16 chains of them overlap; 0 without trees."""
    return float(found["steps"] * found["own"]["walk16"] / 1600)


def _each(wanted: str, models: Models, what: str, least: float, floor: Callable[[Model, float], str]) -> Goal:
    ratios = {name: found[what]["ratio"] for name, found in models.items()}
    missed = {name: ratio for name, ratio in ratios.items() if ratio < least}
    return Goal(
        wanted,
        f"{min(ratios.values()):.2f} to {max(ratios.values()):.2f} times",
        tuple(f"{name} {ratio:.2f}" for name, ratio in missed.items()),
        tuple(f"{name}: {floor(models[name], least)}" for name in missed),
    )


def _floor_of_row(found: Model, least: float) -> str:
    call, row = found["own"]["call"], found["row"]
    return _reachable(row["java"], row["ours"], least, [(call, f"an empty call {_micro(call)}")])


def _floor_of_dict(found: Model, least: float) -> str:
    read, among, java = found["own"]["read"], found["batch"]["ours"], found["dict"]["java"]
    # The reading is a part of these dicts: the two were timed in turn.
    ours = found["own"]["dict"]
    reading = f"reading {_micro(read)}"
    floors = [(read + among, f"{reading} and {_micro(among)} among 10,000")]
    if found["steps"]:
        turns = in_turns(found)
        floors.append((read + turns, f"{reading} and {_micro(turns)} of steps, 16 at a time"))
    return _reachable(java, ours, least, floors)


def _floor_of_threads(found: Model, least: float) -> str:
    processes, bandwidth = found["processes"], found["bandwidth"]
    if processes < least:
        return f"two processes reach {processes:.2f}"
    if found["features"] >= MANY_COLUMNS and bandwidth < least:
        return f"adding up what a model must read reaches {bandwidth:.2f}"
    return f"none: two processes reach {processes:.2f}"


def _no_floor(_: Model, __: float) -> str:
    return "none"


def _reachable(java: float, ours: float, least: float, floors: list[tuple[float, str]]) -> str:
    """Return the first floor that leaves less than the goal, and what is within reach then; else that there is none.

    What takes longer than the whole does is no floor of it.
    """
    true_ones = [floor for floor in floors if floor[0] <= ours]
    for seconds, text in true_ones:
        if java < least * seconds:
            return f"{text} leave {java / seconds:.2f} times"
    if not true_ones:
        return f"none: {min(floors)[1]} are more than the whole, {_micro(ours)}"
    most, text = max(true_ones)
    return f"none: {text} would leave {java / most:.2f} times"


def _micro(seconds: float) -> str:
    return f"{seconds * 1e6:.2f} µs"
