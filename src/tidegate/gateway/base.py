"""What the rest of Tidegate says to a gateway and hears from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from tidegate.gateway.shares import Shares

Key = TypeVar("Key")

#: Envoys of a gateway where nobody says how many: one can be killed, and requests still get through.
DEFAULT_ENVOYS = 2

#: Where everything listens unless somebody says otherwise.
LOOPBACK = "127.0.0.1"


def from_here(host: str) -> str:
    """Return the address by which this machine reaches what listens on one of its addresses, or on all of them."""
    return LOOPBACK if host == "0.0.0.0" else host  # noqa: S104 -- a comparison


@dataclass(frozen=True, order=True)
class Endpoint:
    """Where one replica listens: for HTTP, and for gRPC where `grpc_port` is not None."""

    host: str
    port: int
    grpc_port: int | None = None


@dataclass(frozen=True, order=True)
class RevisionRef:
    """One revision of one deployment."""

    deployment: str
    revision: int


@dataclass(frozen=True)
class Trial:
    """The revision of a deployment that is on trial.

    Users reach it at the deployment's preview address, `/NAME@preview/`, whatever its weight; what is answered there is
    in no count. `mirror` percent of the requests to the deployment are copied to it, to the hundredth of a percent;
    its answers to those are counted and go to nobody.

    `noted`: whether the gateway notes which revision served each request of a user, by its id; copies and what is asked
    at the preview address are in no note.
    """

    revision: int
    mirror: float = 0
    noted: bool = False


@dataclass(frozen=True)
class Sticky:
    """What tells users apart, so that each of them stays with a revision: a header or a cookie, one of the two.

    Without the header a request is split at random; a user without the cookie is given one.
    """

    header: str | None = None
    cookie: str | None = None


@dataclass(frozen=True)
class Forced:
    """Requests that get one revision whatever the split says: those with this value in a header or a cookie."""

    revision: int
    value: str
    header: str | None = None
    cookie: str | None = None


@dataclass(frozen=True)
class Snapshot:
    """All that the gateway is to do, whole; applying the same snapshot twice changes nothing.

    Attributes:
        endpoints: replicas per revision. A revision without endpoints is a cluster that answers 503.
        splits: per deployment, the weight (percent to the hundredth, summing to 100) of each revision. A deployment
            without a split answers 404.
        timeout_seconds: per deployment, how long one request may take in all before the gateway answers 504.
        trials: per deployment, the revision on trial; deployments without a rollout have none.
        sticky: per deployment, what users are told apart by; the split is drawn for each request where there is none.
        unready: of the endpoints, those that get no requests whatever they say of themselves.
        shares: per deployment with `sticky`, which users each revision has; in the order of the revisions when absent.
        forced: per deployment, the requests that are not split.
    """

    endpoints: Mapping[RevisionRef, tuple[Endpoint, ...]]
    splits: Mapping[str, Mapping[int, float]]
    timeout_seconds: Mapping[str, float]
    trials: Mapping[str, Trial] = field(default_factory=dict)
    sticky: Mapping[str, Sticky] = field(default_factory=dict)
    unready: Mapping[RevisionRef, frozenset[Endpoint]] = field(default_factory=dict)
    shares: Mapping[str, Shares] = field(default_factory=dict)
    forced: Mapping[str, tuple[Forced, ...]] = field(default_factory=dict)

    def replicas(self, ref: RevisionRef) -> tuple[tuple[Endpoint, bool], ...]:
        """Return the endpoints of a revision, each with whether it may get requests."""
        unready = self.unready.get(ref, frozenset())
        return tuple((endpoint, endpoint not in unready) for endpoint in self.endpoints.get(ref, ()))


@dataclass(frozen=True)
class Applied:
    """What applying a snapshot took.

    Attributes:
        version: digest of the routes now in force.
        in_force_seconds: from the call to the moment when the gateway itself reported the new routes; 0.0 if unchanged.
    """

    version: str
    in_force_seconds: float


@dataclass(frozen=True)
class DurationBucket:
    """Requests whose duration lies in [lower_ms, upper_ms)."""

    lower_ms: float
    upper_ms: float
    count: int


@dataclass(frozen=True)
class Counts:
    """What a process of the gateway counted for one revision since it started; only ever grows.

    One user request counts once, with the status that the user got, however often the gateway tried. A call over gRPC
    is a request like one over REST; which of its statuses is which is in `grpc_routes`.

    Attributes:
        requests: answered in any way.
        errors: answered with 5xx, by the replica or by the gateway on its behalf (no healthy replica, reset, timeout).
        rejections: answered with 4xx.
        durations: how long the replica took, whole, in buckets ordered and disjoint. Holds what a replica answered, not
            what the gateway answered for it, so its sum can be less than `requests`.
        abandoned: sent to a replica and given up by the user before an answer; in none of the other numbers.
        failed_as: of `errors`, how many ended with which status: "503", or "UNAVAILABLE" for a call over gRPC.
        uncopied: those of all these that could not be copied, being no inference, while requests were; None for none.
    """

    requests: int
    errors: int
    rejections: int
    durations: tuple[DurationBucket, ...]
    abandoned: int = 0
    failed_as: Mapping[str, int] = field(default_factory=dict)
    uncopied: Counts | None = None

    def slower_than(self, objective_ms: float) -> int:
        """Return how many requests took at least `objective_ms`; a bucket that straddles it counts as not slower."""
        return sum(bucket.count for bucket in self.durations if bucket.lower_ms >= objective_ms)

    def __add__(self, other: Counts) -> Counts:
        durations = {bucket.lower_ms: bucket for bucket in self.durations}
        for bucket in other.durations:
            same = durations.get(bucket.lower_ms)
            more = bucket if same is None else replace(bucket, count=bucket.count + same.count)
            durations[bucket.lower_ms] = more
        return Counts(
            requests=self.requests + other.requests,
            errors=self.errors + other.errors,
            rejections=self.rejections + other.rejections,
            durations=tuple(durations[lower] for lower in sorted(durations)),
            abandoned=self.abandoned + other.abandoned,
            failed_as=dict(Counter(self.failed_as) + Counter(other.failed_as)),
            uncopied=_either(self.uncopied, other.uncopied),
        )


def _either(one: Counts | None, other: Counts | None) -> Counts | None:
    return one + other if one is not None and other is not None else one or other


@dataclass(frozen=True)
class ProcessCounts(Generic[Key]):
    """What one of the gateway's processes counted, by revision, at one instant.

    Attributes:
        number: of the process within the gateway, from 1. One that ended is followed by another of its number.
        epoch: names the process, unlike any other before or after: the counters of each begin at zero. Those of one
            revision also begin again when it was taken out of the snapshot and put in again.
    """

    number: int
    epoch: str
    counts: Mapping[Key, Counts]


def together(processes: Iterable[ProcessCounts[Key]]) -> dict[Key, Counts]:
    """Return what several processes counted, added up."""
    total: dict[Key, Counts] = {}
    for process in processes:
        for key, counts in process.counts.items():
            total[key] = total[key] + counts if key in total else counts
    return total


@dataclass(frozen=True)
class GatewayReading:
    """Counters of every revision at one instant, of each process of the gateway that runs."""

    at: datetime
    processes: tuple[ProcessCounts[RevisionRef], ...]

    @property
    def counts(self) -> Mapping[RevisionRef, Counts]:
        """What the processes counted in all: less than before where one of them ended."""
        return together(self.processes)


@dataclass(frozen=True)
class Served:
    """A revision answered the request of this id, at `at_ms` milliseconds since 1970."""

    ref: RevisionRef
    request_id: str
    at_ms: int


@dataclass(frozen=True)
class NotesPosition:
    """How far the gateway's notes of served requests were read: a file, by its inode, and bytes of it."""

    file: int = 0
    offset: int = 0


#: How far the notes of each process of the gateway were read, by its number.
NotesPositions = Mapping[int, NotesPosition]


@dataclass(frozen=True)
class ServedNotes:
    """Notes, those of one process in the order in which it answered, and the positions behind them."""

    entries: tuple[Served, ...]
    positions: NotesPositions


class Gateway(Protocol):
    """The proxy that splits traffic: several processes that share one address and do the same.

    They outlive the controller. When one is killed the others go on: lost are only the requests that it held.
    """

    async def ensure_running(self) -> None:
        """Start the processes with what they were last told, or adopt those that run; idempotent.

        While one of them runs the others are started beside it, and this returns at once.

        Raises:
            InvalidInput: something else listens on the port.
            Conflict: the proxy runs, on another port than this one.
            Unavailable: the proxy is missing or ends at once.
        """
        ...

    def watches(self, revisions: int) -> int:
        """Return how many inotify instances so many more revisions of one deployment take, a preview included."""
        ...

    def is_whole(self) -> bool:
        """Say whether all of the processes run; cheap."""
        ...

    def snapshot(self) -> Snapshot:
        """Return what was last asked of `apply`, by an earlier process too; empty at first."""
        ...

    async def apply(self, snapshot: Snapshot) -> Applied:
        """Put the snapshot in force and return once every process confirms it; Unavailable if one does not in 5 s."""
        ...

    async def read(self) -> GatewayReading:
        """Read the counters; Unavailable when the proxy does not answer."""
        ...

    async def healthy(self) -> Mapping[RevisionRef, frozenset[Endpoint]]:
        """Return the replicas that get requests from every process, by its own checks, over all that they listen for.

        Unavailable when the proxy does not answer.
        """
        ...

    async def served(self, after: NotesPositions) -> ServedNotes:
        """Return some of the notes behind `after`; none when there are no more now.

        What lies before `after` is taken for stored: it is let go of, so that the notes stay small.
        """
        ...

    async def stop(self) -> None:
        """Let requests in flight finish for a moment and end the proxy process; idempotent."""
        ...
