"""Machine code is read only where nobody else could have put it: whatever lies there is run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tidegate.runtime.mojo.trust import is_trusted

OWNER = os.geteuid()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "above" / "kept"
    place.mkdir(parents=True, mode=0o755)
    (place / "kernel.nbi").write_bytes(b"index")
    for path in (place.parent, place, place / "kernel.nbi"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return place


def test_what_only_this_user_can_write_is_read(folder: Path) -> None:
    assert is_trusted(folder, OWNER)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: folder.chmod(0o777),
        lambda folder: folder.chmod(0o775),
        lambda folder: folder.parent.chmod(0o777),
        lambda folder: (folder / "kernel.nbi").chmod(0o666),
        lambda folder: (folder / "other.nbc").symlink_to("/dev/null"),
    ],
    ids=["anybody", "the group", "a folder above", "a file", "a link"],
)
def test_what_others_could_have_put_there_is_not_read(folder: Path, spoil: Callable[[Path], object]) -> None:
    spoil(folder)
    assert not is_trusted(folder, OWNER)


def test_a_folder_above_like_tmp_guards_its_entries(folder: Path) -> None:
    folder.parent.chmod(0o1777)
    assert is_trusted(folder, OWNER)


def test_what_belongs_to_somebody_else_is_not_read(folder: Path) -> None:
    if OWNER:
        pytest.skip("only root can give files away")
    os.chown(folder / "kernel.nbi", 12345, -1)
    assert not is_trusted(folder, OWNER)
    assert is_trusted.__wrapped__(folder, 12345)


def test_what_is_not_there_is_not_read(tmp_path: Path) -> None:
    assert not is_trusted(tmp_path / "none", OWNER)
