"""Brings a database from one version to another with Alembic, within the caller's transaction.

What a migration runs is in files beside it, one for each database, as it was when it was released: statements that end
with a semicolon at the end of a line, with an empty line between them. Where there is no file there is nothing to do.
"""

from __future__ import annotations

from importlib.resources import files

from alembic import command, op
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

_PACKAGE = "tidegate.store.migrations"


def migrate(db: Connection, found: str | None, to: str) -> None:
    """Apply what lies between the two versions.

    Args:
        found: None to apply all, as to a database that is empty or says no version.
    """
    config = _config()
    config.attributes["connection"] = db
    if found is not None:
        command.stamp(config, found)
    command.upgrade(config, to)


def newest() -> str:
    """Return the number of the last migration."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def apply(number: str) -> None:
    """Run the statements of a migration."""
    db = op.get_bind()
    for statement in statements(number, db.dialect.name):
        db.exec_driver_sql(statement)


def statements(number: str, dialect: str) -> list[str]:
    """Return what a migration runs in a database."""
    file = files(_PACKAGE) / "versions" / f"{number}.{dialect}.sql"
    if not file.is_file():
        return []
    return [one.strip().removesuffix(";") for one in file.read_text(encoding="utf-8").split(";\n\n") if one.strip()]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", _PACKAGE.replace(".migrations", ":migrations"))
    return config
