"""Another machine, as far as the network goes: a namespace at the end of a cable that can be pulled."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Elsewhere:
    """A namespace, reached at `address`.

    Attributes:
        command: the words before a command that is to run in it.
        network: of both ends of the cable.
    """

    address: str
    network: str
    command: tuple[str, ...]
    _here: str

    def pull(self) -> None:
        """Pull the cable: what either end sends is lost, and neither is told."""
        _ip("link", "set", self._here, "down")


@contextmanager
def elsewhere() -> Iterator[Elsewhere]:
    """Have one; skip the test where namespaces cannot be made."""
    if shutil.which("ip") is None:
        pytest.skip("there is no `ip`: apt-get install iproute2")
    name = f"tg{os.getpid()}"
    here, there = f"{name}a", f"{name}b"
    # Of 198.18.0.0/15, which is for tests and routed nowhere.
    start = f"198.18.{random.randrange(256)}.{4 * random.randrange(64)}"
    network, (first, second) = f"{start}/30", _hosts(start)
    try:
        try:
            _ip("netns", "add", name)
            _ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
            _ip("address", "add", f"{first}/30", "dev", here)
            _ip("link", "set", here, "up")
            _ip("-n", name, "address", "add", f"{second}/30", "dev", there)
            _ip("-n", name, "link", "set", there, "up")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespace can be made: {error.stderr.strip()}")
        yield Elsewhere(second, network, ("ip", "netns", "exec", name), here)
    finally:
        # The cable goes with one of its ends, also while a process is left in the namespace.
        for words in (("link", "delete", here), ("netns", "delete", name)):
            subprocess.run(["ip", *words], check=False, capture_output=True)


def _hosts(start: str) -> tuple[str, str]:
    head, _, last = start.rpartition(".")
    return f"{head}.{int(last) + 1}", f"{head}.{int(last) + 2}"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
