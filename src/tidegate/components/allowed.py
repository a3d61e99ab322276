"""Sets of versions, as PEP 440 compares them. Pre-releases are left out: nobody pins to a set for their sake. Pure."""

from __future__ import annotations

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version


def versions_of(text: str) -> SpecifierSet | None:
    """Return the set that specifiers such as `>=3.44,<3.46.0.12` name; None for what is none."""
    # `===` compares texts, and of a set with it nothing can be said.
    try:
        return SpecifierSet(text.replace("===", "=="), prereleases=False)
    except InvalidSpecifier:
        return None


def exactly(version: str) -> SpecifierSet | None:
    """Return the set with this version alone; None for what is no version."""
    try:
        return versions_of(f"=={Version(version)}")
    except InvalidVersion:
        return None


def series(version: str) -> SpecifierSet | None:
    """Return the set of all versions that begin with this one; None for what is no version."""
    try:
        return versions_of(f"=={Version(version)}.*")
    except InvalidVersion:
        return None


def both(first: SpecifierSet, second: SpecifierSet) -> SpecifierSet:
    """Return what is in both sets."""
    return SpecifierSet(",".join(filter(None, (str(first), str(second)))), prereleases=False)


def only_version(versions: SpecifierSet) -> Version | None:
    """Return the one version that a set pins; None for a set that may hold several."""
    pinned = [one.version for one in versions if one.operator == "==" and not one.version.endswith(".*")]
    return Version(pinned[0]) if pinned else None
