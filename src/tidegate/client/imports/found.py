"""A version that was found elsewhere, in the words of the model registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidegate.contract.errors import TidegateError


@dataclass(frozen=True)
class FoundVersion:
    """A version of a model that lies elsewhere.

    Attributes:
        number: as it is called there.
        artifact: the file or folder, on this machine; None where `refusal` says why there is none.
        source: where it comes from; holds no secret.
        metrics: as they are there; what is no finite number is left out when it is brought in.
        lineage: as `Client.registry.add` takes it.
        aliases: those that name it there.
        stage: as it is there; None for none.
        about: what the model is for.
    """

    model: str
    number: str
    source: str
    artifact: Path | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    lineage: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    aliases: tuple[str, ...] = ()
    stage: str | None = None
    about: str | None = None
    refusal: TidegateError | None = None
