"""What travels between those that read places and the one decision: what was found, and a row of the matrix."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from packaging.specifiers import SpecifierSet

from tidegate.contract.findings import Level


class Component(StrEnum):
    """What has a version. Values are what people read."""

    CLIENT = "h2o client"
    SERVER = "h2o server"
    JAVA = "java"
    PYTHON = "python"
    MODEL = "model file"
    READER = "mojo reader"


#: Names of packages whose presence beside a Java or a Python says that its version matters.
H2O, TIDEGATE = "h2o", "tidegate"


@dataclass(frozen=True)
class Found:
    """A version, as one place states it.

    Attributes:
        place: a file with its line, the address of a cluster, or this environment.
        text: as it stands there.
        versions: all that may be there by this statement; None when it cannot be told.
        remedy: what to write instead, where the place itself suggests a form; None for what the decision says.
        trouble: why it cannot be told; None when `versions` is there.
        beside: H2O and TIDEGATE, as far as they are in the same environment: the stage of an image, a project.
        is_running: this very version answered; it is not only asked for.
    """

    component: Component
    place: str
    text: str
    versions: SpecifierSet | None
    remedy: str | None = None
    trouble: str | None = None
    beside: frozenset[str] = frozenset()
    is_running: bool = False


@dataclass(frozen=True)
class Row:
    """A cell of the matrix: a component at a place.

    Attributes:
        wanted: what would go with all the rest.
        reason: why it does not, or cannot be told; None when all is well.
        fix: what to do then.
    """

    component: Component
    place: str
    found: str
    wanted: str
    level: Level = Level.PASS
    reason: str | None = None
    fix: str | None = None

    def as_dict(self) -> dict[str, str]:
        """Return the JSON form; keys without a value are left out."""
        fields = {
            "component": self.component.value,
            "place": self.place,
            "found": self.found,
            "wanted": self.wanted,
            "level": self.level.value,
            "reason": self.reason,
            "fix": self.fix,
        }
        return {key: value for key, value in fields.items() if value is not None}

    @property
    def message(self) -> str | None:
        """Why, and what to do, in one line; None when all is well."""
        if self.reason is None:
            return None
        return self.reason if self.fix is None else f"{self.reason}: {self.fix}"
