"""Refuse a release whose tag, version and changelog disagree: `TAG=v0.2.0 python -m scripts.check_tag`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tidegate import __version__

CHANGELOG = Path(__file__).resolve().parent.parent / "CHANGELOG.md"


def problems(tag: str, version: str, changelog: str) -> Iterator[str]:
    """Yield what is in the way of a release of `version` under `tag`, each with what to do."""
    if tag != f"v{version}":
        yield (
            f"the tag is {tag!r}, and src/tidegate/__init__.py has the version {version}: expected the tag"
            f" 'v{version}'; tag again, or change the version first"
        )
    heading = re.search(rf"^## \[{re.escape(version)}\] - (.*)$", changelog, re.M)
    if heading is None:
        yield f"CHANGELOG.md has no heading '## [{version}] - YYYY-MM-DD': write what is new in it"
    elif re.fullmatch(r"\d{4}-\d{2}-\d{2}", heading[1]) is None:
        yield f"CHANGELOG.md says {heading[1]!r} of {version}: expected the day of the release as YYYY-MM-DD"


def main() -> int:
    tag = os.environ.get("TAG", "")
    found = list(problems(tag, __version__, CHANGELOG.read_text(encoding="utf-8")))
    for line in found:
        sys.stderr.write(f"{line}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
