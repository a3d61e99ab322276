"""What the server is told on its command line."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tidegate.contract.errors import InvalidInput
from tidegate.contract.faults import Fault, parse_fault
from tidegate.server.cache.build import CacheSettings
from tidegate.server.features.settings import FeatureSettings
from tidegate.server.protocols.base import Identity, Limits


@dataclass(frozen=True)
class WorkerLinks:
    """What a worker process has from its supervisor: inherited file descriptors, and its place.

    Attributes:
        index: which of the replica's workers it is.
        listen_fd: the listening socket that all workers share.
        handover_fds: the reading and the writing end of the queue of handed-over connections.
        control_fd: the channel to the supervisor.
        grpc_fd: the listening socket for gRPC that all workers share; None without gRPC.
        in_background: others serve meanwhile: load at the lowest priority.
    """

    index: int
    listen_fd: int
    handover_fds: tuple[int, int]
    control_fd: int
    in_background: bool
    grpc_fd: int | None = None


#: Holds the URL of Redis, which may have a password in it: arguments are seen by everybody on the machine.
CACHE_URL_VARIABLE = "TIDEGATE_CACHE_URL"
#: Holds the key of hashes in the prediction log.
KEY_VARIABLE = "TIDEGATE_PREDICTION_LOG_KEY"
#: Holds the address of the store, which may have a password in it as well.
STORE_VARIABLE = "TIDEGATE_STORE"


@dataclass(frozen=True)
class PredictionLogSettings:
    """What to log of predictions, and where.

    Attributes:
        sink: NAME:ARGUMENT, see `recording.sinks`.
        share: of the requests, from 0 to 1.
        dropped, hashed: inputs and outputs that are left away, or logged as hashes.
        key_file: with the key of the hashes; None takes it from the environment.
    """

    sink: str
    share: float = 1.0
    dropped: tuple[str, ...] = ()
    hashed: tuple[str, ...] = ()
    key_file: Path | None = None


@dataclass(frozen=True)
class ServerSettings:
    """Everything that one replica needs to know.

    Attributes:
        bundle: folder of the bundle.
        run_dir: folder of this replica: its lock and `state.json`.
        identity: under which names the model answers.
        replica: index among the revision's replicas.
        latency_objective_seconds: bound of one histogram bucket.
        threads: inference threads; each runs one request at a time.
        queue_limit: requests that may wait beyond those that run; more are answered 503.
        queue_bytes: what the bodies of all requests that are read or wait may hold together.
        batch_requests: the most requests that the model answers together; 1 turns batching off.
        batch_rows: the most rows that several requests may have together.
        cache: whether and where answers are kept.
        features: from where rows of requests that name entities are completed; None for nowhere.
        prediction_log: where a share of the predictions is logged; None for nowhere.
        timeout_seconds: how long a request may take that does not say so itself; 0 for as long as it takes.
        port: 0 takes a free one; a worker uses neither host nor ports.
        drain_seconds: how long to go on accepting after SIGTERM, until whoever routes to us has noticed.
        grace_seconds: how long requests in flight may then take before they are given up.
        grpc_port: where to listen for gRPC, on the same host; 0 takes a free port, None does without gRPC.
        worker: for one of the worker processes of a supervisor; None for a process of its own.
        fault: what a rehearsal wants to go wrong; None, always but in a rehearsal, for nothing.
    """

    bundle: Path
    run_dir: Path
    identity: Identity
    replica: int
    latency_objective_seconds: float
    threads: int
    queue_limit: int
    queue_bytes: int
    batch_requests: int
    batch_rows: int
    timeout_seconds: float
    cache: CacheSettings
    prediction_log: PredictionLogSettings | None
    host: str
    port: int
    drain_seconds: float
    grace_seconds: float
    limits: Limits
    grpc_port: int | None = None
    worker: WorkerLinks | None = None
    fault: Fault | None = None
    features: FeatureSettings | None = None


def _at_least(lowest: float, kind: type = int):  # type: ignore[no-untyped-def]
    def parse(text: str) -> float:
        value: float = kind(text)
        if not value >= lowest:
            raise argparse.ArgumentTypeError(f"{text} is below {lowest}")
        return value

    return parse


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _fault(text: str) -> Fault:
    try:
        return parse_fault(text)
    except InvalidInput as error:
        raise argparse.ArgumentTypeError(error.message) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tidegate.server",
        description="Serve one bundle over HTTP.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    count, amount = _at_least(1), _at_least(0, float)
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the bundle")
    parser.add_argument("--deployment", required=True, help="deployment that this replica belongs to")
    parser.add_argument("--revision", type=int, required=True, help="its revision")
    parser.add_argument("--replica", type=int, default=0, help="its index among the revision's replicas")
    parser.add_argument("--model-name", help="name of the model to its clients (default: the deployment)")
    parser.add_argument("--model-version", help="version of the model to its clients (default: the revision)")
    parser.add_argument("--latency-objective-ms", type=_at_least(0.001, float), default=50.0)
    parser.add_argument("--threads", type=count, default=1, help="inference threads")
    parser.add_argument("--queue", type=count, default=256, help="requests that may wait for a thread")
    parser.add_argument("--queue-mib", type=_at_least(1, float), default=256.0, help="size of all that wait")
    parser.add_argument("--max-batch", type=count, default=128, help="requests answered together; 1 for no batching")
    parser.add_argument("--max-batch-rows", type=count, default=4096, help="rows of requests answered together")
    parser.add_argument("--cache", choices=["off", "memory", "redis"], default="off", help="where to keep answers")
    parser.add_argument("--cache-ttl-seconds", type=_at_least(0.001, float), default=300.0)
    parser.add_argument("--cache-mib", type=_at_least(0.001, float), default=64.0, help="size of the cache in memory")
    parser.add_argument(
        "--prediction-log", metavar="SINK", help="log predictions, e.g. jsonl:/var/log/predictions.jsonl"
    )
    parser.add_argument("--prediction-log-sample", type=_share, default=1.0, help="share of the requests, 0 to 1")
    for option, told in (("drop", "is not logged"), ("hash", "is logged as a keyed hash")):
        parser.add_argument(
            f"--prediction-log-{option}",
            action="append",
            default=[],
            metavar="NAME",
            help=f"an input or output that {told}; may come again",
        )
    parser.add_argument(
        "--prediction-log-key-file", type=Path, help=f"key of the hashes (default: in the variable {KEY_VARIABLE})"
    )
    parser.add_argument("--features-view", help=f"complete rows from this view of the store at {STORE_VARIABLE}")
    parser.add_argument("--features-entity", help="column of a row that holds the key of its entity")
    parser.add_argument("--features-max-age-seconds", type=amount, default=10.0, help="of a vector kept in Redis")
    parser.add_argument("--timeout-seconds", type=amount, default=60.0, help="for one request; 0 for no limit")
    parser.add_argument("--max-body-mib", type=_at_least(0.001, float), default=16.0)
    parser.add_argument("--max-rows", type=count, default=10_000, help="rows in one request")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--grpc-port", type=int, help="listen for gRPC there, too; 0 takes a free one")
    parser.add_argument("--run-dir", type=Path, required=True, help="folder for the lock and state.json")
    parser.add_argument("--drain-seconds", type=amount, default=1.0, help="accept this long after SIGTERM")
    parser.add_argument("--grace-seconds", type=amount, default=30.0, help="then finish what is in flight")
    parser.add_argument("--fault", type=_fault, help="in a rehearsal: what goes wrong, such as errors=20%%")
    worker = parser.add_argument_group("for a worker process, given by its supervisor")
    worker.add_argument("--worker", type=int, help="its index among the replica's workers")
    worker.add_argument("--listen-fd", type=int, help="the listening socket that all workers share")
    worker.add_argument("--handover-fds", type=int, nargs=2, help="queue of connections between processes")
    worker.add_argument("--control-fd", type=int, help="channel to the supervisor")
    worker.add_argument("--grpc-fd", type=int, help="the listening socket for gRPC that all workers share")
    worker.add_argument("--in-background", action="store_true", help="load at the lowest priority")
    return parser


def _worker_links(given: argparse.Namespace) -> WorkerLinks | None:
    if given.worker is None:
        return None
    return WorkerLinks(
        index=given.worker,
        listen_fd=given.listen_fd,
        handover_fds=(given.handover_fds[0], given.handover_fds[1]),
        control_fd=given.control_fd,
        in_background=given.in_background,
        grpc_fd=given.grpc_fd,
    )


def _features(given: argparse.Namespace) -> FeatureSettings | None:
    if given.features_view is None:
        return None
    return FeatureSettings(
        view=given.features_view,
        entity=given.features_entity or "entity",
        store=os.environ.get(STORE_VARIABLE, ""),
        cache_url=os.environ.get(CACHE_URL_VARIABLE) if given.cache == "redis" else None,
        max_age_seconds=given.features_max_age_seconds,
    )


def parse_arguments(arguments: Sequence[str] | None = None) -> ServerSettings:
    """Read the command line; a wrong one ends the process with argparse's own message and exit code 2."""
    given = _parser().parse_args(arguments)
    return ServerSettings(
        bundle=given.bundle,
        run_dir=given.run_dir,
        identity=Identity(
            model_name=given.model_name or given.deployment,
            model_version=given.model_version or str(given.revision),
            deployment=given.deployment,
            revision=given.revision,
        ),
        replica=given.replica,
        latency_objective_seconds=given.latency_objective_ms / 1000,
        threads=given.threads,
        queue_limit=given.queue,
        queue_bytes=int(given.queue_mib * 1024 * 1024),
        batch_requests=1 if given.fault is not None and given.fault.is_chance else given.max_batch,
        batch_rows=given.max_batch_rows,
        timeout_seconds=given.timeout_seconds,
        prediction_log=(
            None
            if given.prediction_log is None
            else PredictionLogSettings(
                given.prediction_log,
                given.prediction_log_sample,
                tuple(given.prediction_log_drop),
                tuple(given.prediction_log_hash),
                given.prediction_log_key_file,
            )
        ),
        cache=CacheSettings(
            store=given.cache,
            url=os.environ.get(CACHE_URL_VARIABLE) if given.cache == "redis" else None,
            ttl_seconds=given.cache_ttl_seconds,
            limit_bytes=int(given.cache_mib * 1024 * 1024),
        ),
        host=given.host,
        port=given.port,
        drain_seconds=given.drain_seconds,
        grace_seconds=given.grace_seconds,
        limits=Limits(body_bytes=int(given.max_body_mib * 1024 * 1024), rows=given.max_rows),
        grpc_port=given.grpc_port,
        worker=_worker_links(given),
        fault=given.fault,
        features=_features(given),
    )
