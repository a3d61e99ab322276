"""`make test-postgresql` runs whatever uses PostgreSQL, and nothing else."""

from __future__ import annotations

from tests.store.on_debian import TESTS, users


def test_what_runs_a_server_or_borrows_one_is_found_and_what_names_one_is_not() -> None:
    found = {path.relative_to(TESTS).as_posix() for path in users(TESTS)}
    whole = {"store", "telemetry", "features"}
    assert whole <= found
    assert {"server/test_features.py", "cli/test_predictions.py", "docs/test_store_page.py"} <= found
    assert "e2e/test_postgresql.py" in found
    assert not {path.split("/")[0] for path in found if "/" in path} & whole
    assert "docs/test_pages.py" not in found
    assert "server" not in found
