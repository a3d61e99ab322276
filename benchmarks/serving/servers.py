"""What the benchmark has to know of a server in order to start it and to ask it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.serving.models import ServedModel

PEERS = Path(__file__).parent / "peers"
#: Under this name a model is known to servers that have names for models.
MODEL_NAME = "bench"


@dataclass(frozen=True)
class Start:
    """What a start is given.

    Attributes:
        python: interpreter of the server's environment.
        model: to be served.
        artifact: file of the model, or Tidegate's bundle.
        port: to listen on, on 127.0.0.1.
        spare_ports: two more, for servers that insist.
        folder: empty, for whatever the server writes; also its working directory unless the peer says otherwise.
    """

    python: Path
    model: ServedModel
    artifact: Path
    port: int
    spare_ports: tuple[int, int]
    folder: Path

    @property
    def scripts(self) -> Path:
        return self.python.parent


@dataclass(frozen=True)
class Server:
    """One server in one setting.

    Attributes:
        name: as given to `--only`.
        title: for the page.
        peer: folder under `peers` with the requirements; None for Tidegate, which runs in this environment.
        packages: distributions whose versions the page states.
        form: of the requests, see `forms`.
        path: where they go.
        settings: what is set and why, one sentence or two.
        sources: documentation that says so.
        command: to start it.
        environment: beside what every server gets.
        directory: working directory; None for the start's own folder.
        default: whether it runs when `--only` names nothing; the others are settings that were tried and lost.
        compared_with: form of Tidegate that a comparison uses.
        ceiling_path: path of a route that reads the same body and answers without a model; None when it has none.
        batch_forms: further forms in which a large request is measured.
    """

    name: str
    title: str
    peer: str | None
    packages: tuple[str, ...]
    form: str
    path: str
    settings: str
    sources: tuple[str, ...]
    command: Callable[[Start], list[str]] = field(repr=False)
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None
    default: bool = True
    compared_with: str = "tidegate"
    ceiling_path: str | None = None
    batch_forms: Mapping[str, str] = field(default_factory=dict)
