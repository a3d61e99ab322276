"""Which ports servers want that are started by a command, and which of them revisions of this home have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tidegate.artifact.bundle import read_bundle
from tidegate.contract.errors import TidegateError
from tidegate.contract.request import ModelArtifact
from tidegate.runtime.base import ArtifactFiles
from tidegate.runtime.settings_file import read_settings_file, settings_of
from tidegate.store import RevisionRow

_COMMAND = "command"


def wanted(artifact: ModelArtifact) -> int | None:
    """Return the port that an artifact's server is to listen on; None where each replica gets a free one.

    What cannot be read has none: the check of the artifact says so in words of its own.
    """
    try:
        files = ArtifactFiles(Path(artifact.path))
        is_command = artifact.framework == _COMMAND or (
            artifact.framework is None and _COMMAND in read_settings_file(files)
        )
        return _fixed(settings_of(files, artifact.settings)) if is_command else None
    except (TidegateError, OSError):
        return None


def held(running: Iterable[tuple[str, RevisionRow]], bundles: Path) -> dict[int, str]:
    """Return who has each fixed port, in words; a revision whose bundle cannot be read has none.

    Args:
        running: revisions that have replicas, each with the name of its deployment.
        bundles: the folder of their bundles.
    """
    found: dict[int, str] = {}
    for name, revision in running:
        try:
            bundle = read_bundle(bundles / revision.digest)
            settings = settings_of(ArtifactFiles(bundle.artifact_path), bundle.manifest.settings)
        except (TidegateError, OSError):
            continue
        port = _fixed(settings) if bundle.manifest.runtime == _COMMAND else None
        if port is not None:
            found.setdefault(port, f"revision {revision.number} of {name!r}")
    return found


def _fixed(settings: Mapping[str, Any]) -> int | None:
    port = settings.get("port", 0)
    return int(port) if isinstance(port, int | float) and 0 < port <= 65535 else None
