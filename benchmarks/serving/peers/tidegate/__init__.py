"""Tidegate itself, asked in the two forms that its peers speak."""

from __future__ import annotations

from benchmarks.serving.peers.tidegate.server import PATH as CEILING_PATH
from benchmarks.serving.servers import MODEL_NAME, Server, Start

#: The peers have no latency objective, so they let every request wait. With its default of 50 ms Tidegate would refuse
#: what waits longer, and throughputs could not be compared.
_OBJECTIVE_MS = 2000
_OIP, _RECORDS = f"/v2/models/{MODEL_NAME}/infer", "/predict"


def _command(start: Start) -> list[str]:
    options = {
        "bundle": start.artifact,
        "deployment": MODEL_NAME,
        "revision": 1,
        "run-dir": start.folder / "run",
        "port": start.port,
        "latency-objective-ms": _OBJECTIVE_MS,
    }
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    return [str(start.python), "-m", "benchmarks.serving.peers.tidegate.server", *words]


TIDEGATE = tuple(
    Server(
        name=name,
        title=title,
        peer=None,
        packages=("tidegate", "uvloop", "httptools", "orjson", "numpy"),
        form=form,
        path=path,
        settings=(
            f"Its defaults: one process, one inference thread; an objective of {_OBJECTIVE_MS} ms, to refuse nothing."
        ),
        sources=("docs/reference",),
        command=_command,
        ceiling_path=CEILING_PATH,
        batch_forms=forms,
    )
    for name, title, form, path, forms in (
        ("tidegate", "Tidegate (OIP)", "oip", _OIP, {"oip-binary": _OIP}),
        ("tidegate-json", "Tidegate (/predict)", "records", _RECORDS, {"columns": _RECORDS}),
    )
)
