"""What the disk refuses is not written in part, and leaves nothing behind."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tidegate.controller import reserve
from tidegate.controller.home import write_atomically
from tidegate.controller.reserve import Reserve
from tidegate.gateway.base import Snapshot
from tidegate.gateway.files import EMPTY, GatewayFolder, write_json


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let the system refuse to make a file larger than this, as a disk does that has no room for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    "write",
    [
        write_atomically,
        lambda path, text: write_json(path, {"text": text}),
    ],
)
def test_a_file_that_there_is_no_room_for_stays_as_it_was(write: Callable[[Path, str], None], tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write(path, "before")
    before = path.read_bytes()
    with room_for(20), pytest.raises(OSError, match="File too large"):
        write(path, "x" * 1000)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_envoy_never_reads_half_of_its_routes(tmp_path: Path) -> None:
    folder = GatewayFolder(tmp_path / "gateway")
    folder.prepare()
    folder.put_routes(EMPTY)
    before = folder.routes.read_bytes()
    many = Snapshot(
        {}, {f"d{number}": {1: 100} for number in range(50)}, dict.fromkeys((f"d{n}" for n in range(50)), 1)
    )
    with room_for(len(before) + 10), pytest.raises(OSError, match="File too large"):
        folder.put_routes(many)
    assert folder.routes.read_bytes() == before
    folder.put_routes(many)
    assert folder.routes.stat().st_size > len(before)


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_room_is_kept_of_a_disk_that_has_plenty_and_used_when_it_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 1 << 20
    monkeypatch.setattr(reserve.shutil, "disk_usage", lambda _: Usage(1 << 40, 0, free))
    kept = Reserve(tmp_path)
    kept.keep()
    assert list(tmp_path.iterdir()) == []

    free = 1 << 30
    kept.keep()
    (file,) = tmp_path.iterdir()
    assert file.stat().st_blocks * 512 >= 8 << 20
    assert not kept.use()

    free = 0
    assert kept.use()
    assert list(tmp_path.iterdir()) == []
    assert not kept.use()
