"""Why a request failed: because of what was killed, of a harmful candidate, or for no such reason. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from benchmarks.chaos.killer import Kill
from benchmarks.chaos.plans import Plan
from examples.flights.load import Record

#: Between a SIGKILL and our note of it.
_NOTED_SECONDS = 0.05
#: Between the first answer of a revision that has a replica again and the last Envoy that finds it.
_FOUND_SECONDS = 1.0

HARMFUL = "a harmful candidate answered"
HELD = "held by a replica when it was killed"
GATE_HELD = "held by a gateway process when it was killed"
AWAY = "all of the gateway had been killed and was not back"
NONE_LEFT = "every replica of the revision had been killed"
UNEXPLAINED = "for no such reason"


def ends_as_it_should(outcome: str, plan: Plan, *, good: bool, was_bare: bool) -> bool:
    """Tell whether a rollout ended as it should.

    A harmful candidate is rolled back, however it was tried and whatever a person would have said of it later. A good
    one ends as its plan says; one that had no replica left, since all were killed, failed its users as a harmful one
    does, and may be rolled back as well.

    Args:
        outcome: how it ended.
        was_bare: whether the candidate may have been without a replica while it could have traffic.
    """
    if not good:
        return outcome == "rolled_back"
    return outcome == plan.good_ends or (was_bare and outcome == "rolled_back")


def reasons(records: Sequence[Record], kills: Sequence[Kill], harmful: Collection[int]) -> Iterator[tuple[Record, str]]:
    """Yield every request that failed, with the reason.

    Args:
        harmful: revisions that fail requests.
    """
    outages = list(gateway_outages(records, kills))
    bare = list(without_replicas(records, kills))
    for record in records:
        if record.failed:
            yield record, _reason(record, kills, harmful, outages, bare)


def _reason(
    record: Record,
    kills: Sequence[Kill],
    harmful: Collection[int],
    outages: Sequence[tuple[float, float]],
    bare: Sequence[tuple[int | None, float, float]],
) -> str:
    ended = record.intended_at + record.latency_ms / 1000
    if record.revision in harmful:
        return HARMFUL
    met = [kill for kill in kills if record.intended_at - _NOTED_SECONDS <= kill.at <= ended + _NOTED_SECONDS]
    if record.status is None and any(kill.kind == "gateway" for kill in met):
        return GATE_HELD
    if any(begin <= ended and record.intended_at <= end for begin, end in outages):
        return AWAY
    if any(kill.revision is not None for kill in met):
        return HELD
    if record.status == 503 and any(
        revision == record.revision and begin <= ended and record.intended_at <= end for revision, begin, end in bare
    ):
        return NONE_LEFT
    return UNEXPLAINED


def gateway_outages(records: Sequence[Record], kills: Sequence[Kill]) -> Iterator[tuple[float, float]]:
    """Yield from when to when nobody was answered because the gateway was killed: to the next request that was.

    While another process of the gateway lives that is at once.
    """
    answered = sorted(record.intended_at for record in records if record.status is not None)
    for kill in kills:
        if kill.kind == "gateway":
            yield kill.at, next((at for at in answered if at > kill.at), float("inf"))


def without_replicas(records: Sequence[Record], kills: Sequence[Kill]) -> Iterator[tuple[int | None, float, float]]:
    """Yield (revision, from when, to when) it was without a replica, since the last that was ready was killed: to when
    it has answered again, and all Envoys know."""
    answered: dict[int | None, list[float]] = {}
    for record in records:
        if not record.failed:
            answered.setdefault(record.revision, []).append(record.intended_at)
    for kill in kills:
        if kill.left == 0:
            after = (at for at in sorted(answered.get(kill.revision, ())) if at > kill.at + _NOTED_SECONDS)
            yield kill.revision, kill.at, next(after, float("inf")) + _FOUND_SECONDS
