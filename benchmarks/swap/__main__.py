"""`python -m benchmarks.swap`: swap 300 MB forests under load, and refuse a broken file; see `make bench-swap`.

One replica with one worker serves a forest from a repository; another process sends single rows at a fixed rate. After
a quiet stretch the second forest is loaded (built, checked, loaded and warmed, all while requests come), after another
one a file cut in half is refused. The p99 during a swap is over the requests that were due between the wish to
load and the end of the last old worker. Writes benchmarks/results/swap.json and .md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.swap.memory import MemoryWatch, tree_private_bytes
from benchmarks.swap.models import TREES, train_forest

RESULTS = Path(__file__).resolve().parents[1] / "results"
MODEL = "forest"
#: Memory counts as back when it is within this factor of what one model took before.
_BACK = 1.15
_BACK_SECONDS = 30.0
_START_SECONDS = 300.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.swap", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=300, help="size of each forest")
    parser.add_argument("--rate", type=float, default=1000.0, help="requests per second")
    parser.add_argument("--quiet-seconds", type=float, default=20.0, help="before each swap")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--models", type=Path, help="folder to keep the forests in, for a second run")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-swap-")))
        result = measure(given, scratch, given.models or scratch)
    given.results.mkdir(parents=True, exist_ok=True)
    (given.results / "swap.json").write_text(json.dumps(result, indent=1) + "\n")
    (given.results / "swap.md").write_text(page(result))
    sys.stdout.write(page(result))
    return 0 if all(result["claims"].values()) else 1


def measure(given: argparse.Namespace, scratch: Path, models: Path) -> dict[str, Any]:
    """Run the whole thing and return what is written down."""
    models.mkdir(parents=True, exist_ok=True)
    files, row = [models / f"forest-{given.megabytes}-{seed}.skops" for seed in (1, 2)], [0.0] * 8
    for seed, file in enumerate(files, start=1):
        if not file.exists():
            train_forest(file, given.megabytes, seed)
    folder = scratch / "repository" / MODEL
    folder.mkdir(parents=True)
    _copy(files[0], folder / "1.skops")
    log = scratch / "log"
    with log.open("wb") as stream:
        supervisor = subprocess.Popen(
            [
                *(sys.executable, "-m", "tidegate.server.supervisor", "--repository", str(scratch / "repository")),
                *("--run-dir", str(scratch / "run"), "--announce"),
            ],
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
        )
    try:
        return _with(supervisor, given, scratch, folder, files, row)
    except BaseException:
        sys.stderr.write(log.read_text()[-3000:])
        raise
    finally:
        supervisor.terminate()
        supervisor.wait(60)


def _copy(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())


def _with(  # noqa: PLR0917
    supervisor: subprocess.Popen[str],
    given: argparse.Namespace,
    scratch: Path,
    folder: Path,
    files: list[Path],
    row: list[float],
) -> dict[str, Any]:
    assert supervisor.stdout is not None
    port = 0
    for line in supervisor.stdout:
        event = json.loads(line)
        port = event.get("port", port)
        if event["event"] == "serving":
            break
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, timeout=_START_SECONDS) as client:
        inputs = client.get(f"/v2/models/{MODEL}").json()["inputs"]
        request = _request(inputs, row)
        answer = client.post("/predict", json=request)
        answer.raise_for_status()
        one_model = tree_private_bytes(supervisor.pid)
        longest = 6 * given.quiet_seconds + 240
        begin = monotonic() + 2
        sender, notes_file = _sender(port, request, given, begin, longest, scratch)
        watch = MemoryWatch(supervisor.pid)
        time.sleep(2 + given.quiet_seconds)
        _copy(files[1], folder / "2.skops")
        good = _swap(client, supervisor, one_model)
        time.sleep(given.quiet_seconds)
        whole = files[1].read_bytes()
        (folder / "3.skops").write_bytes(whole[: len(whole) // 2])
        broken = _swap(client, supervisor, one_model)
        served = client.get(f"/v2/models/{MODEL}").json()["versions"]
        time.sleep(given.quiet_seconds / 2)
        end = monotonic()
        watch.stop()
        sender.terminate()
        sender.wait(30)
    notes = np.load(notes_file)
    return _judge(given, notes, watch.samples, one_model, good, broken, (begin + 2, end - 1), served)


def _request(inputs: list[dict[str, Any]], row: list[float]) -> Any:
    if len(inputs) == 1 and len(inputs[0]["shape"]) > 1:
        return [row]
    return {spec["name"]: value for spec, value in zip(inputs, row, strict=True)}


def _sender(  # noqa: PLR0917
    port: int, request: Any, given: argparse.Namespace, begin: float, seconds: float, scratch: Path
) -> tuple[subprocess.Popen[bytes], Path]:
    body = json.dumps(request)
    text = f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    notes = scratch / "notes.npy"
    job = {"port": port, "request": text + body, "rate": given.rate, "seconds": seconds, "begin": begin}
    job |= {"connections": given.connections, "notes": str(notes)}
    (scratch / "job.json").write_text(json.dumps(job))
    command = [sys.executable, "-m", "benchmarks.swap.sender", str(scratch / "job.json")]
    return subprocess.Popen(command), notes


def _swap(client: httpx.Client, supervisor: subprocess.Popen[str], one_model: int) -> dict[str, Any]:
    """Ask for the newest version; wait until there is one worker again and its memory alone."""
    asked = monotonic()
    answer = client.post(f"/v2/repository/models/{MODEL}/load")
    answered = monotonic()
    while len(_workers(supervisor.pid)) > 1 and monotonic() < answered + 2 * _BACK_SECONDS:
        time.sleep(0.05)
    alone = monotonic()
    while tree_private_bytes(supervisor.pid) > _BACK * one_model and monotonic() < answered + 2 * _BACK_SECONDS:
        time.sleep(0.5)
    return {
        "status": answer.status_code,
        "answer": answer.json(),
        "asked": asked,
        "answered": answered,
        "alone": alone,
        "memory_back_seconds": monotonic() - answered,
    }


def _workers(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children()


def _judge(  # noqa: PLR0917
    given: argparse.Namespace,
    notes: NDArray[np.float64],
    memory: list[tuple[float, int]],
    one_model: int,
    good: Mapping[str, Any],
    broken: Mapping[str, Any],
    span: tuple[float, float],
    served: list[str],
) -> dict[str, Any]:
    notes = notes[(notes[:, 0] >= span[0]) & (notes[:, 0] < span[1])]
    phases = {
        "before": _phase(notes, span[0], good["asked"]),
        "swap": _phase(notes, good["asked"], good["alone"]),
        "between": _phase(notes, good["alone"] + 1, broken["asked"]),
        "refusal": _phase(notes, broken["asked"], broken["alone"]),
        "after": _phase(notes, broken["alone"], span[1]),
    }
    ratio = phases["swap"]["p99_ms"] / phases["before"]["p99_ms"]
    failed = int((notes[:, 2] != 200).sum())
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "kernel": platform.release()},
        "model": {"trees": TREES, "megabytes": given.megabytes},
        "rate": given.rate,
        "connections": given.connections,
        "requests": len(notes),
        "failed": failed,
        "phases": phases,
        "p99_ratio": round(ratio, 3),
        "swap": _told(good),
        "refusal": _told(broken),
        "served_after_the_refusal": served,
        "memory_mb": {
            "one_model": round(one_model / 1e6),
            "peak": round(max((size for _, size in memory), default=0) / 1e6),
            "end": round(memory[-1][1] / 1e6) if memory else None,
            "over_time": [[round(at - span[0], 1), round(size / 1e6)] for at, size in memory],
        },
        "claims": {
            "no request failed": failed == 0,
            "p99 during the swap at most 1.5 times the p99 before": ratio <= 1.5,
            "memory back to one model within 30 s": good["memory_back_seconds"] <= _BACK_SECONDS,
            "the new version was taken": good["status"] == 200,
            "the broken file was refused": 400 <= broken["status"] < 500 and served == ["2"],
        },
    }


def _told(swap: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "status": swap["status"],
        "answer": swap["answer"],
        "seconds": round(swap["answered"] - swap["asked"], 2),
        "until_the_old_worker_ended_seconds": round(swap["alone"] - swap["answered"], 2),
        "memory_back_seconds": round(swap["memory_back_seconds"], 2),
    }


def _phase(notes: NDArray[np.float64], begin: float, end: float) -> dict[str, Any]:
    chosen = notes[(notes[:, 0] >= begin) & (notes[:, 0] < end)]
    latencies = 1e3 * (chosen[:, 1] - chosen[:, 0])
    p50, p99, p999 = np.quantile(latencies, [0.5, 0.99, 0.999]) if len(latencies) else [float("nan")] * 3
    return {
        "seconds": round(end - begin, 2),
        "requests": len(chosen),
        "failed": int((chosen[:, 2] != 200).sum()),
        # 0 stands for no answer at all: a connection that broke, or a time that was over.
        "failed_by_status": {str(int(code)): count for code, count in Counter(chosen[:, 2]).items() if code != 200},
        "p50_ms": round(float(p50), 3),
        "p99_ms": round(float(p99), 3),
        "p99.9_ms": round(float(p999), 3),
        "longest_ms": round(float(latencies.max()), 3) if len(latencies) else None,
    }


def page(result: Mapping[str, Any]) -> str:
    """Return the result for people."""
    lines = [
        "# A swap under load",
        "",
        (
            f"`make bench-swap` on {result['machine']['cores']} cores, {result['at']}: {result['rate']:g} requests/s,"
            f" open loop, {result['connections']} connections, single rows; two forests of"
            f" {result['model']['megabytes']} MB ({result['model']['trees']} trees) in one worker."
        ),
        "",
        "| Phase | Seconds | Requests | Failed | p50 ms | p99 ms | p99.9 ms | Longest ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, phase in result["phases"].items():
        cells = (phase[key] for key in ("seconds", "requests", "failed", "p50_ms", "p99_ms", "p99.9_ms", "longest_ms"))
        lines.append(f"| {name} | " + " | ".join(map(str, cells)) + " |")
    memory = result["memory_mb"]
    lines += [
        "",
        (
            f"p99 during the swap: {result['p99_ratio']} times the p99 before. Memory (private, all processes): one"
            f" model {memory['one_model']} MB, peak {memory['peak']} MB,"
            f" back {result['swap']['memory_back_seconds']} s after the swap was done."
            f" The broken file: {result['refusal']['status']},"
            f" {json.dumps(result['refusal']['answer'])}"
        ),
        "",
        *(f"- {'yes' if holds else 'NO'}: {claim}" for claim, holds in result["claims"].items()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
