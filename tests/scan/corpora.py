"""The files that rules are tried on, good and bad, and what each bad one says that is to be found in it."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent / "corpus"
GOOD = sorted((HERE / "good").iterdir())
BAD = sorted((HERE / "bad").iterdir())

_EXPECTED = re.compile(r"^# expect:(.*)$", re.M)


def expected(path: Path) -> list[tuple[int, str]]:
    """Return line and rule of all that is to be found in a bad file, as its last lines tell."""
    lists = _EXPECTED.findall(path.read_text(encoding="utf-8"))
    assert lists, f"{path.name} does not say what is to be found in it"
    pairs = [entry.partition("@") for entry in " ".join(lists).split()]
    return sorted((int(line), rule) for rule, _, line in pairs)
