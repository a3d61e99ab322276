"""Which protocols the replicas of a bundle speak beside HTTP."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from tidegate.artifact.bundle import read_bundle
from tidegate.contract.errors import TidegateError


@lru_cache(maxsize=256)  # asked at every tick; a bundle never changes
def answers_grpc(bundle: Path) -> bool:
    """Say whether replicas of a bundle answer gRPC: what it takes is installed, and their server is our own."""
    if any(find_spec(name) is None for name in ("grpc", "google")) or find_spec("google.protobuf") is None:
        return False
    try:
        return read_bundle(bundle).signature.kind != "opaque"
    except TidegateError:
        return False  # the replica will say what is wrong with it
