"""A MOJO in memory, and ways to damage it."""

from __future__ import annotations

import random
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tidegate.runtime.mojo.errors import MojoFormatError

NASTY = (
    "-1",
    "0",
    "2",
    "3",
    "7",
    "2147483647",
    "9999999999999",
    "NaN",
    "Infinity",
    "1e308",
    "-0.5",
    "[]",
    "null",
    "true",
    "x",
    "",
)


class Memory:
    """Entries of a MOJO by name."""

    def __init__(self, entries: Mapping[str, bytes], prefix: str = "") -> None:
        self.entries = entries
        self.prefix = prefix

    def has(self, name: str) -> bool:
        return self.prefix + name in self.entries

    def size(self, name: str) -> int:
        return len(self.read(name))

    def read(self, name: str) -> bytes:
        if not self.has(name):
            raise MojoFormatError(self.prefix + name, "is missing")
        return self.entries[self.prefix + name]

    def below(self, folder: str) -> Memory:
        return Memory(self.entries, f"{self.prefix}{folder.rstrip('/')}/")


def entries_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def damaged(entries: Mapping[str, bytes], rng: random.Random) -> dict[str, bytes]:
    """Return a copy with one thing wrong: a byte, an end that is missing, an entry, a line, a number."""
    result = dict(entries)
    name = rng.choice(sorted(result))
    data = result[name]
    way = rng.randrange(7)
    if way == 0:
        del result[name]
    elif way == 1:
        result[name] = data[: rng.randrange(len(data) + 1)]
    elif way == 2 and data:
        place = rng.randrange(len(data))
        result[name] = data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]
    elif way == 3:
        lines = data.split(b"\n")
        del lines[rng.randrange(len(lines))]
        result[name] = b"\n".join(lines)
    else:
        inis = sorted(entry for entry in result if entry.endswith(".ini"))
        name = rng.choice(inis)
        text = result[name].decode()
        numbers = list(re.finditer(r"(?<=[ \[])[-0-9.e]+(?=[,\]\n ])", text))
        if numbers:
            found = rng.choice(numbers)
            result[name] = (text[: found.start()] + rng.choice(NASTY) + text[found.end() :]).encode()
    return result
