"""Frames of HTTP/2 are found in what a side sends, however it is cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tidegate.server.frames import (
    ANY_STREAM,
    CONTINUATION,
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    Follower,
    Frame,
    frame,
    go_away,
)

KINDS = st.sampled_from([DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION, 0x8, 0xFA])
FRAMES = st.lists(
    st.tuples(KINDS, st.integers(0, 255), st.integers(0, ANY_STREAM), st.binary(max_size=40)), min_size=1, max_size=12
)
CUTS = st.lists(st.integers(0, 800), max_size=30)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


def without_place(found: Frame) -> Frame:
    return found._replace(end=0)


def test_of_a_ping_that_is_too_long_as_much_is_kept_however_it_is_cut() -> None:
    sent = frame(PING, payload=bytes(range(20)))
    for cut in range(len(sent)):
        follower = Follower(is_client=False)
        (found,) = follower.follow(sent[:cut]) + follower.follow(sent[cut:])
        assert found.payload == bytes(range(8))


@given(FRAMES, CUTS, st.booleans())
def test_arbitrary_pieces_give_the_same_frames(
    sent: list[tuple[int, int, int, bytes]], cuts: list[int], is_client: bool
) -> None:
    data = (PREFACE if is_client else b"") + b"".join(frame(*parts) for parts in sent)
    whole = Follower(is_client=is_client).follow(data)
    assert [(found.kind, found.flags, found.stream) for found in whole] == [parts[:3] for parts in sent]
    cut_up, before, ends = Follower(is_client=is_client), 0, []
    found_in_pieces: list[Frame] = []
    for piece in pieces(data, cuts):
        for found in cut_up.follow(piece):
            found_in_pieces.append(without_place(found))
            ends.append(before + found.end)
        before += len(piece)
    assert found_in_pieces == [without_place(found) for found in whole]
    assert ends == [found.end for found in whole]


@given(FRAMES, CUTS)
def test_the_payload_of_a_ping_is_known_and_no_other(sent: list[tuple[int, int, int, bytes]], cuts: list[int]) -> None:
    sent = [
        (kind, flags, stream, (payload * 8)[:8] if kind == PING else payload) for kind, flags, stream, payload in sent
    ]
    follower = Follower(is_client=False)
    data = b"".join(frame(*parts) for parts in sent)
    found = [one for piece in pieces(data, cuts) for one in follower.follow(piece)]
    assert [one.payload for one in found] == [payload if kind == PING else b"" for kind, _, _, payload in sent]


@given(FRAMES, st.integers(0, 800))
def test_a_frame_of_ours_may_stand_between_two_frames_alone(
    sent: list[tuple[int, int, int, bytes]], length: int
) -> None:
    data = b"".join(frame(*parts) for parts in sent)
    length = min(length, len(data))
    allowed, place, in_block = set(), 0, False
    for kind, flags, stream, payload in sent:
        place += len(frame(kind, flags, stream, payload))
        if kind in (HEADERS, CONTINUATION):
            in_block = not flags & END_HEADERS
        if not in_block:
            allowed.add(place)
    follower = Follower(is_client=False)
    found = follower.follow(data[:length])
    assert follower.is_between_frames == (length in allowed)
    assert {one.end for one in found if one.ends_block} == {place for place in allowed if place <= length}


def test_nothing_may_stand_before_the_first_frame() -> None:
    assert not Follower(is_client=False).is_between_frames
    assert not Follower(is_client=True).follow(PREFACE)


def test_going_away_names_the_last_stream_and_no_error() -> None:
    assert go_away(5) == bytes.fromhex("000008 07 00 00000000 00000005 00000000")
    assert go_away(ANY_STREAM)[9:13] == bytes.fromhex("7fffffff")
