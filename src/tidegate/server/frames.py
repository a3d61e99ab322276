"""As much of HTTP/2 as it takes to send a client elsewhere without failing what it has begun.

Source: RFC 9113 (frames: sections 4 and 6; going away: 6.8).

Imports nothing and does nothing but follow bytes.
"""

from __future__ import annotations

from typing import NamedTuple

#: What a client sends before its first frame.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_BYTES = 9

DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, CONTINUATION = 0x0, 0x1, 0x3, 0x4, 0x5, 0x6, 0x7, 0x9
ACK = END_STREAM = 0x1
END_HEADERS = 0x4
#: A payload of PING; RFC 9113, section 6.7.
PING_BYTES = 8
#: "Any stream": a GOAWAY with it says that another one will follow, RFC 9113, section 6.8.
ANY_STREAM = 2**31 - 1

_NO_ERROR = bytes(4)


class Frame(NamedTuple):
    """A frame that was seen to its end.

    Attributes:
        stream: 0 for the connection itself.
        end: where it ended in the bytes with which it was seen.
        ends_block: whether another frame may follow it that is not part of the same header block.
        payload: of PING alone; empty for all others.
    """

    kind: int
    flags: int
    stream: int
    end: int
    ends_block: bool
    payload: bytes


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """Return a frame as bytes."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def go_away(last_stream: int) -> bytes:
    """Return GOAWAY without an error: streams above this one are not answered, begin them elsewhere."""
    return frame(GOAWAY, payload=last_stream.to_bytes(4, "big") + _NO_ERROR)


class Follower:
    """Follows what one side of a connection sends, in pieces of any size, and finds its frames."""

    __slots__ = ("_flags", "_head", "_in_block", "_kind", "_left", "_payload", "_preface", "_stream", "has_begun")

    def __init__(self, *, is_client: bool) -> None:
        self._preface = len(PREFACE) if is_client else 0
        self._head = b""
        self._kind, self._flags, self._stream, self._left = -1, 0, 0, 0
        self._payload = b""
        self._in_block = False
        #: Whether a frame was seen to its end. The first one must be SETTINGS: nothing may stand before it.
        self.has_begun = False

    @property
    def is_between_frames(self) -> bool:
        """Whether a frame of ours may follow what was seen so far: not within a frame or a header block."""
        return self.has_begun and self._kind < 0 and not self._head and not self._in_block

    def follow(self, data: bytes) -> list[Frame]:
        """Take in what is sent next; return the frames that end in it."""
        position, end = min(self._preface, len(data)), len(data)
        self._preface -= position
        found: list[Frame] = []
        while position < end:
            if self._kind < 0:
                start, position = position, min(position + HEAD_BYTES - len(self._head), end)
                self._head += data[start:position]
                if len(self._head) < HEAD_BYTES:
                    break
                self._begin_frame()
            step = min(self._left, end - position)
            if self._kind == PING and len(self._payload) < PING_BYTES:
                self._payload += data[position : position + min(step, PING_BYTES - len(self._payload))]
            position += step
            self._left -= step
            if not self._left:
                found.append(self._end_frame(position))
        return found

    def _begin_frame(self) -> None:
        head, self._head = self._head, b""
        self._left = head[0] << 16 | head[1] << 8 | head[2]
        self._kind, self._flags = head[3], head[4]
        self._stream = int.from_bytes(head[5:9], "big") & ANY_STREAM

    def _end_frame(self, position: int) -> Frame:
        kind, flags, payload = self._kind, self._flags, self._payload
        if kind in (HEADERS, PUSH_PROMISE, CONTINUATION):
            self._in_block = not flags & END_HEADERS
        self._kind, self._payload, self.has_begun = -1, b"", True
        return Frame(kind, flags, self._stream, position, not self._in_block, payload)
