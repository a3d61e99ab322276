"""What the engine says, read; its calls themselves are made in tests/stack, of a real one."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.agent.engine import Engine, _version, unframed
from tidegate.contract.errors import Unavailable


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40)), max_size=8))
def test_what_a_container_wrote_is_put_together_of_its_frames(frames: list[tuple[int, bytes]]) -> None:
    stream = b"".join(struct.pack(">BxxxL", kind, len(written)) + written for kind, written in frames)
    assert unframed(stream) == b"".join(written for _, written in frames)


@given(st.binary(max_size=60))
def test_a_stream_that_is_cut_short_ends_where_it_was_cut(stream: bytes) -> None:
    assert len(unframed(stream)) <= len(stream)


@pytest.mark.parametrize(
    ("newest", "oldest", "spoken"),
    [("1.41", "1.12", "1.41"), ("1.51", "1.24", "1.51"), ("1.60", "1.44", "1.51")],
)
def test_the_newest_version_that_both_know_is_spoken(newest: str, oldest: str, spoken: str) -> None:
    assert _version(newest, oldest) == spoken


@pytest.mark.parametrize(("newest", "oldest"), [("1.40", "1.12"), ("1.70", "1.60")])
def test_an_engine_that_is_too_old_or_too_new_is_refused(newest: str, oldest: str) -> None:
    with pytest.raises(Unavailable, match="no version of its API"):
        _version(newest, oldest)


def test_an_engine_that_is_not_there_is_named(tmp_path: Path) -> None:
    async def ask() -> None:
        async with Engine(tmp_path / "docker.sock"):
            pass

    with pytest.raises(Unavailable, match="does not answer") as refused:
        asyncio.run(ask())
    assert refused.value.subject == str(tmp_path / "docker.sock")
