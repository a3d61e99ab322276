"""The name of an image: where it is, which tag, which digest."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DIGEST = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-fA-F]{32,}")


@dataclass(frozen=True)
class ImageName:
    """`registry:5000/team/churn:1.4@sha256:…`, taken apart. A tag or digest that is not there is None."""

    repository: str
    tag: str | None
    digest: str | None

    @classmethod
    def parse(cls, text: str) -> ImageName:
        named, _, digest = text.partition("@")
        # A colon before the last slash is that of the registry's port.
        folder, slash, last = named.rpartition("/")
        last, _, tag = last.partition(":")
        return cls(f"{folder}{slash}{last}", tag or None, digest if _DIGEST.fullmatch(digest) else None)

    @property
    def base(self) -> str:
        """The last part of its repository: `golang` of `docker.io/library/golang`."""
        return self.repository.rpartition("/")[2]
