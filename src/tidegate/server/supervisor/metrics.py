"""What a supervisor counts of its own work, in the form in which workers' metrics are summed."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.server.totals import Family

WORKERS = "tidegate_server_workers"
WORKER_DEATHS = "tidegate_server_worker_deaths"
SWAPS = "tidegate_server_swaps"

#: How a swap ends.
OUTCOMES = ("done", "refused")


def supervision(deployment: str, revision: int, *, serving: int, deaths: int, swaps: Mapping[str, int]) -> list[Family]:
    """Return the metrics of the supervision.

    Args:
        serving: workers that serve.
        deaths: workers that died.
        swaps: number of models by outcome.
    """
    own = {"deployment": deployment, "revision": str(revision)}
    return [
        _family(WORKERS, "gauge", "Worker processes that serve.", [({}, serving)], own),
        _family(WORKER_DEATHS, "counter", "Workers that died.", [({}, deaths)], own),
        _family(
            SWAPS,
            "counter",
            "Models that were loaded in place of another, or refused.",
            [({"outcome": outcome}, count) for outcome, count in swaps.items()],
            own,
        ),
    ]


def _family(name: str, kind: str, text: str, values: list[tuple[dict[str, str], float]], own: dict[str, str]) -> Family:
    sample = f"{name}_total" if kind == "counter" else name
    samples = [[sample, {**own, **labels}, float(value)] for labels, value in values]
    return {"name": name, "type": kind, "documentation": text, "over_workers": "same", "samples": samples}
