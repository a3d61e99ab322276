"""Known vulnerabilities of the packages that a model is served with, from a copy of the OSV database at hand.

Nothing is fetched. What affects a version is decided as the OSV schema says (ossf.github.io/osv-schema, "Evaluation");
versions of Python packages are compared as PEP 440 does.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from tidegate.contract.errors import InvalidInput

#: The most that one record may have; the largest of PyPI's has a hundredth of it.
_MOST_BYTES = 8 * 1024**2
_ECOSYSTEM = "PyPI"


@dataclass(frozen=True)
class Vulnerability:
    """One that affects a package of the environment.

    Attributes:
        ids: the record's own and its other names (CVE, GHSA, PYSEC), sorted.
        severity: as the database words it, e.g. "HIGH"; None where it says nothing.
        fixed_in: the lowest version above the installed one in which it is mended; None when there is none yet.
    """

    package: str
    version: str
    ids: tuple[str, ...]
    summary: str
    severity: str | None
    fixed_in: str | None

    def __str__(self) -> str:
        severity = f", {self.severity.lower()}" if self.severity else ""
        fixed = f"; mended in {self.fixed_in}" if self.fixed_in else "; not mended yet"
        return f"{self.package} {self.version}: {' = '.join(self.ids)}{severity}: {self.summary}{fixed}"


def known_vulnerabilities(
    packages: Mapping[str, str], database: Path, ignored: Iterable[str] = ()
) -> list[Vulnerability]:
    """Return what is known to affect these packages, by package.

    Args:
        packages: name to installed version.
        database: OSV records: a folder of JSON files, a ZIP of them (as OSV publishes one for PyPI), or one JSON file.
        ignored: ids that somebody has looked at and found harmless here; any of a record's names will do.

    Raises:
        InvalidInput: the database cannot be read, or holds no record.
    """
    installed = {_normal(name): (name, version) for name, version in packages.items()}
    wanted = [name.replace("-", joint).encode() for name in installed for joint in "-_."]
    found: list[Vulnerability] = []
    count = 0
    for raw in _records(database):
        count += 1
        # Most records are about other packages, and reading them takes its time.
        if any(name in raw.lower() for name in wanted):
            for record in _parsed(raw, database):
                found += _affecting(record, installed)
    if count == 0:
        raise InvalidInput(
            f"the database of vulnerabilities {database} holds no record",
            subject=str(database),
            expected="OSV records: a folder of JSON files, a ZIP of them, or one JSON file",
        )
    skipped = set(ignored)
    return sorted((one for one in _merged(found) if not skipped & set(one.ids)), key=lambda one: (one.package, one.ids))


def _normal(name: str) -> str:
    """Return a name as PEP 503 has it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _records(database: Path) -> Iterator[bytes]:
    try:
        if database.is_dir():
            for path in sorted(database.rglob("*.json")):
                yield path.read_bytes()
        elif zipfile.is_zipfile(database):
            with zipfile.ZipFile(database) as archive:
                for entry in archive.infolist():
                    if entry.filename.endswith(".json") and entry.file_size <= _MOST_BYTES:
                        yield archive.read(entry)
        else:
            yield database.read_bytes()
    except (OSError, zipfile.BadZipFile) as error:
        raise InvalidInput(
            f"the database of vulnerabilities {database} cannot be read: {error}", subject=str(database)
        ) from error


def _parsed(raw: bytes, database: Path) -> list[dict[str, Any]]:
    try:
        found = json.loads(raw)
    except ValueError as error:
        raise InvalidInput(
            f"the database of vulnerabilities {database} holds what is not JSON: {error}", subject=str(database)
        ) from error
    records = found if isinstance(found, list) else [found]
    return [record for record in records if isinstance(record, dict) and not record.get("withdrawn")]


def _affecting(record: Mapping[str, Any], installed: Mapping[str, tuple[str, str]]) -> Iterator[Vulnerability]:
    for affected in record.get("affected") or ():
        package = affected.get("package") or {}
        known = installed.get(_normal(str(package.get("name", ""))))
        if package.get("ecosystem") != _ECOSYSTEM or known is None:
            continue
        name, version = known
        if is_affected(affected, version):
            severity = (record.get("database_specific") or {}).get("severity")
            told = str(record.get("summary") or record.get("details") or "no summary").strip().splitlines()
            yield Vulnerability(
                package=name,
                version=version,
                ids=tuple(sorted({str(record.get("id")), *map(str, record.get("aliases") or ())})),
                summary=told[0][:200] if told else "no summary",
                severity=str(severity) if severity else None,
                fixed_in=_fixed_in(affected, version),
            )


def is_affected(affected: Mapping[str, Any], version: str) -> bool:
    """Say whether one entry of a record's `affected` covers a version."""
    if version in (affected.get("versions") or ()):
        return True
    installed = _version(version)
    return installed is not None and any(
        _in_range(entry.get("events") or (), installed)
        for entry in affected.get("ranges") or ()
        if entry.get("type") in ("ECOSYSTEM", "SEMVER")
    )


def _in_range(events: Iterable[Mapping[str, str]], installed: Version) -> bool:
    """Walk the events in the order of their versions, as the schema's evaluation does."""
    steps = []
    for event in events:
        for kind, text in event.items():
            # "0" stands for what is before every version, pre-releases of 0 included.
            bound = None if kind == "introduced" and text == "0" else _version(text)
            if bound is not None or text == "0":
                steps.append((kind, bound))
    steps.sort(key=lambda step: (step[1] is not None, step[1] or Version("0"), step[0] != "introduced"))
    inside = False
    for kind, bound in steps:
        if kind == "introduced" and (bound is None or installed >= bound):
            inside = True
        elif bound is None:
            continue
        elif (kind in ("fixed", "limit") and installed >= bound) or (kind == "last_affected" and installed > bound):
            inside = False
    return inside


def _fixed_in(affected: Mapping[str, Any], version: str) -> str | None:
    installed = _version(version)
    if installed is None:
        return None
    texts = [
        event["fixed"]
        for entry in affected.get("ranges") or ()
        if entry.get("type") in ("ECOSYSTEM", "SEMVER")
        for event in entry.get("events") or ()
        if "fixed" in event
    ]
    later = [(parsed, text) for text in texts if (parsed := _version(text)) is not None and parsed > installed]
    return min(later)[1] if later else None


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _merged(found: Iterable[Vulnerability]) -> list[Vulnerability]:
    """Join the records of several databases that are about one thing: they name each other."""
    merged: list[Vulnerability] = []
    for one in found:
        same = [other for other in merged if other.package == one.package and set(other.ids) & set(one.ids)]
        joined = one
        for other in same:
            merged.remove(other)
            joined = Vulnerability(
                package=one.package,
                version=one.version,
                ids=tuple(sorted({*joined.ids, *other.ids})),
                summary=other.summary,
                severity=other.severity or joined.severity,
                fixed_in=other.fixed_in or joined.fixed_in,
            )
        merged.append(joined)
    return merged
