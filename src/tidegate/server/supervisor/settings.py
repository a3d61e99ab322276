"""What the supervisor is told on its command line."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: More workers than this are seldom worth their memory; who wants them says so.
_AUTO_MOST = 4
LOAD_SECONDS = 600.0
#: A file of settings is short; anything longer is the wrong file.
_MOST_SETTINGS_BYTES = 1 << 20


@dataclass(frozen=True)
class SupervisorSettings:
    """Everything that the supervisor needs to know. One of `bundle`, `model_file` and `repository` is given.

    Attributes:
        bundle: folder of a bundle; it is served until the end.
        model_file: an artifact that becomes a bundle here; read anew when it changed and a swap is asked for.
        repository: folder of models, each a folder of versions.
        model: name of the model to its clients; in a repository also that of its folder.
        version: of the first model as clients see it; in a repository the version to begin with, None for the newest.
        framework, trust, sample, settings: how to build a bundle of what is none; see `artifact.build.BuildRequest`.
        workers: how many.
        host, port: 0 takes a free port.
        grpc_port: likewise; None for no gRPC.
        run_dir: folder for the lock, `state.json` and bundles built here.
        drain_seconds, grace_seconds: as for a replica.
        load_seconds: how long a model may take to be built, loaded and warmed.
        loads_standing_back: what is loaded while others serve gets only the processor time that nobody else wants.
        watch_seconds: how often to look for a newer model; 0 for never.
        announces: write what happens to stdout, a JSON object per line.
        ends_with_stdin: end when standard input does.
        worker_options: further options of `python -m tidegate.server`.
    """

    bundle: Path | None
    model_file: Path | None
    repository: Path | None
    model: str | None
    deployment: str | None
    revision: int
    version: str | None
    framework: str | None
    trust: bool
    sample: Path | None
    settings: Mapping[str, Any]
    workers: int
    host: str
    port: int
    grpc_port: int | None
    run_dir: Path
    drain_seconds: float
    grace_seconds: float
    load_seconds: float
    loads_standing_back: bool
    watch_seconds: float
    announces: bool
    ends_with_stdin: bool
    worker_options: tuple[str, ...]


def available_cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _workers(text: str) -> int:
    if text == "auto":
        return min(available_cores(), _AUTO_MOST)
    count = int(text)
    if not 1 <= count <= 256:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 256")
    return count


def _settings(text: str) -> Mapping[str, Any]:
    try:
        with Path(text).open("rb") as file:
            content = file.read(_MOST_SETTINGS_BYTES + 1)
        found = json.loads(content) if len(content) <= _MOST_SETTINGS_BYTES else None
    except (OSError, ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"{text} cannot be read as JSON: {error}") from error
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError(f"{text} is not a JSON object of at most {_MOST_SETTINGS_BYTES} bytes")
    return found


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a time in seconds")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tidegate.server.supervisor",
        description="Serve one model with worker processes that are replaced when they die or when the model changes. "
        "What follows -- goes to every worker as it is (python -m tidegate.server --help).",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--bundle", type=Path, help="folder of a bundle")
    source.add_argument("--model-file", type=Path, help="a model's file or folder, of which a bundle is built")
    source.add_argument("--repository", type=Path, help="folder of models; allows load and unload over HTTP")
    parser.add_argument("--model", help="name of the model (in a repository: its folder; default: the only one)")
    parser.add_argument("--deployment", help="deployment that this replica belongs to (default: the model's name)")
    parser.add_argument("--revision", type=int, default=1, help="its revision")
    parser.add_argument("--model-version", help="version to clients; in a repository the one to begin with")
    parser.add_argument("--framework", help="name of the runtime (default: by the model's content)")
    parser.add_argument("--trust", action="store_true", help="code that comes with a model may run")
    parser.add_argument("--sample", type=Path, help="rows of typical input, for a model that does not say its columns")
    parser.add_argument(
        "--settings", type=_settings, help="file with a JSON object: what this runtime alone needs to know"
    )
    parser.add_argument("--workers", type=_workers, default=1, help=f"number, or auto: the cores, at most {_AUTO_MOST}")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--grpc-port", type=int, help="0 takes a free one (default: no gRPC)")
    parser.add_argument("--run-dir", type=Path, required=True, help="folder for the lock, state.json and bundles")
    parser.add_argument("--drain-seconds", type=_seconds, default=1.0, help="accept this long after SIGTERM")
    parser.add_argument("--grace-seconds", type=_seconds, default=30.0, help="then finish what is in flight")
    parser.add_argument("--load-seconds", type=_seconds, default=LOAD_SECONDS, help="for a model to become ready")
    parser.add_argument(
        "--load-priority",
        choices=("idle", "normal"),
        default="idle",
        help="of a model that is loaded while another serves; idle takes long where no processor is ever free",
    )
    parser.add_argument("--watch-seconds", type=_seconds, default=0.0, help="look for a newer model; 0 for never")
    parser.add_argument("--announce", action="store_true", help="write what happens to stdout as JSON lines")
    parser.add_argument("--end-with-stdin", action="store_true", help="end when standard input does")
    return parser


def parse_arguments(arguments: Sequence[str]) -> SupervisorSettings:
    """Read the command line; a wrong one ends the process with argparse's own message and exit code 2."""
    words = list(arguments)
    cut = words.index("--") if "--" in words else len(words)
    given = _parser().parse_args(words[:cut])
    return SupervisorSettings(
        bundle=given.bundle,
        model_file=given.model_file,
        repository=given.repository,
        model=given.model,
        deployment=given.deployment,
        revision=given.revision,
        version=given.model_version,
        framework=given.framework,
        trust=given.trust,
        sample=given.sample,
        settings=given.settings or {},
        workers=given.workers,
        host=given.host,
        port=given.port,
        grpc_port=given.grpc_port,
        run_dir=given.run_dir.absolute(),
        drain_seconds=given.drain_seconds,
        grace_seconds=given.grace_seconds,
        load_seconds=given.load_seconds,
        loads_standing_back=given.load_priority == "idle",
        watch_seconds=given.watch_seconds,
        announces=given.announce,
        ends_with_stdin=given.end_with_stdin,
        worker_options=tuple(words[cut + 1 :]),
    )
