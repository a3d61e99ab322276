"""LitServe: an API process and one worker process, which is the least it has."""

from __future__ import annotations

from benchmarks.serving.servers import PEERS, Server, Start


def _command(start: Start) -> list[str]:
    return [str(start.python), str(PEERS / "litserve" / "server.py")]


def _litserve(name: str, title: str, *, settings: str, size: int, timeout: float, default: bool) -> Server:
    return Server(
        name=name,
        title=title,
        peer="litserve",
        packages=("litserve", "fastapi", "uvicorn", "uvloop"),
        form="data",
        path="/predict",
        settings=settings,
        sources=("lightning.ai/docs/litserve/features/batching", "lightning.ai/docs/litserve/api-reference/litserver"),
        command=_command,
        environment={"BENCH_MAX_BATCH_SIZE": str(size), "BENCH_BATCH_TIMEOUT": str(timeout)},
        default=default,
        compared_with="tidegate-json",
    )


_COMMON = "One API server, one worker, `fast_queue` (ZeroMQ), log level warning"
LITSERVE = (
    _litserve(
        "litserve",
        "LitServe",
        settings=f"{_COMMON}; `max_batch_size=16`, `batch_timeout=0.001`.",
        size=16,
        timeout=0.001,
        default=True,
    ),
    _litserve(
        "litserve-unbatched",
        "LitServe without batching",
        settings=f"{_COMMON}; no batching.",
        size=1,
        timeout=0.0,
        default=False,
    ),
)
