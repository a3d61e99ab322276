"""MLServer, asked over the Open Inference Protocol."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import Any

from benchmarks.serving.servers import MODEL_NAME, PEERS, Server, Start

_IMPLEMENTATIONS = {
    "xgboost": "mlserver_xgboost.XGBoostModel",
    "pipeline": "mlserver_sklearn.SKLearnModel",
    "network": "network.OnnxModel",
}


def _command(workers: int, batching: dict[str, Any]) -> Callable[[Start], list[str]]:
    def command(start: Start) -> list[str]:
        grpc, metrics = start.spare_ports
        server = {
            "host": "127.0.0.1",
            "http_port": start.port,
            "grpc_port": grpc,
            "metrics_port": metrics,
            "parallel_workers": workers,
            "debug": False,
        }
        model = {
            "name": MODEL_NAME,
            "implementation": _IMPLEMENTATIONS[start.model.name],
            "parameters": {"uri": str(start.artifact), "version": "1"},
            **batching,
        }
        (start.folder / "settings.json").write_text(json.dumps(server))
        (start.folder / "model-settings.json").write_text(json.dumps(model))
        shutil.copy(PEERS / "mlserver" / "network.py", start.folder)
        return [str(start.scripts / "mlserver"), "start", str(start.folder)]

    return command


def _mlserver(name: str, title: str, *, settings: str, workers: int, batching: dict[str, Any], default: bool) -> Server:
    return Server(
        name=name,
        title=title,
        peer="mlserver",
        packages=("mlserver", "mlserver-xgboost", "mlserver-sklearn", "fastapi", "uvicorn", "uvloop"),
        form="oip",
        path=f"/v2/models/{MODEL_NAME}/infer",
        settings=settings,
        sources=(
            "docs.seldon.ai/mlserver/user-guide/parallel-inference",
            "docs.seldon.ai/mlserver/user-guide/adaptive-batching",
        ),
        command=_command(workers, batching),
        default=default,
    )


_BATCHING = {"max_batch_size": 16, "max_batch_time": 0.001}
_OWN_PROCESS = "`parallel_workers=0` (the model in the server's own process), `debug=false`"
MLSERVER = (
    _mlserver(
        "mlserver",
        "MLServer",
        settings=f"{_OWN_PROCESS}; adaptive batching, `max_batch_size=16`, `max_batch_time=0.001`.",
        workers=0,
        batching=_BATCHING,
        default=True,
    ),
    _mlserver(
        "mlserver-unbatched",
        "MLServer without batching",
        settings=f"{_OWN_PROCESS}; no batching.",
        workers=0,
        batching={},
        default=False,
    ),
    _mlserver(
        "mlserver-worker",
        "MLServer with a worker process",
        settings="`parallel_workers=1`, which is its default, `debug=false`; no batching.",
        workers=1,
        batching={},
        default=False,
    ),
)
