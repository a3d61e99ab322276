"""`make test-postgresql` runs whatever uses PostgreSQL, and nothing else, with the pg_partman that is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.store.on_debian import TESTS, users
from tests.support.debian_postgresql import Installation, chosen, lacking


def installed(root: Path, partman: str | None) -> Installation:
    """Return an installation that has the files which are looked for."""
    made = Installation(root)
    made.programs.mkdir(parents=True)
    (made.programs / "postgres").touch()
    extensions = root / "share" / "postgresql" / "15" / "extension"
    extensions.mkdir(parents=True)
    if partman is not None:
        (extensions / "pg_partman.control").write_text(f"relocatable = false\ndefault_version = '{partman}'\n")
    return made


@pytest.mark.parametrize(
    ("asked", "there", "taken"),
    [
        (None, ["4.7.2", "5.1.0"], "4.7.2"),
        ("4", ["4.7.2", "5.1.0"], "4.7.2"),
        ("5", ["4.7.2", "5.1.0"], "5.1.0"),
        ("5", [None, "5.1.0"], "5.1.0"),
        ("5", ["5.3.1"], "5.3.1"),
        ("4", ["5.3.1", "5.1.0"], "5.3.1"),
        ("5", ["4.7.2"], "4.7.2"),
    ],
)
def test_the_version_of_pg_partman_that_is_asked_for_is_taken_and_another_is_no_match(
    tmp_path: Path, asked: str | None, there: list[str | None], taken: str
) -> None:
    found = chosen([installed(tmp_path / str(number), version) for number, version in enumerate(there)], asked)
    assert found.partman == taken
    told = lacking(partman=True, installation=found, asked=asked)
    if asked is None or found.has_partman(asked):
        assert told is None
    else:
        assert told is not None
        assert told.startswith(f"pg_partman is {taken} here, and TIDEGATE_TEST_PARTMAN asks for {asked}: ")


def test_what_runs_a_server_or_borrows_one_is_found_and_what_names_one_is_not() -> None:
    found = {path.relative_to(TESTS).as_posix() for path in users(TESTS)}
    whole = {"store", "telemetry", "features"}
    assert whole <= found
    assert {"server/test_features.py", "cli/test_predictions.py", "docs/test_store_page.py"} <= found
    assert "e2e/test_postgresql.py" in found
    assert not {path.split("/")[0] for path in found if "/" in path} & whole
    assert "docs/test_pages.py" not in found
    assert "server" not in found
