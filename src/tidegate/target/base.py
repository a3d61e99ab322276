"""What a target is: where replicas run. Rollout, judge and controller know a target only through this interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from tidegate.contract.request import Platform
from tidegate.contract.sketch import Sketch
from tidegate.gateway.base import (
    Counts,
    Forced,
    NotesPositions,
    ProcessCounts,
    RevisionRef,
    ServedNotes,
    Sticky,
    Trial,
    together,
)
from tidegate.health.base import Affects, Check


@dataclass(frozen=True)
class Answering:
    """How the replicas of a revision answer.

    Attributes:
        timeout_seconds: how long a request may take that does not say so itself.
        batch_requests: the most requests that the model answers together; 1 turns batching off.
        batch_rows: the most rows that several requests may have together.
        cache: where answers are kept. The URL of Redis is no part of a spec: it may have a password in it.
        cache_ttl_seconds: how long an answer is given out again.
        cache_bytes: the most that a cache in memory holds.
        features_view: the feature view from which rows are completed; None for none. Where the store is, is no part of
            a spec either.
        features_entity: the column of a row that holds the key of its entity.
        features_max_age_seconds: how long a vector that was kept in Redis is used.
        prediction_sink: NAME:ARGUMENT, with placeholders, of where predictions are logged; None for nowhere.
        prediction_share: of the requests that are logged, from 0 to 1.
        prediction_dropped, prediction_hashed: inputs and outputs that are left away, or logged as hashes.
        prediction_key_file: with the key of the hashes; None takes it from the environment.
    """

    timeout_seconds: float = 30.0
    batch_requests: int = 128
    batch_rows: int = 4096
    cache: Literal["off", "memory", "redis"] = "off"
    cache_ttl_seconds: float = 300.0
    cache_bytes: int = 64 * 1024 * 1024
    prediction_sink: str | None = None
    prediction_share: float = 1.0
    prediction_dropped: tuple[str, ...] = ()
    prediction_hashed: tuple[str, ...] = ()
    prediction_key_file: str | None = None
    features_view: str | None = None
    features_entity: str = "entity"
    features_max_age_seconds: float = 10.0


@dataclass(frozen=True)
class RevisionSpec:
    """What it takes to run one revision; immutable for the life of the revision.

    Attributes:
        ref: deployment and revision number.
        bundle: folder of the bundle.
        model_name, model_version: as clients of the Open Inference Protocol see them.
        latency_objective_ms: p99 objective, for the server's own histogram.
        threads: inference threads per process.
        answering: everything else that its replicas are told.
        workers: processes per replica that share its ports. With several, one more looks after them.
        grpc: whether they answer gRPC, too, on a port of its own.
        checks: of each of its replicas, beside what its server says of itself.
        platform: what runs its replicas.
    """

    ref: RevisionRef
    bundle: Path
    model_name: str
    model_version: str
    latency_objective_ms: float
    threads: int
    answering: Answering = Answering()
    workers: int = 1
    grpc: bool = False
    checks: tuple[Check, ...] = ()
    platform: Platform = "local"


@dataclass(frozen=True)
class CheckHealth:
    """What one check of one replica says.

    Attributes:
        critical: whether its failure takes a candidate back.
        passing: None before its thresholds were reached for the first time.
        detail: of the last attempt; empty before the first.
        seconds: for how long `passing` has been so; None before it changed for the first time.
    """

    name: str
    affects: Affects
    critical: bool
    passing: bool | None
    detail: str
    seconds: float | None


@dataclass(frozen=True)
class ReplicaHealth:
    """One replica. `address` and `pid` are None while it is not running, `grpc_address` also where it has no gRPC.

    Attributes:
        ready: whether it gets requests.
        unwell: why, by its checks, it gets none or is to be restarted; a sentence, None where they find it well.
        checks: those that were asked for.
        image: of its container; None where it is a process.
    """

    index: int
    address: str | None
    pid: int | None
    ready: bool
    restarts: int
    last_exit: str | None
    grpc_address: str | None = None
    unwell: str | None = None
    checks: tuple[CheckHealth, ...] = ()
    image: str | None = None


@dataclass(frozen=True)
class RevisionHealth:
    """All replicas of a revision. `restarts` counts deaths that were not asked for, over the revision's life.

    A death of a worker counts like that of a replica.
    """

    replicas: tuple[ReplicaHealth, ...]

    @property
    def ready(self) -> int:
        return sum(replica.ready for replica in self.replicas)

    @property
    def restarts(self) -> int:
        return sum(replica.restarts for replica in self.replicas)


@dataclass(frozen=True)
class SplitChange:
    """The result of `set_split`. `in_force_seconds` runs from the call to the gateway's own confirmation."""

    changed: bool
    in_force_seconds: float


@dataclass(frozen=True)
class Noted:
    """One answer: the outputs that the request with this id got, values by name as JSON has them."""

    request_id: str
    outputs: Mapping[str, Any]


@dataclass(frozen=True)
class Counted:
    """How inputs and outputs of some requests are distributed, one row of each request; such counts add up.

    Attributes:
        requests: how many were counted.
        inputs, outputs: by column.
    """

    requests: int = 0
    inputs: Mapping[str, Sketch] = field(default_factory=dict)
    outputs: Mapping[str, Sketch] = field(default_factory=dict)

    def __add__(self, other: Counted) -> Counted:
        return Counted(
            self.requests + other.requests, _added(self.inputs, other.inputs), _added(self.outputs, other.outputs)
        )


def _added(one: Mapping[str, Sketch], other: Mapping[str, Sketch]) -> dict[str, Sketch]:
    names = dict.fromkeys((*one, *other))
    return {name: one.get(name, Sketch()) + other.get(name, Sketch()) for name in names}


@dataclass(frozen=True)
class Reading:
    """Counters per revision of one deployment at one instant, of each process of the gateway that runs."""

    at: datetime
    processes: tuple[ProcessCounts[int], ...]

    @property
    def counts(self) -> Mapping[int, Counts]:
        """What the processes counted in all: less than before where one of them ended."""
        return together(self.processes)


class CountsReader(Protocol):
    """Reads what the replicas of one revision count by column, for one who watches; each has a reader of their own."""

    def read(self) -> Sequence[Counted]:
        """Return what was counted since the last call, at first since the reader was made; in no order."""
        ...


class Target(Protocol):
    """Where replicas run. Every method is idempotent; a target finds again what an earlier process started."""

    async def start(self) -> None:
        """Bring up what all deployments share (the gateway), or adopt it."""
        ...

    def is_whole(self) -> bool:
        """Say whether nothing is gone of what `start` brings up; cheap."""
        ...

    def watches(self, revisions: int) -> int:
        """Return how many inotify instances of this user so many more revisions of one deployment take."""
        ...

    async def stop(self, *, keep_containers: bool = False) -> list[RevisionRef]:
        """End every replica and the gateway, those of an earlier process included; return the revisions that ended.

        Args:
            keep_containers: leave what has a container of its own: replicas, and the gateway.
        """
        ...

    async def close(self) -> None:
        """Let go of connections; everything goes on running."""
        ...

    async def ensure_replicas(self, spec: RevisionSpec, count: int) -> RevisionHealth:
        """Have exactly `count` replicas of the revision; start what is missing, replace what died, end the surplus.

        Returns at once with what is so now; call again until `ready` is what you want. A replica that keeps dying is
        started again after a growing delay.
        """
        ...

    async def remove_revision(self, ref: RevisionRef) -> None:
        """Drain and end the revision's replicas; does nothing when there are none."""
        ...

    async def set_split(
        self,
        deployment: str,
        split: Mapping[int, float],
        timeout_seconds: float,
        trial: Trial | None = None,
        sticky: Sticky | None = None,
        *,
        forced: tuple[Forced, ...] = (),
    ) -> SplitChange:
        """Give each revision its weight (percent to the hundredth, sum 100; an empty mapping takes the deployment off).

        Args:
            timeout_seconds: how long one request may take.
            trial: the revision that has a preview address, and the share of requests that is copied to it.
            sticky: what users are told apart by; None to split at random. Of those who were assigned before, only as
                many get another revision as the weights ask for.
            forced: requests that get one revision whatever the split says; of two that fit a request, the first.
        """
        ...

    async def read(self, deployment: str) -> Reading:
        """Read the counters of the deployment's revisions."""
        ...

    async def note_answers(self, ref: RevisionRef, share: float) -> None:
        """Have the revision's replicas note a share (0 to 1) of their answers to requests that are copied.

        For some seconds from now. Which requests are in the share depends on their ids alone, so that two revisions
        note the same ones.
        """
        ...

    async def noted(self, ref: RevisionRef) -> Sequence[Noted]:
        """Return what the revision's replicas noted since the last call of this process, in no order."""
        ...

    async def served(self, after: NotesPositions) -> ServedNotes:
        """Return some of the gateway's notes, of every deployment, behind `after`; see `Gateway.served`."""
        ...

    async def count_columns(self, ref: RevisionRef, share: float) -> None:
        """Have the revision's replicas count a share (0 to 1) of their requests by column, for some seconds."""
        ...

    async def counted(self, ref: RevisionRef) -> Counted:
        """Return what the revision's replicas counted by column since the last call of this process."""
        ...

    def counts_reader(self, ref: RevisionRef) -> CountsReader:
        """Return a reader of what the revision's replicas count, from now on and whoever asked them to."""
        ...

    async def running(self) -> Sequence[RevisionRef]:
        """Return the revisions that have replicas, whoever started them."""
        ...

    def url(self, deployment: str) -> str:
        """Return the address at which users reach the deployment."""
        ...

    def preview_url(self, deployment: str) -> str:
        """Return the address of the deployment's revision on trial; it answers 404 while there is none."""
        ...

    def grpc_address(self) -> str:
        """Return HOST:PORT where users call every deployment over gRPC that answers it, without TLS."""
        ...

    async def logs(self, ref: RevisionRef, index: int, lines: int) -> list[str]:
        """Return the last `lines` lines that the replica wrote; empty when it never ran."""
        ...
