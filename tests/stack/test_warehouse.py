"""PostgreSQL as the first start makes it: tables, partitions, and who may do what."""

from __future__ import annotations

import json

import pytest

from tests.stack.conftest import Stack


def test_tables_and_privileges_are_as_this_version_makes_them(stack: Stack) -> None:
    found = json.loads(stack.run("tidegate", "tidegate", "db", "check", "--output", "json"))
    assert all(check["level"] != "fail" for check in found["checks"]), found


def test_partitions_are_pg_partmans_business(stack: Stack) -> None:
    done = stack.psql("postgres", "SELECT count(*) FROM partman.part_config; SHOW shared_preload_libraries;")
    assert done.stdout.split() == ["4", "pg_partman_bgw"], done.stderr


def test_its_worker_is_no_superuser(stack: Stack) -> None:
    asked = "SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_setting('pg_partman_bgw.role');"
    assert stack.psql("postgres", asked).stdout.strip() == "keeper|f"


def test_memory_is_of_the_container_and_not_of_the_machine_that_the_settings_are_for(stack: Stack) -> None:
    done = stack.psql("postgres", "SHOW shared_buffers; SHOW max_wal_size; SHOW idle_in_transaction_session_timeout;")
    assert done.stdout.split() == ["256MB", "1GB", "5min"], done.stderr


@pytest.mark.parametrize("table", ["models", "model_versions", "model_aliases"])
def test_the_role_of_inference_can_neither_write_nor_read_the_registry(stack: Stack, table: str) -> None:
    for verb in ("DELETE", "SELECT *"):
        done = stack.psql("replica", f"{verb} FROM registry.{table};")
        assert done.returncode != 0
        assert "permission denied" in done.stderr


def test_the_role_of_inference_can_add_to_the_prediction_log_and_not_take_away(stack: Stack) -> None:
    asked = ", ".join(f"has_table_privilege('telemetry.predictions', '{what}')" for what in ("INSERT", "DELETE"))
    assert stack.psql("replica", f"SELECT {asked};").stdout.strip() == "t|f"


def test_the_controller_can_write_the_registry_and_not_change_tables(stack: Stack) -> None:
    assert stack.psql("delivery", "BEGIN; DELETE FROM registry.models WHERE false; ROLLBACK;").returncode == 0
    done = stack.psql("delivery", "DROP TABLE registry.models;")
    assert "must be owner" in done.stderr


def test_an_analyst_reads_everything_and_writes_nothing(stack: Stack) -> None:
    assert stack.psql("analyst", "SELECT count(*) FROM registry.models;").returncode == 0
    assert "permission denied" in stack.psql("analyst", "DELETE FROM registry.models;").stderr


def test_a_wrong_password_is_no_way_in(stack: Stack) -> None:
    words = (
        "sh",
        "-c",
        "PGPASSWORD=wrong psql --host=postgres --username=replica --dbname=tidegate --command='SELECT 1'",
    )
    done = stack.try_compose("exec", "-T", "postgres", *words)
    assert "password authentication failed" in done.stderr
