"""Runs all tests that use PostgreSQL on Debian's with pg_partman; its arguments are pytest's."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.debian_postgresql import INSTALLATION, lacking
from tests.support.postgresql import DEBIAN, VARIABLE

TESTS = Path(__file__).resolve().parents[1]
#: What gives a test a server: functions that run one, and the fixtures of tests/store/conftest.py.
_SERVERS = {"postgresql", "debian_postgresql", "server", "address"}
_MODULES = {"tests.support.postgresql", "tests.support.debian_postgresql", "tests.store.conftest"}


def main(words: list[str]) -> None:
    if (what := lacking(partman=True, clock=True)) is not None:
        sys.exit(what)
    print(f"PostgreSQL of {INSTALLATION.programs} with pg_partman {INSTALLATION.partman}", flush=True)
    os.environ[VARIABLE] = DEBIAN
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *words, *map(str, users(TESTS))])  # noqa: S606 -- it goes on as pytest


def users(tests: Path) -> list[Path]:
    """Return the files of tests that use a server, and the folders whose conftest.py runs one."""
    found = [path for path in sorted(tests.rglob("*.py")) if path.parent.name != "support" and _uses(path)]
    folders = {path.parent for path in found if path.name == "conftest.py"}
    return sorted(folders | {path for path in found if path.name.startswith("test_") and path.parent not in folders})


def _uses(path: Path) -> bool:
    return any(module in _MODULES and name in _SERVERS for module, name in _imported(path))


def _imported(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


if __name__ == "__main__":
    main(sys.argv[1:])
