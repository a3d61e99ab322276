"""The Makefile: targets that are no files, and that contributors are told of."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z][\w-]+):(?!=)", MAKEFILE, re.M))


def test_no_target_is_taken_for_a_file() -> None:
    phony = re.search(r"^\.PHONY:(.*)$", MAKEFILE, re.M)
    assert phony is not None
    assert set(phony[1].split()) == TARGETS


def test_contributors_are_told_of_every_set_of_tests() -> None:
    sets = {target for target in TARGETS if target.startswith("test")}
    assert len(sets) > 5
    assert {target for target in sets if f"| `make {target}` |" not in CONTRIBUTING} == set()
    assert CONTRIBUTING.startswith("# ")


def test_clean_removes_every_environment() -> None:
    environments = set(re.findall(r"^(\w+) := \.venv", MAKEFILE, re.M))
    clean = MAKEFILE[MAKEFILE.index("\nclean:") :]
    assert len(environments) > 3
    assert {name for name in environments if f"$({name})" not in clean} == set()
