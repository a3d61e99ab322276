"""Every server of the benchmark, by name."""

from __future__ import annotations

from benchmarks.serving.peers.bentoml import BENTOML
from benchmarks.serving.peers.fastapi import FASTAPI
from benchmarks.serving.peers.kserve import KSERVE
from benchmarks.serving.peers.litserve import LITSERVE
from benchmarks.serving.peers.mlserver import MLSERVER
from benchmarks.serving.peers.ray import RAY
from benchmarks.serving.peers.tidegate import TIDEGATE
from benchmarks.serving.servers import Server

SERVERS: dict[str, Server] = {
    server.name: server for server in (*TIDEGATE, *MLSERVER, *KSERVE, *BENTOML, *LITSERVE, *RAY, *FASTAPI)
}
