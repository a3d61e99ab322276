"""A plain FastAPI endpoint, as it is written when one needs no model server."""

from __future__ import annotations

from benchmarks.serving.servers import PEERS, Server, Start


def _command(start: Start) -> list[str]:
    options = ("--host", "127.0.0.1", "--port", str(start.port), "--loop", "uvloop", "--http", "httptools")
    return [str(start.python), "-m", "uvicorn", "server:app", *options, "--no-access-log", "--log-level", "warning"]


FASTAPI = (
    Server(
        name="fastapi",
        title="plain FastAPI",
        peer="fastapi",
        packages=("fastapi", "uvicorn", "uvloop", "httptools"),
        form="data",
        path="/predict",
        settings="A `def` endpoint (FastAPI runs it on a thread), JSON without pydantic models; uvicorn with uvloop "
        "and httptools, one worker, no access log.",
        sources=("fastapi.tiangolo.com/async", "www.uvicorn.org/settings"),
        command=_command,
        directory=PEERS / "fastapi",
        compared_with="tidegate-json",
    ),
)
