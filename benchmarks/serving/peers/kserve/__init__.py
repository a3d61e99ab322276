"""KServe's Python model server, asked over the Open Inference Protocol."""

from __future__ import annotations

from benchmarks.serving.servers import MODEL_NAME, PEERS, Server, Start


def _command(start: Start) -> list[str]:
    return [str(start.python), str(PEERS / "kserve" / "server.py")]


KSERVE = (
    Server(
        name="kserve",
        title="KServe",
        peer="kserve",
        packages=("kserve", "fastapi", "uvicorn", "uvloop"),
        form="oip",
        path=f"/v2/models/{MODEL_NAME}/infer",
        settings="`workers=1`, no gRPC server, no latency log, no access log; a custom model, because its runtimes for "
        "XGBoost and scikit-learn are not on PyPI. It has no batching of its own (in a cluster a sidecar does that).",
        sources=(
            "kserve.github.io/website/docs/model-serving/predictive-inference/frameworks/custom-predictor",
            "github.com/kserve/kserve/tree/master/python/xgbserver",
        ),
        command=_command,
        batch_forms={"oip-binary": f"/v2/models/{MODEL_NAME}/infer"},
    ),
)
