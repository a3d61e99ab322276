"""Where a receiver's URL comes from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tidegate.notify.address import Unresolved, is_message, resolve

SECRET = "https://hooks.slack.com/services/T00/B00/s3cr3t"


def test_a_variable_of_the_controller_holds_the_url() -> None:
    one = {"name": "a", "urlFromEnv": "TIDEGATE_A"}
    assert resolve(one, {"TIDEGATE_A": f" {SECRET}\n"}) == SECRET
    with pytest.raises(Unresolved, match="no TIDEGATE_A in its environment"):
        resolve(one, {})


def test_a_file_that_only_its_owner_reads_holds_the_url(tmp_path: Path) -> None:
    file = tmp_path / "a.url"
    file.write_text(f"{SECRET}\nanything else\n")
    file.chmod(0o600)
    assert resolve({"name": "a", "urlFromFile": str(file)}, {}) == SECRET


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_could_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "a.url"
    file.write_text(SECRET)
    file.chmod(mode)
    with pytest.raises(Unresolved, match="chmod 600") as refused:
        resolve({"name": "a", "urlFromFile": str(file)}, {})
    assert "s3cr3t" not in str(refused.value.as_dict())


def test_a_file_that_is_missing_empty_or_none_is_refused(tmp_path: Path) -> None:
    empty, pipe = tmp_path / "empty", tmp_path / "pipe"
    empty.touch(0o600)
    os.mkfifo(pipe, 0o600)
    for path, why in ((tmp_path / "none", "No such file"), (empty, "no URL"), (pipe, "no regular file")):
        with pytest.raises(Unresolved, match=why):
            resolve({"name": "a", "urlFromFile": str(path)}, {})


def test_chat_services_get_a_message_and_everybody_else_an_event() -> None:
    assert all(map(is_message, (SECRET, "slack://a/b/c", "mailto://a:b@example.com", "https://x.webhook.office.com/y")))
    assert not any(map(is_message, ("http://127.0.0.1:1/", "https://example.com/hooks.slack.com")))
