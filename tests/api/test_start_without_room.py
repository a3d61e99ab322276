"""A controller that finds no room says so itself, whatever room there is again when somebody reads it."""

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
