"""Giving a connection away, as a socket, to another process."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

Give = Callable[[socket.socket], None]


def try_to_leave(transport: Any, give: Give) -> bool:
    """Give away the socket of a connection that is between two requests; False when an answer is still being sent.

    What its client sends from now on stays in the kernel for the next process. This process's own descriptor alone is
    closed: nothing is said to the client.
    """
    if transport.get_write_buffer_size():
        return False
    transport.pause_reading()
    give(socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())))
    transport.close()
    return True
