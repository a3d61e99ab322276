"""The page on PostgreSQL: a reader follows it, with a real server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, read
from tests.docs.running import Reader
from tests.support.postgresql import postgresql
from tidegate.store.schema import PARTITIONED

PAGE = DOCS / "how-to" / "keep-everything-in-postgresql.md"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with postgresql() as server:
        url = server.empty().render_as_string(hide_password=False).replace(":@", "@")
        yield Reader(tmp_path, tmp_path / "home", instead={"postgresql://postgres@db.example.com/tidegate": f"'{url}'"})


def test_the_page_is_true_of_a_real_server(reader: Reader) -> None:
    reader.follow(read(PAGE))
    assert (reader.folder / "init.sql").stat().st_size > 10_000
    reader.type("tidegate db check --store postgresql://postgres@db.example.com/tidegate")
    assert "All well." in reader.told


def test_the_page_names_the_pg_partman_that_the_tests_build() -> None:
    script = (DOCS.parent / "scripts" / "get_partman.sh").read_text(encoding="utf-8")
    (version,) = re.findall(r"^version=(.+)$", script, re.MULTILINE)
    (told,) = re.findall(r"Tested are (.+?), the last", " ".join(PAGE.read_text(encoding="utf-8").split()))
    assert version in told.replace(",", "").split()


def test_the_page_says_for_how_long_each_table_is_kept() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for table, span, days in PARTITIONED:
        kept = "for ever" if days is None else f"{days} days"
        assert f"| `{table.fullname}` | a {span} | {kept} |" in text
