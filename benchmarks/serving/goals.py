"""The goals for Tidegate's server, and whether a run meets them. Pure: takes the run's table, gives sentences.

Source of the goals: per model, one process each, single rows: ten times the requests per second of MLServer and twenty
times those of BentoML; the 99th percentile at equal load below every peer's; 80 % of what the same server does on a
route without a model; a request for 10,000 rows within 1.3 times the model's own time in a bare process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.serving.measure import BATCH, LARGE, SINGLE

TIMES = {"mlserver": 10.0, "bentoml": 20.0}
CEILING_SHARE = 0.8
LARGE_FACTOR = 1.3
_OWN = ("tidegate", "tidegate-json")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Goal:
    """One goal for one model.

    Attributes:
        met: None when it could not be measured; `found` says why.
        rows, server: which requests to which form of Tidegate a profile should look at.
    """

    model: str
    wanted: str
    found: str
    met: bool | None
    rows: int
    server: str


def judged(table: Iterable[Row], own_times_ms: Mapping[str, float]) -> list[Goal]:
    """Return every goal for every model that was measured on Tidegate.

    Args:
        table: rows as `rounds.table` makes them.
        own_times_ms: by model, what a prediction for 10,000 rows takes in a bare process.
    """
    known = {(row["server"], row["model"], row["stage"], row["rows"], row["form"]): row for row in table}
    goals = []
    for model in dict.fromkeys(row["model"] for row in known.values() if row["server"] in _OWN):
        rows = [row for row in known.values() if row["model"] == model]
        goals += [_times(rows, model, peer, times) for peer, times in TIMES.items()]
        goals += [_latency(rows, model, size) for size in (SINGLE, BATCH)]
        goals += [_ceiling(rows, model, own) for own in _OWN]
        goals.append(_large(rows, model, own_times_ms.get(model)))
    return goals


def _pick(rows: Iterable[Row], server: str, stage: str, size: int) -> list[Row]:
    return [row for row in rows if (row["server"], row["stage"], row["rows"]) == (server, stage, size)]


def _times(rows: list[Row], model: str, peer: str, times: float) -> Goal:
    """Compare with the fastest setting of the peer that was measured, in the form that the peer speaks."""
    wanted = f"single rows: at least {times:g} times the requests/s of {peer}"
    theirs = [row for row in rows if row["server"].split("-")[0] == peer and row["stage"] == "most"]
    best = max(_single(theirs), key=lambda row: row["requests_per_second"], default=None)
    own = "tidegate" if peer == "mlserver" else "tidegate-json"
    mine = _pick(rows, own, "most", SINGLE)
    if best is None or not mine:
        return Goal(model, wanted, "one of the two was not measured", None, SINGLE, own)
    factor = mine[0]["requests_per_second"] / best["requests_per_second"]
    found = f"{factor:.1f} times ({mine[0]['requests_per_second']:,.0f} against {best['requests_per_second']:,.0f})"
    return Goal(model, wanted, found, factor >= times, SINGLE, own)


def _single(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row["rows"] == SINGLE]


def _latency(rows: list[Row], model: str, size: int) -> Goal:
    wanted = f"{size} row{'s' if size > 1 else ''}, equal load: p99 below every peer's"
    mine = [row for own in _OWN for row in _pick(rows, own, "equal", size) if row["p99_ms"] is not None]
    theirs = [
        row
        for row in rows
        if row["server"] not in _OWN and row["stage"] == "equal" and row["rows"] == size and row["p99_ms"] is not None
    ]
    if not mine or not theirs:
        return Goal(model, wanted, "too few requests for a p99", None, size, "tidegate")
    worst = max(mine, key=lambda row: row["p99_ms"])
    best = min(theirs, key=lambda row: row["p99_ms"])
    found = f"{worst['p99_ms']:.2f} ms ({worst['server']}), best peer {best['p99_ms']:.2f} ms ({best['server']})"
    return Goal(model, wanted, found, worst["p99_ms"] < best["p99_ms"], size, worst["server"])


def _ceiling(rows: list[Row], model: str, own: str) -> Goal:
    wanted = f"single rows, {own}: at least {CEILING_SHARE:.0%} of the same server's route without a model"
    mine, ceiling = _pick(rows, own, "most", SINGLE), _pick(rows, own, "ceiling", SINGLE)
    if not mine or not ceiling:
        return Goal(model, wanted, "the server offers no such route here", None, SINGLE, own)
    share = mine[0]["requests_per_second"] / ceiling[0]["requests_per_second"]
    found = f"{share:.0%} of {ceiling[0]['requests_per_second']:,.0f} requests/s"
    return Goal(model, wanted, found, share >= CEILING_SHARE, SINGLE, own)


def _large(rows: list[Row], model: str, own_time_ms: float | None) -> Goal:
    """Judge the fastest form that the server takes, and name the others."""
    wanted = f"{LARGE:,} rows: at most {LARGE_FACTOR:g} times the model's own time"
    mine = sorted((row for own in _OWN for row in _pick(rows, own, "one-by-one", LARGE)), key=lambda row: row["p50_ms"])
    if not mine or own_time_ms is None:
        return Goal(model, wanted, "not measured", None, LARGE, "tidegate")
    each = ", ".join(f"{row['form']} {row['p50_ms'] / own_time_ms:.2f}" for row in mine)
    found = f"{each} times {own_time_ms:.1f} ms"
    return Goal(model, wanted, found, mine[0]["p50_ms"] <= LARGE_FACTOR * own_time_ms, LARGE, mine[0]["server"])
