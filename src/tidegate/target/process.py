"""The process of a replica: its command, its environment, its start in a session of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tidegate.gateway.base import LOOPBACK, Endpoint
from tidegate.target.base import RevisionSpec
from tidegate.target.slots import Slot

#: Returns the command line that runs one replica: of this revision, with this index, in this folder.
Command = Callable[[RevisionSpec, int, Path], list[str]]

#: What numeric libraries read to size their thread pools.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OMP_THREAD_LIMIT",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

#: Where controller and replicas have the URL of Redis from.
CACHE_URL_VARIABLE = "TIDEGATE_CACHE_URL"
#: The sink that is the store; where the controller has the address of the one for replicas, its own or another that
#: allows them less; and where they have it.
STORE_SINK, SERVING_STORE_VARIABLE, STORE_VARIABLE = "store:", "TIDEGATE_SERVING_STORE", "TIDEGATE_STORE"
#: Where controller and replicas have the key of hashes in the prediction log from.
KEY_VARIABLE = "TIDEGATE_PREDICTION_LOG_KEY"
#: Where everything that scores MOJO files has the folder of compiled kernels from (`runtime.mojo.kernel_library`).
KERNELS_VARIABLE = "TIDEGATE_MOJO_LIBRARY"

#: How long a replica goes on taking requests after SIGTERM. The gateway has let go of it by then; this is for a SIGTERM
#: that somebody else sends, and long enough for the gateway's health check to notice.
_DRAIN_SECONDS = 0.5
#: It may then finish what is in flight for as long as it is let live: the target ends that, by the request's timeout.
_REQUEST_GRACE_SECONDS = 3600.0


def server_command(spec: RevisionSpec, index: int, run_dir: Path) -> list[str]:
    """Return the command of Tidegate's own server: one process, or a supervisor of several."""
    module = "tidegate.server" if spec.workers == 1 else "tidegate.server.supervisor"
    return [sys.executable, "-m", module, *server_arguments(spec, index, run_dir, Endpoint(LOOPBACK, 0, 0))]


def server_arguments(spec: RevisionSpec, index: int, run_dir: Path, at: Endpoint) -> list[str]:
    """Return the arguments of the server, or of its supervisor where the revision has several workers.

    Args:
        at: where to listen; the port 0 is any that is free.
    """
    listening = {
        "--bundle": spec.bundle,
        "--deployment": spec.ref.deployment,
        "--revision": spec.ref.revision,
        "--model-version": spec.model_version,
        "--host": at.host,
        "--port": at.port,
        **({"--grpc-port": at.grpc_port} if spec.grpc else {}),
        "--run-dir": run_dir,
        "--drain-seconds": _DRAIN_SECONDS,
        "--grace-seconds": _REQUEST_GRACE_SECONDS,
    }
    serving = {
        "--replica": index,
        "--latency-objective-ms": spec.latency_objective_ms,
        "--threads": spec.threads,
        **_answering_options(spec, index),
    }
    if spec.workers == 1:
        options = {**listening, "--model-name": spec.model_name, **serving}
        return _words(options)
    options = {**listening, "--model": spec.model_name, "--workers": spec.workers}
    return [*_words(options), "--", *_words(serving)]


def with_faults(command: Command, faults: Path) -> Command:
    """Return a command that injects faults, in a rehearsal.

    Args:
        faults: a JSON object with a fault (`contract.faults`) for each revision that has one, by its number as text; it
            is read anew for every process.
    """

    def faulty(spec: RevisionSpec, index: int, run_dir: Path) -> list[str]:
        fault = json.loads(faults.read_text(encoding="utf-8")).get(str(spec.ref.revision))
        words = command(spec, index, run_dir)
        # Last in the line they are the server's own options, whether or not a supervisor hands them on.
        return words if fault is None else [*words, "--fault", str(fault)]

    return faulty


def _words(options: Mapping[str, object]) -> list[str]:
    """Return the words of a command line; of an option with several values, one word for each."""
    words: list[str] = []
    for name, value in options.items():
        # A value may begin with a dash: so it is none for an option of its own.
        words += [f"{name}={one}" for one in value] if isinstance(value, tuple) else [name, str(value)]
    return words


def _answering_options(spec: RevisionSpec, index: int) -> dict[str, object]:
    answering = spec.answering
    options: dict[str, object] = {
        "--timeout-seconds": answering.timeout_seconds,
        "--max-batch": answering.batch_requests,
        "--max-batch-rows": answering.batch_rows,
        "--cache": answering.cache,
    }
    if answering.cache != "off":
        options["--cache-ttl-seconds"] = answering.cache_ttl_seconds
    if answering.cache == "memory":
        options["--cache-mib"] = answering.cache_bytes / 1024**2
    if answering.features_view is not None:
        options["--features-view"] = answering.features_view
        options["--features-entity"] = answering.features_entity
        options["--features-max-age-seconds"] = answering.features_max_age_seconds
    if answering.prediction_sink is not None:
        options["--prediction-log"] = sink_of(answering.prediction_sink, spec, index)
        options["--prediction-log-sample"] = answering.prediction_share
        options["--prediction-log-drop"] = answering.prediction_dropped
        options["--prediction-log-hash"] = answering.prediction_hashed
        if answering.prediction_key_file is not None:
            options["--prediction-log-key-file"] = answering.prediction_key_file
    return options


def sink_of(template: str, spec: RevisionSpec, index: int) -> str:
    """Return where one replica logs its predictions: the sink with its placeholders replaced."""
    facts = {"deployment": spec.ref.deployment, "revision": spec.ref.revision, "replica": index}
    for name, value in facts.items():
        template = template.replace(f"{{{name}}}", str(value))
    return template


def environment(inherited: Mapping[str, str], spec: RevisionSpec) -> dict[str, str]:
    """Return the environment of a replica: ours without Tidegate's own settings, and without thread pools in libraries.

    A process with several threads answers as many requests side by side, each on one thread. The URL of Redis is handed
    on to those that cache there, the store's to those that log there or look features up, and the key to those that
    hash: arguments and `spec.json` are seen by others, the environment is not. Where kernels are is for each replica: a
    model that was checked with them is served with them.
    """
    answering = spec.answering
    wanted = {KERNELS_VARIABLE}
    if answering.cache == "redis":
        wanted.add(CACHE_URL_VARIABLE)
    if answering.prediction_hashed and answering.prediction_key_file is None:
        wanted.add(KEY_VARIABLE)
    kept = {name: value for name, value in inherited.items() if not name.startswith("TIDEGATE_") or name in wanted}
    store = inherited.get(SERVING_STORE_VARIABLE)
    if store and (answering.prediction_sink == STORE_SINK or answering.features_view is not None):
        kept[STORE_VARIABLE] = store
    return {**kept, **dict.fromkeys(_THREAD_VARIABLES, "1"), "PYTHONUNBUFFERED": "1"}


def spec_document(spec: RevisionSpec, index: int, command: list[str]) -> dict[str, Any]:
    """Return what `spec.json` says of the process about to start."""
    return {
        "deployment": spec.ref.deployment,
        "revision": spec.ref.revision,
        "replica": index,
        "bundle": str(spec.bundle),
        "model_name": spec.model_name,
        "model_version": spec.model_version,
        "latency_objective_ms": spec.latency_objective_ms,
        "threads": spec.threads,
        "workers": spec.workers,
        "grpc": spec.grpc,
        "platform": spec.platform,
        **asdict(spec.answering),
        "command": command,
    }


def spawn(slot: Slot, spec: RevisionSpec, command: Command) -> subprocess.Popen[bytes] | None:
    """Start the replica's process; it survives the caller. None when one lives already."""
    held = slot.hold()
    if held is None:
        return None
    try:
        words = command(spec, slot.index, slot.folder)
        slot.prepare(spec_document(spec, slot.index, words))
        with slot.log.open("ab") as log:
            return subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Not the user's folder: a file of theirs named like a module would be imported in its place.
                cwd=slot.folder,
                env=environment(os.environ, spec),
                pass_fds=(held,),
                start_new_session=True,
            )
    finally:
        # The lock lives on in the process; ours goes, whether or not there is one.
        os.close(held)
