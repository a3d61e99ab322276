"""What the benchmark of MOJOs makes of its measurements."""

from __future__ import annotations

from typing import Any

from benchmarks.mojo.goals import judged
from benchmarks.mojo.measure import _medians
from benchmarks.mojo.page import as_markdown


def model(*, row: float = 1.5, single: float = 2.5, batch: float = 5.0, threads: float = 1.8) -> dict[str, Any]:
    def pair(ratio: float) -> dict[str, float]:
        return {"java": ratio * 1e-6, "ours": 1e-6, "ratio": ratio}

    start = {"seconds": 0.9, "cpu": 0.8, "bytes": 1e8}
    return {
        "row": pair(row),
        "dict": pair(single),
        "batch": pair(batch),
        "columns": pair(batch),
        "load": pair(1.0),
        "threads": {"one": 1.0, "two": 1.0 / threads, "ratio": threads},
        "own": {"read": 1e-6, "dict": 2e-6, "call": 1e-6, "touch": 1e-4, "walk": 25e-6, "walk16": 8e-6},
        "steps": 200.0,
        "processes": 1.9,
        "bandwidth": 1.8,
        "bytes": {"java": 10**6, "ours": 10**6},
        "start": {"java": start, "ours": start, "library": start},
        "features": 13,
    }


def missed(**models: dict[str, Any]) -> list[tuple[str, ...]]:
    return [goal.missed for goal in judged(models)]


def test_a_goal_names_the_models_that_miss_it_and_by_how_much() -> None:
    assert missed(a=model(), b=model()) == [()] * 6
    assert missed(a=model(), b=model(row=0.99))[0] == ("b 0.99",)
    assert missed(a=model(single=1.9), b=model())[1] == ("a 1.90",)
    assert missed(a=model(batch=1.64), b=model())[2] == ("a 1.64",)
    assert missed(a=model(threads=1.6), b=model())[4] == ("a 1.60",)


def test_the_median_of_batches_is_a_goal_of_its_own() -> None:
    assert missed(a=model(batch=2.0), b=model(batch=3.9), c=model(batch=50.0))[3] == ("median",)
    assert missed(a=model(batch=2.0), b=model(batch=4.0), c=model(batch=4.1))[3] == ()


def test_a_start_that_takes_too_long_is_named() -> None:
    slow = model()
    slow["start"]["ours"] = {**slow["start"]["ours"], "seconds": 1.51}
    assert missed(a=slow, b=model())[5] == ("a",)


def test_a_container_that_takes_too_long_is_named_and_what_docker_takes_of_it() -> None:
    assert [goal.missed for goal in judged({"a": model()}, {"seconds": 1.5, "empty": 0.4})][6] == ()
    (*_, slow) = judged({"a": model()}, {"seconds": 1.51, "empty": 0.4})
    assert (slow.missed, slow.floors) == (("gbm-small",), ("gbm-small: a container that runs nothing takes 0.40 s",))


def test_the_page_tells_what_was_missed() -> None:
    from dataclasses import asdict

    models = {"gbm": model(), "glm": model(single=1.2)}
    run = {
        "command": "c", "at": "t", "seconds": 1.0, "revision": "r", "rounds": 3, "java": "j", "h2o": "h", "numba": "n",
        "machine": {"cpus": 2, "cpu_model": "m", "memory_gib": 1, "system": "s", "python": "p"},
        "load_average": {"before": [0], "after": [0]},
        "goals": [asdict(goal) for goal in judged(models)],
        "models": models,
    }  # fmt: skip
    text = as_markdown(run)
    assert "first 200" not in text
    assert "first 200: 2.5 s with the machine code on disk, 31.0 s" in as_markdown(
        {**run, "serve": {"warm": 2.5, "cold": 31.0}}
    )
    assert "to the first 200: **1.10 s**, of which Docker takes 0.40 s for one that runs nothing." in as_markdown(
        {**run, "container": {"seconds": 1.1, "empty": 0.4}}
    )
    assert "**missed**: glm 1.20 | glm: reading 1.00 µs and 1.00 µs among 10,000 leave 0.60 times |" in text
    assert "| 200 | 25.0 | 1.00 |" in text
    assert "| GBM, 300 trees of depth 6, 1,500 levels | 1.50 / 1.00 = **1.5** | 2.50 / 1.00 = **2.5** |" in text


def floor_of_dict(own: dict[str, float], java: float) -> str:
    found = model(single=1.2)
    found["own"].update(own)
    found["dict"]["java"] = java
    (floor,) = judged({"glm": found})[1].floors
    return floor


def test_what_takes_longer_than_the_whole_dict_is_no_floor_of_it() -> None:
    assert floor_of_dict({"read": 24e-6, "dict": 15e-6}, 14e-6) == (
        "glm: none: reading 24.00 µs and 1.00 µs among 10,000 are more than the whole, 15.00 µs"
    )
    # Of two floors the one that is none is left out: with the reading, the steps would take 14 µs.
    assert floor_of_dict({"read": 4e-6, "dict": 9e-6, "walk16": 8e-5}, 14e-6) == (
        "glm: none: reading 4.00 µs and 1.00 µs among 10,000 would leave 2.80 times"
    )


def test_the_median_of_several_processes_is_taken_number_by_number() -> None:
    found = [{"row": {"ratio": ratio}, "steps": ratio * 2} for ratio in (3.0, 1.0, 2.0)]
    assert _medians(found) == {"row": {"ratio": 2.0}, "steps": 4.0}
