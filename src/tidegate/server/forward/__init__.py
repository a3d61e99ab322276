"""The replica of a server that somebody else wrote: `process` runs it as a child, `app` passes requests on to it."""

from __future__ import annotations

from pathlib import Path

from tidegate.artifact.bundle import read_bundle
from tidegate.contract.errors import TidegateError


def is_for(bundle: Path) -> bool:
    """Say whether a bundle is a server of somebody else's; one that cannot be read is not."""
    try:
        return read_bundle(bundle).signature.kind == "opaque"
    except TidegateError:
        return False
