"""Golden requests are kept as they were: under the digest of their bytes, read-only, and refused when changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.gate.kept import keep, read_golden, read_kept

TEXT = b"requests: [{predict: [{x: 1}], expect: [{p: 2}]}]"


def test_the_copy_stays_when_the_original_changes(tmp_path: Path) -> None:
    original = tmp_path / "golden.yaml"
    original.write_bytes(TEXT)
    golden, content = read_golden(original)
    kept = keep(content, original.suffix, tmp_path / "golden")
    original.write_text("requests: []")
    assert read_kept(kept) == golden
    assert kept.stat().st_mode & 0o222 == 0
    assert keep(content, ".yaml", tmp_path / "golden") == kept
    assert list((tmp_path / "golden").iterdir()) == [kept]


def test_a_copy_that_was_changed_or_is_gone_is_not_used(tmp_path: Path) -> None:
    kept = keep(TEXT, ".yml", tmp_path / "golden")
    kept.chmod(0o644)
    kept.write_bytes(TEXT.replace(b"2", b"3"))
    with pytest.raises(InvalidInput, match="were changed after they were kept"):
        read_kept(kept)
    kept.unlink()
    with pytest.raises(InvalidInput, match="cannot be read: no such file"):
        read_kept(kept)


def test_a_folder_that_cannot_be_written_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "golden").write_text("a file")
    with pytest.raises(Unavailable, match="cannot be copied"):
        keep(TEXT, ".yaml", tmp_path / "golden")


def test_what_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "golden.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match="is not UTF-8 text"):
        read_golden(tmp_path / "golden.yaml")
