"""The metrics of several workers as those of one replica: pure sums.

A family is `{"name", "type", "documentation", "over_workers", "samples": [[name, labels, value], …]}`. `over_workers`
says what several workers' values make: "sum", "same" (all have the same: the largest stands for them) or "each" (kept
apart, with a label `worker`). What a worker had counted before it ended goes on counting, so that no counter falls.

Imports nothing: the supervisor, which must stay small, does the summing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Family = dict[str, Any]
_Key = tuple[str, tuple[tuple[str, str], ...]]

#: Series of ended workers that are remembered. Each model version brings about a hundred; the oldest go first.
_MOST_REMEMBERED = 20_000
_COUNTING = ("counter", "histogram")


def total(workers: Mapping[int, Iterable[Family]], ended: Iterable[Family] = ()) -> list[Family]:
    """Return the families of the replica.

    Args:
        workers: families of each worker that lives, by its index.
        ended: what `Ended.families` says.
    """
    families: dict[str, Family] = {}
    values: dict[str, dict[_Key, float]] = {}

    def add(family: Family, worker: int | None) -> None:
        name, rule = family["name"], family["over_workers"]
        families.setdefault(name, family)
        samples = values.setdefault(name, {})
        for sample, labels, value in family["samples"]:
            own = {"worker": str(worker)} if rule == "each" and worker is not None else {}
            key = sample, tuple(sorted({**labels, **own}.items()))
            if rule == "same":
                samples[key] = max(samples.get(key, value), value)
            else:
                samples[key] = samples.get(key, 0.0) + value

    for family in ended:
        add(family, None)
    for worker in sorted(workers):
        for family in workers[worker]:
            add(family, worker)
    return [
        {**family, "samples": [[sample, dict(labels), value] for (sample, labels), value in values[name].items()]}
        for name, family in families.items()
    ]


class Ended:
    """What ended workers had counted."""

    def __init__(self) -> None:
        self._kept: list[Family] = []

    def add(self, families: Iterable[Family]) -> None:
        """Take the last count of a worker that is no more. Gauges and what each worker has alone end with it."""
        counted = [family for family in families if family["type"] in _COUNTING and family["over_workers"] == "sum"]
        self._kept = total({0: counted}, self._kept)
        for family in self._kept:
            # Insertion order: what was counted longest ago, and by no later worker, comes first.
            del family["samples"][:-_MOST_REMEMBERED]

    @property
    def families(self) -> list[Family]:
        return self._kept
