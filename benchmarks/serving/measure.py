"""The plan for one start of one server with one model.

Start-up, memory, then for each size of request: the most it can do (closed loop), a load that is equal for all servers
and half of what it can do itself (open loop). Large requests are sent one after the other: what counts there is how long
one takes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.serving.asking import GeneratorFailedError, NoAnswerError, Requests, load, requests, seconds_until_right
from benchmarks.serving.environments import EnvironmentFailedError, python_of
from benchmarks.serving.load import CONNECTIONS
from benchmarks.serving.models import ServedModel
from benchmarks.serving.processes import Cores, ServerProcess, free_ports
from benchmarks.serving.servers import PEERS, Server, Start

SINGLE, BATCH, LARGE = 1, 100, 10_000
#: Requests per second that every server is asked for, by rows per request: what the slowest peer sustains.
EQUAL_LOAD = {SINGLE: 100.0, BATCH: 20.0}
#: Above this share of an offered load a server is said to sustain it.
_ROOT = str(Path(__file__).parents[2])


@dataclass(frozen=True)
class Lengths:
    """Seconds of each measurement.

    Attributes:
        rounds: how often every server is started with every model, in turn.
        repetitions: of the closed loop with single rows, per round.
        warm: closed loop that is thrown away.
        closed, equal, half: by rows per request.
    """

    rounds: int
    repetitions: int
    warm: float
    closed: Mapping[int, float]
    equal: Mapping[int, float]
    half: Mapping[int, float]


FULL = Lengths(
    rounds=2,
    repetitions=2,
    warm=0.6,
    closed={SINGLE: 1.2, BATCH: 1.2, LARGE: 1.5},
    equal={SINGLE: 5.0, BATCH: 5.0},
    half={SINGLE: 3.0},
)
QUICK = Lengths(
    rounds=1,
    repetitions=1,
    warm=0.4,
    closed={SINGLE: 0.8, BATCH: 0.8, LARGE: 1.0},
    equal={SINGLE: 2.0, BATCH: 2.0},
    half={SINGLE: 1.0},
)


@dataclass(frozen=True)
class Bench:
    """What all measurements share.

    Attributes:
        base: folder of environments, models and bundles, kept between runs.
        models: by name.
        bundles: Tidegate's bundle of each model.
        cores: who runs where.
        lengths: how long.
    """

    base: Path
    models: Mapping[str, ServedModel]
    bundles: Mapping[str, Path]
    cores: Cores
    lengths: Lengths


@dataclass
class Measured:
    """What one start gave.

    Attributes:
        startup_seconds, memory_idle_mib, memory_mib: None when it never answered rightly.
        stages: reports of the load generator; each has `stage` and `rows` besides.
        latencies: file of each stage's latencies, by the same index.
        failures: what could not be measured, one sentence each.
    """

    server: str
    model: str
    startup_seconds: float | None = None
    memory_idle_mib: float | None = None
    memory_mib: float | None = None
    stages: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def measure(server: Server, model: ServedModel, bench: Bench, seed: int) -> Measured:
    """Start a server with a model, go through the plan and end it. What fails is noted in the result, not raised."""
    measured = Measured(server.name, model.name)
    try:
        python = python_of(server, bench.base)
        with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
            running, port = start(server, model, bench, Path(folder), python)
            with running:
                _go_through(server, model, bench, measured, running, port, seed, Path(folder))
    except (EnvironmentFailedError, NoAnswerError, GeneratorFailedError, OSError) as error:
        measured.failures.append(_presentable(str(error), bench))
    return measured


def start(server: Server, model: ServedModel, bench: Bench, folder: Path, python: Path) -> tuple[ServerProcess, int]:
    """Start a server; it is not ready when this returns. Returns it and its port."""
    port, *spare = free_ports(3)
    scratch = folder / "server"
    scratch.mkdir()
    own = server.peer is None
    artifact = bench.bundles[model.name] if own else model.path
    given = Start(python.absolute(), model, artifact.absolute(), port, (spare[0], spare[1]), scratch)
    environment = {
        **server.environment,
        "BENCH_MODEL_KIND": model.name,
        "BENCH_MODEL_PATH": str(model.path.absolute()),
        "BENCH_PORT": str(port),
        "BENCH_FOLDER": str(scratch),
        "HOME": str(scratch),
        "BENTOML_HOME": str(scratch / "bentoml"),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": _ROOT if own else str(PEERS / "shared"),
        "PATH": f"{given.scripts}{os.pathsep}{os.environ['PATH']}",
    }
    running = ServerProcess(server.command(given), folder, environment, bench.cores, server.directory or scratch)
    return running, port


def _go_through(
    server: Server,
    model: ServedModel,
    bench: Bench,
    measured: Measured,
    running: ServerProcess,
    port: int,
    seed: int,
    folder: Path,
) -> None:
    lengths = bench.lengths
    asked = {rows: requests(model, server.form, server.path, rows) for rows in (SINGLE, BATCH, LARGE)}

    def stage(name: str, rows: int, what: Requests, check: bool = True, **job: Any) -> dict[str, Any]:
        report = load(what, {"port": port, "seed": seed, **job}, folder, bench.cores, name, check)
        latencies = str(folder / f"{name}.npy")
        report |= {"stage": name, "rows": rows, "form": what.form, **summary(latencies)}
        del report["port"]
        if report["failed"] or report["wrong"]:
            measured.failures.append(
                f"{name}, {rows} rows: {report['failed']} of {report['sent']} failed ({report['statuses']}), "
                f"{report['wrong']} of {report['checked']} wrong {' '.join(report['wrong_first'])}"
            )
        return report

    def keep(name: str, rows: int, what: Requests, check: bool = True, **job: Any) -> dict[str, Any]:
        measured.stages.append(stage(name, rows, what, check, **job))
        return measured.stages[-1]

    measured.startup_seconds = seconds_until_right(running, port, asked[SINGLE])
    measured.memory_idle_mib = running.memory_mib()
    stage("warm", SINGLE, asked[SINGLE], mode="closed", seconds=lengths.warm, connections=CONNECTIONS)
    for _ in range(lengths.repetitions):
        best = keep("most", SINGLE, asked[SINGLE], mode="closed", seconds=lengths.closed[SINGLE])
        if server.ceiling_path is not None:
            ceiling = requests(model, server.form, server.ceiling_path, SINGLE)
            keep("ceiling", SINGLE, ceiling, False, mode="closed", seconds=lengths.closed[SINGLE])
    keep("most", BATCH, asked[BATCH], mode="closed", seconds=lengths.closed[BATCH])
    one = {"mode": "closed", "connections": 1, "seconds": lengths.closed[LARGE]}
    keep("one-by-one", LARGE, asked[LARGE], **one)
    for form, path in server.batch_forms.items():
        if form == "oip-binary" and model.columns:
            continue  # text gains nothing from it
        keep("one-by-one", LARGE, requests(model, form, path, LARGE), **one)
    for rows, seconds in lengths.equal.items():
        keep("equal", rows, asked[rows], mode="open", rate=EQUAL_LOAD[rows], seconds=seconds)
    for rows, seconds in lengths.half.items():
        rate = max(1.0, best["requests_per_second"] / 2)
        keep("half", rows, asked[rows], mode="open", rate=rate, seconds=seconds)
    measured.memory_mib = running.memory_mib()


def summary(latencies: str) -> dict[str, float | None]:
    """Return quantiles of the latencies in a file; None for one that rests on less than one request."""
    import numpy as np

    values = np.load(latencies)
    quantiles = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999}
    known = {
        name: float(np.quantile(values, level)) if len(values) * (1 - level) >= 0.999 else None
        for name, level in quantiles.items()
    }
    return {**known, "max_ms": float(values.max()) if len(values) else None}


def _presentable(text: str, bench: Bench) -> str:
    """Return a message without the paths of this machine."""
    return text.replace(str(bench.base.absolute()), "ENVIRONMENTS").replace(_ROOT, "").replace(str(Path.home()), "~")
