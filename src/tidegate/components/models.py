"""Model files: the version of a MOJO's format, as Tidegate's own reader knows it; and what is no MOJO."""

from __future__ import annotations

from pathlib import Path

from tidegate.components.records import Component, Row
from tidegate.contract.errors import InvalidInput
from tidegate.contract.findings import Level
from tidegate.runtime.mojo.errors import MojoUnsupportedError
from tidegate.runtime.mojo.identity import Identity, identify, known_versions

_WANTED = "a MOJO that Tidegate reads"
_POJO_MARK = "hex.genmodel"
_SNIFFED_BYTES = 1 << 16
_EXPORT_KNOWN = "train with one of the algorithms that `tidegate doctor versions --output json` lists"
_EXPORT = "export it as a MOJO: model.download_mojo(path)"


def mojo_row(path: Path, place: str) -> Row:
    """Return what there is to say of a MOJO, its models within included."""
    try:
        identity = identify(path)
    except MojoUnsupportedError as error:
        return Row(Component.MODEL, place, "another MOJO", _WANTED, Level.FAIL, error.message, _EXPORT_KNOWN)
    except InvalidInput as error:
        return Row(Component.MODEL, place, "no MOJO", _WANTED, Level.FAIL, error.message, _EXPORT)
    return _row_of(identity, place)


def _row_of(identity: Identity, place: str) -> Row:
    by = "" if identity.h2o_version is None else f", by H2O {identity.h2o_version}"
    found = f"{identity.algorithm} {identity.version:.2f}{by}"
    unknown = next((one for one in (identity, *identity.below) if not one.is_known), None)
    if unknown is None:
        return Row(Component.MODEL, place, found, f"{identity.newest:.2f} at most")
    within = "" if unknown is identity else f"the model {unknown.algorithm} {unknown.version:.2f} within is of "
    reason = f"{within}a format newer than {unknown.newest:.2f}, the newest of {unknown.algorithm} that Tidegate reads"
    fix = "train it with an older H2O, or upgrade Tidegate"
    return Row(Component.MODEL, place, found, f"{identity.newest:.2f} at most", Level.FAIL, reason, fix)


def is_pojo(path: Path) -> bool:
    """Say whether a Java source is a model, as `download_pojo` writes it."""
    with path.open("rb") as stream:
        return _POJO_MARK in stream.read(_SNIFFED_BYTES).decode("utf-8", "replace")


def pojo_row(place: str) -> Row:
    """Return why Java source is no model that can be taken."""
    reason = (
        "a POJO is source code: to score it takes a Java compiler and a JVM, and it runs whatever is written in it; "
        "Tidegate takes MOJO files only"
    )
    return Row(Component.MODEL, place, "a POJO (Java source)", _WANTED, Level.FAIL, reason, _EXPORT)


def formats() -> dict[str, str]:
    """Return the newest version of the MOJO format that Tidegate reads, by algorithm."""
    return {algorithm: f"{newest:.2f}" for algorithm, newest in known_versions().items()}


def reader_row(place: str) -> Row:
    """Return in a few words which formats Tidegate reads."""
    versions = formats()
    told = f"{len(versions)} algorithms, versions up to {max(versions.values())}"
    return Row(Component.READER, place, told, "any")
