"""BentoML: its supervisor and one worker."""

from __future__ import annotations

from benchmarks.serving.servers import PEERS, Server, Start


def _command(start: Start) -> list[str]:
    address = ("--host", "127.0.0.1", "--port", str(start.port))
    return [str(start.scripts / "bentoml"), "serve", "service:Service", *address]


def _bentoml(name: str, title: str, *, settings: str, batched: bool, default: bool) -> Server:
    return Server(
        name=name,
        title=title,
        peer="bentoml",
        packages=("bentoml", "starlette", "uvicorn"),
        form="data-list",
        path="/predict",
        settings=settings,
        sources=(
            "docs.bentoml.com/en/latest/get-started/adaptive-batching.html",
            "docs.bentoml.com/en/latest/examples/xgboost.html",
        ),
        command=_command,
        environment={"BENCH_BATCHED": "1" if batched else "0", "BENTOML_DO_NOT_TRACK": "True"},
        directory=PEERS / "bentoml",
        default=default,
        compared_with="tidegate-json",
    )


_COMMON = "`workers=1`, a NumPy array in and out, no access log, tracking off"
BENTOML = (
    _bentoml(
        "bentoml",
        "BentoML",
        settings=f"{_COMMON}; adaptive batching (`batchable=True`), for which the pipeline takes a list of records "
        "because it cannot batch DataFrames.",
        batched=True,
        default=True,
    ),
    _bentoml(
        "bentoml-unbatched",
        "BentoML without batching",
        settings=f"{_COMMON}; no batching, the pipeline takes a DataFrame.",
        batched=False,
        default=False,
    ),
)
