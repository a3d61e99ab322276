"""Which format a MOJO is of, with the models within it, and whether that is read here. Nothing is decoded for it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tidegate.runtime.mojo.container import MODEL_INI, Container, open_container
from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.header import ALGORITHMS, is_read, newest_of
from tidegate.runtime.mojo.info import read_info
from tidegate.runtime.mojo.registry import MAX_DEPTH, MAX_MODELS
from tidegate.runtime.mojo.submodels import folders_of


@dataclass(frozen=True)
class Identity:
    """What a file says of its own format.

    Attributes:
        algorithm: as the file spells it.
        version: of the format of this algorithm, such as 1.4.
        newest: the newest version of it that Tidegate reads.
        h2o_version: of the H2O that wrote it, as told; None where the file does not tell.
        below: the models within it, at any depth.
    """

    algorithm: str
    version: float
    newest: float
    h2o_version: str | None
    below: tuple[Identity, ...] = ()

    @property
    def is_known(self) -> bool:
        """Say whether this very version is read; the models within may be of others."""
        return is_read(self.version, self.newest)


def known_versions() -> dict[str, float]:
    """Return the newest version of the format that is read, by algorithm."""
    return dict(ALGORITHMS.values())


def identify(path: Path) -> Identity:
    """Read what a MOJO is, zip or folder.

    Raises:
        MojoFormatError: it is damaged, or no MOJO.
        MojoUnsupportedError: an algorithm that is not known, in it or within it.
    """
    with closing(open_container(path)) as container:
        return _identity(container, 0, [0])


def _identity(container: Container, depth: int, read: list[int]) -> Identity:
    read[0] += 1
    if depth > MAX_DEPTH or read[0] > MAX_MODELS:
        raise MojoFormatError(MODEL_INI, "holds models within models beyond all that H2O writes")
    keys = read_info(container).keys
    named = keys.text("algorithm")
    _, newest = newest_of(named)
    below: list[Identity] = []
    for folder in folders_of(keys).values() if "submodel_count" in keys else ():
        inner = _identity(container.below(folder), depth + 1, read)
        below += (inner, *inner.below)
    return Identity(named, keys.number("mojo_version"), newest, keys.find("h2o_version"), tuple(below))
