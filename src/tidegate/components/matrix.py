"""The matrix: what each place states, held to what goes together. Pure.

Facts, each seen working and failing with the real thing:

- H2O 3.46.0.12 refuses to export a MOJO, in its open-source form; 3.46.0.11 exports.
- H2O's cluster starts on Java 8 to 17, and refuses any newer one.
- H2O's client refuses a cluster of another version than its own.
- Which versions of MOJO files Tidegate reads is for its reader to say (`mojo_files`), and which Python it runs on for
  its own metadata.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tidegate.components.allowed import only_version
from tidegate.components.records import H2O, TIDEGATE, Component, Found, Row
from tidegate.contract.findings import Level

#: The first H2O that exports no MOJO.
REFUSES_EXPORT = "3.46.0.12"
H2O_VERSIONS = SpecifierSet(f"<{REFUSES_EXPORT}", prereleases=False)
OLDEST_JAVA, NEWEST_JAVA = 8, 17
JAVA_VERSIONS = SpecifierSet(f">={OLDEST_JAVA},<{NEWEST_JAVA + 1}", prereleases=False)

_ANY = "any"


@dataclass(frozen=True)
class Reference:
    """The version of H2O that all others are held to, and who states it."""

    version: Version
    found: Found


def matrix(found: Sequence[Found], python: SpecifierSet) -> list[Row]:
    """Return a row for each statement, in their order.

    Args:
        python: the versions that Tidegate runs on.
    """
    reference = reference_of(found)
    return [_row(one, reference, python) for one in found]


def reference_of(found: Iterable[Found]) -> Reference | None:
    """Return the version of H2O that clients and servers are held to; None where nobody pins one.

    It is that of a running cluster, else of a pinned server, else of a pinned client: the first that exports a MOJO.
    """
    pinned = [Reference(version, one) for one in found if (version := _pinned(one)) is not None]
    return min(pinned, key=lambda reference: _rank(reference.found), default=None)


def _pinned(one: Found) -> Version | None:
    """Return the version of H2O that a statement pins; None where it pins none, or one that exports no MOJO."""
    if one.component not in (Component.CLIENT, Component.SERVER) or one.versions is None:
        return None
    version = only_version(one.versions)
    return version if version is not None and version in one.versions and version in H2O_VERSIONS else None


def _rank(one: Found) -> int:
    """Order who is believed: a cluster cannot be mistaken about itself, and what is written down is what is meant."""
    if one.component is Component.SERVER:
        return 0 if one.is_running else 1
    return 3 if one.is_running else 2


def _row(one: Found, reference: Reference | None, python: SpecifierSet) -> Row:
    match one.component:
        case Component.CLIENT | Component.SERVER:
            return _h2o(one, reference)
        case Component.JAVA:
            return _java(one)
        case _:
            return _python(one, python)


def _h2o(one: Found, reference: Reference | None) -> Row:
    wanted = str(H2O_VERSIONS) if reference is None else f"=={reference.version}"
    fix = _h2o_fix(one, None if reference is None else reference.version)
    if one.versions is None:
        return _untold(one, wanted, fix)
    if one.versions.is_unsatisfiable():
        return _failed(one, wanted, f"no version is allowed by {one.text}", fix)
    if not one.versions.is_subset(H2O_VERSIONS):
        only = only_version(one.versions)
        reason = f"{_called(one)}{only} refuses MOJO export"
        if only is None:
            reason = f"{one.text} allows {REFUSES_EXPORT} and newer, which refuse MOJO export"
        return _failed(one, wanted, reason, fix)
    if reference is None or reference.found is one:
        return _passed(one, wanted)
    whose = f"the {reference.found.component} at {reference.found.place}"
    if reference.version not in one.versions:
        reason = f"client and server must have the same version, and {whose} has {reference.version}"
        return _failed(one, wanted, reason, fix)
    if only_version(one.versions) is None:
        reason = f"it may become another version than {reference.version}, which {whose} has"
        return Row(one.component, one.place, one.text, wanted, Level.WARN, reason, fix)
    return _passed(one, wanted)


def _called(one: Found) -> str:
    return "h2o==" if one.component is Component.CLIENT else "H2O "


def _h2o_fix(one: Found, version: Version | None) -> str:
    if one.component is Component.CLIENT:
        pin = str(H2O_VERSIONS) if version is None else f"=={version}"
        return f"pip install '{H2O}{pin}'" if one.is_running else f"pin {H2O}{pin}"
    other = f"older than {REFUSES_EXPORT}" if version is None else str(version)
    return f"start the cluster with H2O {other}" if one.is_running else f"use H2O {other}"


def _java(one: Found) -> Row:
    if H2O not in one.beside:
        return _passed(one, _ANY)
    wanted = f"{OLDEST_JAVA} to {NEWEST_JAVA}"
    remedy = one.remedy or f"use Java {NEWEST_JAVA}"
    if one.versions is None:
        return _untold(one, wanted, remedy)
    if one.versions.is_subset(JAVA_VERSIONS):
        return _passed(one, wanted)
    if one.versions.is_disjoint(SpecifierSet(f">={OLDEST_JAVA}", prereleases=False)):
        return _failed(one, wanted, f"H2O's cluster needs Java {OLDEST_JAVA} or newer", remedy)
    is_newer = one.versions.is_disjoint(JAVA_VERSIONS)
    states = "" if is_newer else f"{one.text} allows other Javas, and "
    return _failed(one, wanted, f"{states}H2O's cluster refuses Java newer than {NEWEST_JAVA}", remedy)


def _python(one: Found, python: SpecifierSet) -> Row:
    if TIDEGATE not in one.beside:
        return _passed(one, _ANY)
    wanted = str(python)
    remedy = one.remedy or f"use Python {wanted}"
    if one.versions is None:
        return _untold(one, wanted, remedy)
    if one.versions.is_subset(python):
        return _passed(one, wanted)
    return _failed(one, wanted, f"Tidegate needs Python {wanted}", remedy)


def _passed(one: Found, wanted: str) -> Row:
    return Row(one.component, one.place, one.text, wanted)


def _failed(one: Found, wanted: str, reason: str, fix: str) -> Row:
    return Row(one.component, one.place, one.text, wanted, Level.FAIL, reason, fix)


def _untold(one: Found, wanted: str, fix: str) -> Row:
    """A version that cannot be told may be right: that is worth a warning, and no mismatch."""
    return Row(one.component, one.place, one.text, wanted, Level.WARN, one.trouble or "no version can be told", fix)
