"""Brings a database from one version to another with Alembic, within the caller's transaction."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

_SCRIPTS = "tidegate.store:migrations"


def migrate(db: Connection, found: str, to: str) -> None:
    """Apply what lies between the two versions."""
    config = _config()
    config.attributes["connection"] = db
    command.stamp(config, found)
    command.upgrade(config, to)


def newest() -> str:
    """Return the number of the last migration."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", _SCRIPTS)
    return config
