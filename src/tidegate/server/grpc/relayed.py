"""One connection of gRPC that passes through a worker, and how its client is sent away.

Source: RFC 9113, section 6.8, for the end in two steps: a first GOAWAY that names no stream, and one that names the
last stream as soon as a PING came back, since then the client has read the first. It is asked a second time: clients
write answers to a PING before what else they have to write, so streams that were begun before GOAWAY was read may come
behind the first answer. A client begins those again elsewhere that are above the last stream, and this side would have
answered them, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tidegate.server.frames import (
    ACK,
    ANY_STREAM,
    END_STREAM,
    HEADERS,
    PING,
    RST_STREAM,
    SETTINGS,
    Follower,
    frame,
    go_away,
)

#: After this time a connection whose client acknowledged our settings counts as made although it does not call.
_CONNECT_SECONDS = 1.0
#: After this time one that did not counts as nobody's.
_LONGEST_CONNECT_SECONDS = 5.0
#: A client that does not answer both PINGs within this time is told the last stream without.
_PING_SECONDS = 1.0
#: For a client to close a connection on which all is said.
_LINGER_SECONDS = 1.0
#: One after the other.
_OUR_PINGS = (b"tidegate", b"tidegat2")


class Relayed:
    """One client's connection and the server's that belongs to it."""

    def __init__(self, changed: Callable[[], None], connections: set[Relayed]) -> None:
        self.client = _Half(self._heard_client, self._lost)
        self.server = _Half(self._heard_server, self._lost)
        self.client.other, self.server.other = self.server, self.client
        self._said = Follower(is_client=True)
        self._answered = Follower(is_client=False)
        self._streams: set[int] = set()
        self._last_stream = 0
        self._to_say = b""
        self._is_to_leave = self._has_said_first = self._has_said_last = False
        self._pings_left = list(_OUR_PINGS)
        self._has_settled = False
        self._loop = asyncio.get_running_loop()
        self._made_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._changed = changed
        self._connections = connections
        connections.add(self)

    @property
    def was_sent_away(self) -> bool:
        """Whether the client has read that it is to begin nothing here."""
        return self._has_said_last

    def send_away(self) -> None:
        """Say GOAWAY behind the frame that is being sent; close when all streams are answered.

        Not while the client is still connecting: to some, GOAWAY then says that the connection failed. As soon as it
        calls it is connected.
        """
        if not self._is_to_leave:
            self._is_to_leave = True
            self._say_first_when_connected()

    def _say_first_when_connected(self) -> None:
        age = self._loop.time() - self._made_at
        is_connected = self._last_stream or (self._has_settled and age >= _CONNECT_SECONDS)
        if is_connected or age >= _LONGEST_CONNECT_SECONDS:
            self._say_first()
        else:
            self._wait(_CONNECT_SECONDS, self._say_first_when_connected)

    def _say_first(self) -> None:
        if not self._has_said_first:
            self._has_said_first = True
            self._say(go_away(ANY_STREAM) + frame(PING, payload=self._pings_left[0]))
            self._wait(_PING_SECONDS, self._say_last)

    def close(self) -> None:
        self.client.close()
        self.server.close()

    def give_up(self) -> None:
        """Close what there is of a connection that was not made."""
        self.close()
        self._lost()

    def _heard_client(self, data: bytes) -> None:
        for seen in self._said.follow(data):
            if seen.kind == HEADERS:
                if seen.stream > self._last_stream:
                    self._last_stream = seen.stream
                    self._streams.add(seen.stream)
            elif seen.kind == RST_STREAM:
                self._streams.discard(seen.stream)
            elif seen.kind == SETTINGS:
                self._has_settled = self._has_settled or bool(seen.flags & ACK)
            elif seen.kind == PING and self._has_said_first and seen.flags & ACK:
                self._ping_came_back(seen.payload)  # the gRPC server gets it, too, and ignores what it did not ask
        self.server.write(data)
        if self._is_to_leave and self._last_stream:
            self._say_first()
        if self._has_said_last:
            self._end_if_answered()

    def _heard_server(self, data: bytes) -> None:
        place = -1
        for seen in self._answered.follow(data):
            if seen.kind == RST_STREAM or (seen.flags & END_STREAM and seen.kind <= HEADERS):
                self._streams.discard(seen.stream)
            if seen.ends_block:
                place = seen.end
        if self._to_say and place >= 0:
            data, self._to_say = data[:place] + self._to_say + data[place:], b""
        self.client.write(data)
        if self._has_said_last:
            self._end_if_answered()

    def _say(self, ours: bytes) -> None:
        if self._answered.is_between_frames:
            self.client.write(ours)
        else:
            self._to_say += ours

    def _ping_came_back(self, payload: bytes) -> None:
        if self._pings_left and payload == self._pings_left[0]:
            del self._pings_left[0]
            if self._pings_left:
                self._say(frame(PING, payload=self._pings_left[0]))
            else:
                self._say_last()

    def _say_last(self) -> None:
        if not self._has_said_last:
            self._has_said_last = True
            self._say(go_away(self._last_stream))
            self._wait(_LINGER_SECONDS, self._linger)
            self._changed()
            self._end_if_answered()

    def _end_if_answered(self) -> None:
        """Say nothing more when nothing is left to say, and leave it to the client to close.

        Closing first would reset the connection while the client still sends, and lose what it has not read yet.
        """
        if not self._streams and not self._to_say and self._answered.is_between_frames:
            self.client.finish()

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, then)

    def _linger(self) -> None:
        """Close a connection that its client does not close; look again while something is left to say."""
        if self.client.is_finished:
            self.close()
        else:
            self._wait(_LINGER_SECONDS, self._linger)

    def _lost(self) -> None:
        if self.client.is_open or self.server.is_open:
            return  # the other one still writes what it has
        if self._timer is not None:
            self._timer.cancel()
        self._connections.discard(self)
        self._changed()


class _Half(asyncio.Protocol):
    """One of the two sides. What it gets goes out at the other, no faster than that takes it."""

    other: _Half

    def __init__(self, heard: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        self._heard = heard
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        #: What the other side said before this one was there.
        self._early: list[bytes] = []
        self._is_over = False
        self.is_finished = False

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def write(self, data: bytes) -> None:
        if self._transport is None:
            if not self._is_over:
                self._early.append(data)
        elif not self.is_finished:
            self._transport.write(data)

    def finish(self) -> None:
        """Write nothing more."""
        if self._transport is not None and not self.is_finished:
            self.is_finished = True
            self._transport.write_eof()

    def close(self) -> None:
        """Close it after what is still to be written."""
        self._is_over = True
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        assert self._transport is not None  # noqa: S101 (it was just set)
        self._transport.writelines(self._early)
        self._early.clear()
        if self._is_over:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._heard(data)

    def pause_writing(self) -> None:
        if self.other._transport is not None:
            self.other._transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other._transport is not None and not self.other._transport.is_closing():
            self.other._transport.resume_reading()

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None
        self._is_over = True
        self.other.close()
        self._lost()
