"""The Dockerfile that comes with Tidegate, with what one model has instead of its defaults. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

_DEFAULT = re.compile(r"^ARG (\w+)=(.*)$", re.M)


def defaults(text: str) -> dict[str, str]:
    """Return what each ARG is without being given."""
    return dict(_DEFAULT.findall(text))


def with_defaults(text: str, given: Mapping[str, str]) -> str:
    """Return a Dockerfile whose ARGs have other defaults, so that a build of it needs none of them.

    Raises:
        KeyError: it has no such ARG.
    """
    for name in given.keys() - defaults(text).keys():
        raise KeyError(name)
    return _DEFAULT.sub(lambda match: f"ARG {match[1]}={given.get(match[1], match[2])}", text)
