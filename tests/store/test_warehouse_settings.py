"""`stack/warehouse/postgresql.conf`: settings that there are, with values that PostgreSQL takes, each explained."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from sqlalchemy import text

from tests.support.debian_postgresql import debian_postgresql, require
from tests.support.postgresql import Postgresql
from tidegate.store.versions import connected

CONFIG = Path(__file__).resolve().parents[2] / "stack" / "warehouse" / "postgresql.conf"
_SETTING = re.compile(r"(?P<name>[a-z_.]+) = '?(?P<value>[^']+?)'?")


def settings() -> dict[str, str]:
    lines = [line for line in CONFIG.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    found = [_SETTING.fullmatch(line) for line in lines]
    assert all(found), lines
    return {one["name"]: one["value"] for one in found if one is not None}


def unexplained(config: str) -> list[str]:
    """Return the settings that have no comment of their own, in the line above them."""
    return [
        line
        for above, line in pairwise(["", *config.splitlines()])
        if line and not line.startswith("#") and not re.match(r"# \S", above)
    ]


def test_each_setting_is_one_of_postgresql_and_is_explained(server: Postgresql) -> None:
    database = connected(server.url)
    with database.read() as db:
        known = {row.name.lower() for row in db.execute(text("SELECT name FROM pg_settings"))}
    database.close()
    assert {name for name in settings() if not name.startswith("pg_partman_bgw.")} <= known
    assert unexplained(CONFIG.read_text(encoding="utf-8")) == []


def test_a_comment_explains_the_one_setting_below_it() -> None:
    assert unexplained("# Memory.\n\na = 1\n# Why.\nb = 2\nc = 3\n#\nd = 4\n") == ["a = 1", "c = 3", "d = 4"]


def test_the_server_starts_with_it_and_has_every_value() -> None:
    require(partman=True)
    # The machine that it is for has more memory than those that tests run on.
    with debian_postgresql({"shared_buffers": "128MB", "port": "5432"}, config=CONFIG) as running:
        database = connected(running.url)
        with database.read() as db:
            query = text("SELECT name, error, applied, sourcefile FROM pg_file_settings ORDER BY seqno")
            told = [row for row in db.execute(query) if row.sourcefile == str(CONFIG)]
            waiting = db.execute(text("SELECT count(*) FROM pg_settings WHERE pending_restart")).scalar_one()
        database.close()
    assert {row.name for row in told} == set(settings())
    assert [row.error for row in told if row.error is not None] == []
    assert {row.name for row in told if not row.applied} <= {"shared_buffers"}
    assert waiting == 0


def test_no_setting_is_said_twice() -> None:
    names = re.findall(r"^([a-z_.]+) =", CONFIG.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(names) == len(set(names)) > 30
