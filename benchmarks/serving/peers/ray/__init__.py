"""Ray Serve: the processes of a Ray node (GCS, raylet, controller, proxy) and one replica."""

from __future__ import annotations

from benchmarks.serving.servers import PEERS, Server, Start


def _command(start: Start) -> list[str]:
    return [str(start.python), str(PEERS / "ray" / "server.py")]


RAY = (
    Server(
        name="ray",
        title="Ray Serve",
        peer="ray",
        packages=("ray", "uvicorn", "uvloop"),
        form="data",
        path="/predict",
        settings="`num_replicas=1`, `serve.batch(max_batch_size=16, batch_wait_timeout_s=0.001)`, "
        "`max_ongoing_requests=64`, `RAY_SERVE_THROUGHPUT_OPTIMIZED=1`, no access log, no dashboard.",
        sources=(
            "docs.ray.io/en/latest/serve/advanced-guides/performance.html",
            "docs.ray.io/en/latest/serve/advanced-guides/dyn-req-batch.html",
        ),
        command=_command,
        environment={
            "BENCH_BATCH_TIMEOUT": "0.001",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_DISABLE_IMPORT_WARNING": "1",
        },
        compared_with="tidegate-json",
    ),
)
