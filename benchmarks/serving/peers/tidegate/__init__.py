"""Tidegate itself, asked in the two forms that its peers speak."""

from __future__ import annotations

import os

from benchmarks.serving.servers import MODEL_NAME, Server, Start

#: Path of a route that reads the same body and answers as much without running a model, when the server offers one.
CEILING_PATH = os.environ.get("TIDEGATE_BENCH_CEILING_PATH")
_OIP, _RECORDS = f"/v2/models/{MODEL_NAME}/infer", "/predict"


def _command(start: Start) -> list[str]:
    options = {
        "bundle": start.artifact,
        "deployment": MODEL_NAME,
        "revision": 1,
        "run-dir": start.folder / "run",
        "port": start.port,
    }
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    return [str(start.python), "-m", "tidegate.server", *words]


TIDEGATE = tuple(
    Server(
        name=name,
        title=title,
        peer=None,
        packages=("tidegate", "uvloop", "httptools", "orjson", "numpy"),
        form=form,
        path=path,
        settings="Its defaults: one process, one inference thread.",
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
