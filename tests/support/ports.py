"""A port that a program gets again after it was killed, whatever else begins meanwhile."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_HANDED_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 10_000


def kept_port() -> int:
    """Return a free port on loopback that the system hands out to nobody who asks for any port."""
    first = int(_HANDED_OUT.read_text().split()[0])
    candidates = list(range(_LOWEST, first))
    random.shuffle(candidates)
    for port in candidates:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"no port from {_LOWEST} to {first} is free")
