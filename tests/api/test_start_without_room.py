"""A controller that finds no room, or no store in its file, says so itself, whatever is there when that is read."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import NoReturn

import pytest

from tidegate.api import __main__ as start
from tidegate.controller.home import Home


@pytest.mark.parametrize(
    ("number", "told"), [(errno.ENOSPC, "no room is left on the disk"), (errno.EROFS, "the home cannot be used")]
)
def test_the_error_of_a_start_tells_a_full_disk_from_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int, told: str
) -> None:
    def refuse(home: Home) -> NoReturn:
        raise OSError(number, "refused")

    monkeypatch.setattr(Home, "create", refuse)
    monkeypatch.setattr("sys.argv", ["api", "--home", str(tmp_path / "home"), "--port", "0", "--gateway-port", "0"])
    assert start.main() == start.EXIT_UNAVAILABLE
    error = json.loads(capsys.readouterr().err)["error"]
    assert told in error["message"]
    assert error["subject"] == str(tmp_path / "home")


def test_a_controller_whose_store_is_no_database_says_so_and_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "junk.db"
    store.write_bytes(b"garbage\n" * 1000)
    home = ["--home", str(tmp_path / "home"), "--store", str(store)]
    monkeypatch.setattr("sys.argv", ["api", *home, "--port", "0", "--gateway-port", "0"])
    assert start.main() == start.EXIT_UNAVAILABLE
    error = json.loads(capsys.readouterr().err.splitlines()[-1])["error"]
    assert "is no SQLite database" in error["message"]
    assert (error["subject"], error["got"]) == (str(store), "file is not a database")
    assert store.read_bytes() == b"garbage\n" * 1000
