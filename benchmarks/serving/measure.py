"""The plan for one start of one server with one model.

Start-up, memory, then for each size of request: the most it can do (closed loop), a load that is equal for all servers,
and half of what it can do itself (both open loop).
Large requests are sent one after the other: what counts there is how long one takes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.asking import GeneratorFailedError, NoAnswerError, Requests, load, requests, seconds_until_right
from benchmarks.serving.environments import EnvironmentFailedError, python_of
from benchmarks.serving.models import ServedModel
from benchmarks.serving.processes import Cores, ServerProcess, free_ports
from benchmarks.serving.servers import PEERS, Server, Start

Array = NDArray[np.float64]
SINGLE, BATCH, LARGE = 1, 100, 10_000
#: Requests per second that every server is asked for, by model and rows per request: what the slowest peer sustains.
EQUAL_LOAD = {
    "xgboost": {SINGLE: 80.0, BATCH: 30.0},
    "pipeline": {SINGLE: 40.0, BATCH: 25.0},
    "network": {SINGLE: 80.0, BATCH: 30.0},
}
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
    closed={SINGLE: 1.0, BATCH: 1.0, LARGE: 1.2},
    equal={SINGLE: 6.5, BATCH: 8.0},
    half={SINGLE: 2.5},
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
        failures: what could not be measured, one sentence each.
        latencies: milliseconds by (stage, rows, form).
    """

    server: str
    model: str
    startup_seconds: float | None = None
    memory_idle_mib: float | None = None
    memory_mib: float | None = None
    stages: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    latencies: dict[tuple[str, int, str], list[Array]] = field(default_factory=dict, repr=False)


def measure(server: Server, model: ServedModel, bench: Bench, seed: int) -> Measured:
    """Start a server with a model, go through the plan and end it. What fails is noted in the result, not raised."""
    measured = Measured(server.name, model.name)
    try:
        python = python_of(server, bench.base)
        with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
            process, port = start(server, model, bench, Path(folder), python)
            with process:
                _Plan(server, model, bench, process, port, Path(folder), seed, measured).go_through()
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


@dataclass(frozen=True)
class _Plan:
    """The plan for a server that runs; `folder` is where its load generator keeps its files."""

    server: Server
    model: ServedModel
    bench: Bench
    process: ServerProcess
    port: int
    folder: Path
    seed: int
    measured: Measured

    def go_through(self) -> None:
        lengths = self.bench.lengths
        single, batch, large = (self._asked(rows) for rows in (SINGLE, BATCH, LARGE))
        self.measured.startup_seconds = seconds_until_right(self.process, self.port, single)
        self.measured.memory_idle_mib = self.process.memory_mib()
        self._run("warm", SINGLE, single, mode="closed", seconds=lengths.warm)
        most = []
        for _ in range(lengths.repetitions):
            report = self._keep("most", SINGLE, single, mode="closed", seconds=lengths.closed[SINGLE])
            most.append(report["requests_per_second"])
            if self.server.ceiling_path is not None:
                asked = self._asked(SINGLE, path=self.server.ceiling_path)
                self._keep("ceiling", SINGLE, asked, mode="closed", seconds=lengths.closed[SINGLE])
        self._keep("most", BATCH, batch, mode="closed", seconds=lengths.closed[BATCH])
        for asked in (large, *self._in_other_forms()):
            self._keep("one-by-one", LARGE, asked, mode="closed", connections=1, seconds=lengths.closed[LARGE])
        for rows, seconds in lengths.equal.items():
            asked = {SINGLE: single, BATCH: batch}[rows]
            self._keep("equal", rows, asked, mode="open", rate=EQUAL_LOAD[self.model.name][rows], seconds=seconds)
        self._keep("half", SINGLE, single, mode="open", rate=max(1.0, max(most) / 2), seconds=lengths.half[SINGLE])
        self.measured.memory_mib = self.process.memory_mib()

    def _asked(self, rows: int, form: str | None = None, path: str | None = None) -> Requests:
        return requests(self.model, form or self.server.form, path or self.server.path, rows)

    def _in_other_forms(self) -> list[Requests]:
        return [
            self._asked(LARGE, form, path)
            for form, path in self.server.batch_forms.items()
            if not (form == "oip-binary" and self.model.columns)  # text gains nothing from it
        ]

    def _keep(self, name: str, rows: int, asked: Requests, **job: Any) -> dict[str, Any]:
        """Run a stage and note its result, and what failed in it."""
        report, latencies = self._run(name, rows, asked, **job)
        self.measured.stages.append(report)
        self.measured.latencies.setdefault((name, rows, asked.form), []).append(latencies)
        if report["failed"] or report["wrong"]:
            self.measured.failures.append(
                f"{name}, {rows} rows, {asked.form}: {report['failed']} of {report['sent']} failed "
                f"({report['statuses']}), {report['wrong']} of {report['checked']} wrong "
                f"{' '.join(report['wrong_first'])}"
            )
        return report

    def _run(self, name: str, rows: int, asked: Requests, **job: Any) -> tuple[dict[str, Any], Array]:
        given = {"port": self.port, "seed": self.seed, **job}
        # What a route without a model answers is no prediction.
        report = load(asked, given, self.folder, self.bench.cores, name, check=name != "ceiling")
        latencies: Array = np.load(self.folder / f"{name}.npy")
        del report["port"]
        return {**report, "stage": name, "rows": rows, "form": asked.form, **summary(latencies)}, latencies


def summary(latencies_ms: Array) -> dict[str, float | None]:
    """Return quantiles of latencies; None for one that would rest on less than one request."""
    quantiles = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999}
    return {
        name: float(np.quantile(latencies_ms, level)) if len(latencies_ms) * (1 - level) >= 0.999 else None
        for name, level in quantiles.items()
    }


def _presentable(text: str, bench: Bench) -> str:
    """Return a message without the paths of this machine."""
    return text.replace(str(bench.base.absolute()), "ENVIRONMENTS").replace(_ROOT, "").replace(str(Path.home()), "~")
