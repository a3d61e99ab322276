"""Where the store is: said by an argument, by the environment or before; passwords stay where nobody else reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import URL

from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.store.address import VARIABLE, parse_address, shown, whole
from tidegate.store.place import FILE, place_of, remembered_form

WITH_PASSWORD = "postgresql://tidegate:secret@db.example.com:5433/rollouts?sslmode=require"


def test_the_argument_wins_over_the_environment_and_that_over_what_was_said_before(tmp_path: Path) -> None:
    assert place_of(tmp_path, None, {}) == tmp_path / "tidegate.db"
    (tmp_path / FILE).write_text(json.dumps({"store": "postgresql://me@before/x"}))
    environment = {VARIABLE: "postgresql://me@told/x"}
    assert shown(place_of(tmp_path, None, {})) == "postgresql://me@before/x"
    assert shown(place_of(tmp_path, None, environment)) == "postgresql://me@told/x"
    assert shown(place_of(tmp_path, "postgresql://me@argument/x", environment)) == "postgresql://me@argument/x"
    assert place_of(tmp_path, str(tmp_path / "other.db"), environment) == tmp_path / "other.db"


def test_a_password_is_used_and_neither_remembered_nor_shown(tmp_path: Path) -> None:
    address = place_of(tmp_path, None, {VARIABLE: WITH_PASSWORD})
    assert isinstance(address, URL)
    assert address.password == "secret"
    assert "secret" not in shown(address)
    assert remembered_form(address) == "postgresql://tidegate@db.example.com:5433/rollouts?sslmode=require"


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)


@given(user=names, password=names, database=names, options=names)
def test_a_whole_address_is_read_by_us_and_by_libpq_as_it_was_meant(
    user: str, password: str, database: str, options: str
) -> None:
    address = URL.create("postgresql", user, password, "db.example.com", 5433, database, {"options": options})
    assert parse_address(whole(address)) == address
    told = conninfo_to_dict(whole(address))
    assert (told["user"], told["password"], told["dbname"], told["options"]) == (user, password, database, options)


def test_a_password_in_an_argument_is_refused_without_repeating_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="can be read by everybody") as refused:
        place_of(tmp_path, WITH_PASSWORD, {})
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("text", ["mysql://me@host/x", "postgresql://me@host", "postgresql://me@host:port/x", "x://"])
def test_what_is_no_store_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="the store's URL"):
        parse_address(text)


@pytest.mark.parametrize("content", ["{", "[]", '{"store": 1}', '{"other": ""}'])
def test_a_damaged_note_of_where_the_store_is_is_no_reason_to_begin_with_an_empty_one(
    tmp_path: Path, content: str
) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(Unavailable, match="does not say where the store is"):
        place_of(tmp_path, None, {})
