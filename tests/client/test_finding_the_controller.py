"""The controller is found by the files in its home, and a home without them says what to type."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tidegate.client import Client, home_folder, last_ports, read_address
from tidegate.contract.errors import Unavailable


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_the_home_is_the_one_given_then_the_environment_then_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "environment"))
    assert home_folder(tmp_path / "given") == tmp_path / "given"
    assert home_folder() == tmp_path / "environment"
    monkeypatch.delenv("TIDEGATE_HOME")
    assert home_folder().name == "tidegate"


def test_a_home_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert home_folder("state") == tmp_path / "state"


def test_without_a_controller_the_error_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        Client.connect(tmp_path)
    assert caught.value.hint == "Start it with: tidegate up"


@pytest.mark.parametrize("record", ["", "[]", "{}", "{"])
def test_a_damaged_record_is_named(tmp_path: Path, record: str) -> None:
    (tmp_path / "controller.json").write_text(record)
    (tmp_path / "token").write_text("secret")
    with pytest.raises(Unavailable, match="damaged"):
        read_address(tmp_path)


def test_the_token_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "controller.json").write_text(json.dumps({"url": "http://127.0.0.1:1/"}))
    (tmp_path / "token").write_text("secret\n")
    address = read_address(tmp_path)
    assert (address.url, address.token) == ("http://127.0.0.1:1", "secret")
    assert "secret" not in repr(address)


def test_a_controller_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{_free_port()}"
    (tmp_path / "controller.json").write_text(json.dumps({"url": url}))
    (tmp_path / "token").write_text("secret")
    with Client.connect(tmp_path) as client, pytest.raises(Unavailable) as caught:
        client.list()
    assert url in caught.value.message


def test_ports_of_the_last_run_are_known(tmp_path: Path) -> None:
    assert last_ports(tmp_path) == (None, None)
    (tmp_path / "ports.json").write_text('{"port": 1, "gateway_port": 2}')
    assert last_ports(tmp_path) == (1, 2)
