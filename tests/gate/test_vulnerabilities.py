"""Records of OSV against installed packages: ranges, lists, names of one thing, and what is no database."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from tidegate.contract.errors import InvalidInput
from tidegate.gate.vulnerabilities import is_affected, known_vulnerabilities

versions = st.builds("{}.{}".format, st.integers(0, 4), st.integers(0, 4))


def record(name: str = "scikit-learn", ecosystem: str = "PyPI", **fields: Any) -> dict[str, Any]:
    affected = {
        "package": {"name": name, "ecosystem": ecosystem},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.5.0"}]}],
    }
    return {"id": "GHSA-1", "aliases": ["CVE-2024-1"], "summary": "leaks tokens", "affected": [affected], **fields}


def folder_of(tmp_path: Path, *records: dict[str, Any]) -> Path:
    folder = tmp_path / "osv"
    folder.mkdir()
    for at, one in enumerate(records):
        (folder / f"{at}.json").write_text(json.dumps(one))
    return folder


@given(installed=versions, bounds=st.tuples(versions, versions))
def test_a_version_is_affected_from_its_introduction_up_to_the_mended_one(
    installed: str, bounds: tuple[str, str]
) -> None:
    start, end = sorted(bounds, key=Version)
    affected = {"ranges": [{"type": "ECOSYSTEM", "events": [{"fixed": end}, {"introduced": start}]}]}
    assert is_affected(affected, installed) == (Version(start) <= Version(installed) < Version(end))


@given(installed=versions, last=versions)
def test_the_last_affected_version_is_one_itself(installed: str, last: str) -> None:
    events = [{"introduced": "0"}, {"last_affected": last}]
    affected = is_affected({"ranges": [{"type": "ECOSYSTEM", "events": events}]}, installed)
    assert affected == (Version(installed) <= Version(last))


def test_versions_that_are_listed_are_affected_whatever_the_ranges_say() -> None:
    assert is_affected({"versions": ["2.0"]}, "2.0")
    assert not is_affected({"versions": ["2.0"]}, "2.1")
    assert not is_affected({"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}, "2.1")
    assert not is_affected({"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}, "not a version")


def test_what_is_found_says_package_ids_severity_and_where_it_is_mended(tmp_path: Path) -> None:
    same = record(id="PYSEC-1", summary="", details="Tokens leak.\nMore.", database_specific={"severity": "HIGH"})
    found = known_vulnerabilities({"scikit_learn": "1.4.2", "numpy": "2.0"}, folder_of(tmp_path, record(), same))
    assert [str(one) for one in found] == [
        "scikit_learn 1.4.2: CVE-2024-1 = GHSA-1 = PYSEC-1, high: leaks tokens; mended in 1.5.0"
    ]


def test_what_does_not_concern_the_packages_is_left_out(tmp_path: Path) -> None:
    database = folder_of(
        tmp_path,
        record(ecosystem="npm"),
        record("pandas"),
        record(withdrawn="2025-01-01T00:00:00Z"),
        {"id": "X", "summary": "about scikit-learn"},
    )
    assert known_vulnerabilities({"scikit-learn": "1.4.2"}, database) == []
    assert known_vulnerabilities({"scikit-learn": "1.5.0"}, database) == []


def test_any_name_of_a_vulnerability_can_be_ignored(tmp_path: Path) -> None:
    database = folder_of(tmp_path, record())
    assert len(known_vulnerabilities({"scikit-learn": "1.4.2"}, database)) == 1
    assert known_vulnerabilities({"scikit-learn": "1.4.2"}, database, ["CVE-2024-1"]) == []


def test_a_zip_and_a_single_file_are_databases_too(tmp_path: Path) -> None:
    archive, single = tmp_path / "all.zip", tmp_path / "all.json"
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("GHSA-1.json", json.dumps(record()))
    single.write_text(json.dumps([record(), record("numpy")]))
    for database in (archive, single):
        assert len(known_vulnerabilities({"scikit-learn": "1.4.2"}, database)) == 1


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no record"):
        known_vulnerabilities({}, folder_of(tmp_path))
    with pytest.raises(InvalidInput, match="cannot be read"):
        known_vulnerabilities({}, tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("scikit-learn")
    with pytest.raises(InvalidInput, match="what is not JSON"):
        known_vulnerabilities({"scikit-learn": "1"}, tmp_path / "bad.json")
