"""What the run shows: numbers from the client's records and from Tidegate's events, and the claims they must bear out.

Pure. Wherever both can say something (which revision got a request, when the last one reached v3), the client's own
record counts, not Tidegate's account of itself.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

import numpy as np

from examples.flights.load import Record

#: A split seen in n requests may differ by chance from the one asked for; so many standard deviations never happen.
SIGMAS = 4.5
#: What Tidegate promises of a change of split, and what of a bad candidate with this traffic.
SPLIT_CHANGE_MS = 50.0
MOST_V3_FAILURES = 99


@dataclass(frozen=True)
class Claim:
    """Something that the demo promises, and what was found."""

    text: str
    holds: bool
    found: str

    def as_dict(self) -> dict[str, Any]:
        return {"claim": self.text, "holds": self.holds, "found": self.found}


def seconds_of(moment: str) -> float:
    """Return an ISO 8601 time as seconds since 1970."""
    return datetime.fromisoformat(moment).timestamp()


def key_of(record: Record) -> str:
    """Return the revision that answered as text; "none" when nobody or nobody we know did."""
    return "none" if record.revision is None else str(record.revision)


def traffic_by_revision(records: Iterable[Record]) -> dict[str, dict[str, Any]]:
    """Return requests, failed requests by kind, and latency (ms, from the intended time) of each revision."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(key_of(record), []).append(record)
    return {key: _traffic(groups[key]) for key in sorted(groups)}


def _traffic(records: Sequence[Record]) -> dict[str, Any]:
    kinds: dict[str, int] = {}
    for record in records:
        if record.error is not None:
            kinds[record.error] = kinds.get(record.error, 0) + 1
    return {
        "requests": len(records),
        "failed": sum(kinds.values()),
        "failed_by_kind": kinds,
        "latency_ms": latency([record for record in records if not record.failed]),
    }


def latency(records: Sequence[Record]) -> dict[str, float] | None:
    """Return p50, p90, p99 and the largest latency in ms; None without records."""
    if not records:
        return None
    values = np.array([record.latency_ms for record in records])
    p50, p90, p99 = np.percentile(values, [50, 90, 99])
    named = {"p50": p50, "p90": p90, "p99": p99, "max": values.max()}
    return {name: round(float(value), 2) for name, value in named.items()}


def failed_requests(records: Iterable[Record], revisions: Iterable[int]) -> dict[str, int]:
    """Return failed requests per revision, zeros included; those that no revision answered are under "none"."""
    failed = dict.fromkeys([*map(str, revisions), "none"], 0)
    for record in records:
        if record.failed:
            failed[key_of(record)] = failed.get(key_of(record), 0) + 1
    return failed


def share_of(records: Iterable[Record], revision: int, start: float, end: float) -> tuple[int, int]:
    """Return how many of the requests that left in [start, end) the revision answered, and how many there were."""
    within = [record for record in records if start <= record.intended_at < end and record.revision is not None]
    return sum(record.revision == revision for record in within), len(within)


def agrees(hits: int, requests: int, weight: int) -> bool:
    """Say whether `hits` of `requests` is what a weight of so many percent gives, chance allowed for."""
    share = weight / 100
    return abs(hits - requests * share) <= SIGMAS * math.sqrt(requests * share * (1 - share)) + 1


@dataclass(frozen=True)
class Span:
    """A stretch of a rollout with one split: from `start` to `end`, in seconds since 1970."""

    weight: int
    start: float
    end: float


def spans(events: Sequence[Mapping[str, Any]]) -> list[Span]:
    """Return the stretches in which the split of each step was in force, from a rollout's events in order."""
    found = []
    for event, following in itertools.pairwise(events):
        if event["kind"] == "analyzing":
            weight = int(event["data"]["weight"])
            found.append(Span(weight, seconds_of(event["at"]), seconds_of(following["at"])))
    return found


def steps_seen(events: Sequence[Mapping[str, Any]], records: Sequence[Record], candidate: int) -> list[dict[str, Any]]:
    """Return for each step what was asked and what the client saw."""
    seen = []
    for span in spans(events):
        hits, requests = share_of(records, candidate, span.start, span.end)
        seen.append(
            {
                "weight": span.weight,
                "seconds": round(span.end - span.start, 2),
                "requests": requests,
                "candidate": hits,
                "seen_percent": round(100 * hits / requests, 2) if requests else None,
                "agrees": agrees(hits, requests, span.weight),
            }
        )
    return seen


def split_changes(events: Iterable[Mapping[str, Any]]) -> list[float]:
    """Return the milliseconds that each change of split took, from the decision to the gateway's confirmation."""
    return [
        float(event["data"]["split_in_force_ms"])
        for event in events
        if event.get("data", {}).get("split_in_force_ms") is not None
    ]


def first_event(events: Iterable[Mapping[str, Any]], kind: str) -> Mapping[str, Any] | None:
    return next((event for event in events if event["kind"] == kind), None)


def taken_back(
    events: Sequence[Mapping[str, Any]], records: Sequence[Record], candidate: int
) -> dict[str, float | None]:
    """Return how fast the candidate was taken back, in seconds; None where it never came so far.

    `time_to_verdict`: from the first split that gave it traffic to the decision against it.
    `verdict_to_zero_percent`: from the decision until the gateway confirmed that the candidate gets nothing.
    `verdict_to_last_request`: from the decision to the last request that left for it, by the client's clock; 0.0 when
    none left after the decision.
    """
    shifted, decided = first_event(events, "analyzing"), first_event(events, "rolling_back")
    if shifted is None or decided is None:
        return {"time_to_verdict": None, "verdict_to_zero_percent": None, "verdict_to_last_request": None}
    verdict = seconds_of(decided["at"])
    confirmed = first_event(events, "rolled_back")
    last = max((r.intended_at + r.late_ms / 1e3 for r in records if r.revision == candidate), default=verdict)
    return {
        "time_to_verdict": round(verdict - seconds_of(shifted["at"]), 3),
        "verdict_to_zero_percent": None if confirmed is None else round(seconds_of(confirmed["at"]) - verdict, 3),
        "verdict_to_last_request": round(max(0.0, last - verdict), 3),
    }


def _ms(values: Sequence[float]) -> str:
    return f"{median(values):.3g} ms" if values else "none was measured"


def claims(report: Mapping[str, Any]) -> list[Claim]:
    """Return what must hold of a finished run; a run that was kept says nothing of processes that are left."""
    failed, kill = report["failed_requests"], report["controller_kill"]
    healthy = {revision: count for revision, count in failed.items() if revision != "3"}
    changes = report["split_changes_ms"]
    replicas = report["replicas"]
    found = [
        Claim("v2 was promoted", report["v2"]["outcome"] == "promoted", report["v2"]["outcome"]),
        Claim("v3 was rolled back", report["v3"]["outcome"] == "rolled_back", report["v3"]["outcome"]),
        Claim(
            "no request failed on a stable revision",
            not any(healthy.values()) and {"1", "2"} <= healthy.keys(),
            ", ".join(f"{count} on {revision}" for revision, count in healthy.items()),
        ),
        Claim(
            f"v3 failed at most {MOST_V3_FAILURES} requests",
            failed.get("3", 0) <= MOST_V3_FAILURES,
            str(failed.get("3", 0)),
        ),
        Claim(
            # The median: one change in six that waits for a processor which another program holds says nothing.
            f"a change of split was in force within {SPLIT_CHANGE_MS:g} ms of the decision",
            bool(changes["all"]) and median(changes["all"]) < SPLIT_CHANGE_MS,
            f"median of {len(changes['all'])}: {_ms(changes['all'])}; slowest: {changes['max']} ms",
        ),
        Claim(
            "the split stayed as it was while the controller was dead",
            kill["requests"] > 0 and agrees(kill["candidate_requests"], kill["requests"], kill["weight"]),
            f"{kill['seen_percent']} % of {kill['requests']} requests, {kill['weight']} % asked",
        ),
        Claim(
            "the controller that came back went on with the same rollout and the same processes",
            kill["same_processes"] and kill["same_rollout"],
            f"same processes: {kill['same_processes']}, same rollout: {kill['same_rollout']}",
        ),
        Claim(
            "no replica had a second copy or was started twice",
            not replicas["doubled"] and set(replicas["started"].values()) == {1},
            f"{len(replicas['started'])} replicas, processes each: {sorted(set(replicas['started'].values()))}",
        ),
    ]
    if "processes_left" in report:
        left = report["processes_left"]
        found.append(Claim("no process was left behind", not left, ", ".join(left) or "none"))
    return found
